// What stands in the picture's place: the stream, a picture in its corner, a still where no stream gets through, and how
// old all that is. A picture that has stopped is never shown as if it were live.

import { say } from "./lists.js";
import { Quality } from "./quality.js";
import { timeOfDay } from "./words.js";

const LOOK_EVERY_MS = 1000;
const LIVE_WITHIN_S = 2;
const CORNER_WITHIN_MS = 3000;
const $ = (id) => document.getElementById(id);

export class Picture {
  #quality = new Quality();
  #frame_at_ms = 0;
  #corner_at_ms = 0;
  #kept_at_ms = 0;
  #still = null;

  /** `line()` is the present Line or null; `cameraWorks()` what the unit says of its camera. */
  constructor(line, cameraWorks) {
    this.line = line;
    this.cameraWorks = cameraWorks;
    everyFrame($("picture"), () => {
      if (!this.line()?.connection) return; // the black one that a browser shows for a stream that has ended
      this.#frame_at_ms = performance.now();
      if (!$("frozen").hidden) this.#layers();
    });
    everyFrame($("corner"), () => this.line()?.connection && (this.#corner_at_ms = performance.now()));
    setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  /** A still that has come over the line: { camera, at_utc_us, jpeg }. The old one's memory is given back. */
  still({ camera, at_utc_us, jpeg }) {
    const url = URL.createObjectURL(new Blob([jpeg], { type: "image/jpeg" }));
    if (this.#still) URL.revokeObjectURL(this.#still.url);
    this.#still = { url, camera, at_utc_us, at_ms: performance.now() };
    $("still-live").src = url;
    $("still-live").alt = `Still picture from the camera ${camera}`;
    this.#layers();
  }

  /** Keep the last picture of a session that ends: until the next one's is there, an old picture is better than none. */
  keepLast() {
    const video = $("picture");
    if (!video.videoWidth || !this.#frame_at_ms) return;
    const canvas = $("frozen");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    this.#kept_at_ms = this.#frame_at_ms;
  }

  /** Nothing of another call may stay on the screen. */
  forget() {
    if (this.#still) URL.revokeObjectURL(this.#still.url);
    this.#still = null;
    this.#frame_at_ms = this.#corner_at_ms = this.#kept_at_ms = 0;
    $("still-live").removeAttribute("src");
    this.#layers();
  }

  get #moved_at_ms() {
    return Math.max(this.#frame_at_ms, $("picture").videoWidth > 0 ? this.#quality.pictureAt : 0);
  }

  /** Seconds since the newest picture came, by stream or as a still. */
  get age_s() {
    const at_ms = Math.max(this.#moved_at_ms, this.#still?.at_ms ?? 0);
    return at_ms ? (performance.now() - at_ms) / 1000 : 0;
  }

  #layers() {
    const still = this.#still !== null && this.#still.at_ms > this.#moved_at_ms;
    $("still-live").hidden = !still;
    const kept = !still && this.#kept_at_ms > 0 && this.#kept_at_ms >= this.#frame_at_ms;
    $("frozen").hidden = !kept;
    if (this.#frame_at_ms > this.#kept_at_ms) this.#kept_at_ms = 0;
    // A unit that tells what it sends is believed: until the first picture of a track browsers show a black one.
    const link = this.line()?.link;
    $("corner").hidden = performance.now() - this.#corner_at_ms > CORNER_WITHIN_MS || (Boolean(link) && !link.pip);
    return still;
  }

  async #look() {
    const line = this.line();
    if (!line) return;
    const age_s = this.age_s;
    const { bars, words, figures } = await this.#quality.look(line, age_s, this.cameraWorks());
    if (line !== this.line()) return;
    $("link").dataset.bars = String(bars);
    say($("link-words"), words);
    say($("link-figures"), figures);
    const still = this.#layers();
    const picture = still || !$("frozen").hidden || $("picture").videoWidth > 0;
    const live = line.phase === "connected" && !still && picture && age_s < LIVE_WITHIN_S;
    $("picture-live").hidden = !live;
    $("picture-age").hidden = live || !picture;
    say($("picture-age"), still ? `Still of ${timeOfDay(this.#still.at_utc_us)}, ${Math.floor(age_s)} s old` : `Picture is ${Math.floor(age_s)} s old`);
    $("picture").classList.toggle("old", picture && !live && !still);
    $("picture-wait").hidden = live || still;
    say($("picture-wait"), line.phase === "refused" ? line.refused : words);
  }
}

function everyFrame(video, then) {
  if (!video.requestVideoFrameCallback) return; // then the counters of the session are all there is
  const next = () => {
    then();
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}
