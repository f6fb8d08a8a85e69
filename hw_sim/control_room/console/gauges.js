// What shows how the live line is: the link in words once a second, both voices' loudness ten times.

import { say } from "./lists.js";
import { Quality } from "./quality.js";

const $ = (id) => document.getElementById(id);

export class Gauges {
  #quality = new Quality();
  #analysers = {};

  /** `line()` is the present Line or null; `cameraWorks()` what the unit says of its camera. */
  constructor(context, line, cameraWorks) {
    this.context = context;
    this.line = line;
    this.cameraWorks = cameraWorks;
    setInterval(() => this.#link(), 1000);
    setInterval(() => this.#voices(), 100);
  }

  async #link() {
    const line = this.line();
    if (!line) return;
    const { bars, words, figures } = await this.#quality.look(line.connection, line.phase, this.cameraWorks());
    if (line !== this.line()) return;
    $("link").dataset.bars = String(bars);
    say($("link-words"), words);
    say($("link-figures"), figures);
    const moving = line.phase === "connected" && $("picture").videoWidth > 0;
    const live = moving && !words.startsWith("No picture") && bars > 1;
    $("picture-live").hidden = !live;
    $("picture-wait").hidden = live;
    say($("picture-wait"), line.phase === "refused" ? line.refused : words);
  }

  /** The analysers are made anew when a stream has changed. */
  #voices() {
    const line = this.line();
    if (!line?.voices) return;
    for (const [who, stream] of Object.entries({ caller: $("caller").srcObject, own: line.microphone })) {
      if (stream && this.#analysers[who]?.stream !== stream) {
        const analyser = this.context.createAnalyser();
        analyser.fftSize = 1024;
        this.context.createMediaStreamSource(stream).connect(analyser);
        this.#analysers[who] = { stream, analyser };
      }
      if (this.#analysers[who]) $(`${who}-level`).value = level(this.#analysers[who].analyser);
    }
  }
}

function level(analyser) {
  const data = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(data);
  return Math.min(1, 3 * Math.sqrt(data.reduce((sum, each) => sum + each * each, 0) / data.length));
}
