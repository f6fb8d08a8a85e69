// One unit's live line: answers the unit's WebRTC offer by itself, so that the picture is there before anyone clicks.
//
// The caller's voice stays muted, and our microphone is a silent track, until `openVoices()`. The silent track is there
// from the start so that its SSRC stands in the answer and opening the voices needs no new negotiation.

import { socketUrl } from "./hub.js";
import { Session } from "./session.js";
import { pieces } from "./t140.js";

const RESTART_AFTER_MS = 4000;
const REDIAL_MS = [300, 1000, 2000, 4000];
const LINK_LASTS_MS = 3500;
const MOST_TEXT = 900;

export class Line {
  #socket = null;
  #session = null;
  #queue = Promise.resolve();
  #dials = 0;
  #wanted = true;
  #restart = 0;
  #silence = null;
  #mic = null;
  #link = null;
  #link_at_ms = 0;
  #ice = [];
  #named = null;
  voices = false;
  talking = false;
  phase = "dialling";
  refused = "";
  hello = {};
  name = ""; // as the relay named this console; the unit knows its letters by it

  /** `elements`: {picture, corner, voice}; `context`: the page's AudioContext; `heard`: { change(), text(letters, by),
   * still({ camera, at_utc_us, jpeg }), ending() } (the last before a session goes, and its picture with it). */
  constructor(unit, elements, context, heard) {
    this.unit = unit;
    this.elements = elements;
    this.context = context;
    this.heard = heard;
    elements.voice.muted = true;
    this.#dial();
  }

  get connection() {
    return this.#session?.connection ?? null;
  }

  get microphone() {
    return this.#mic;
  }

  /** The id of the picture's track, to tell its figures from those of the picture in its corner. */
  get pictureTrack() {
    return this.#session?.streams.picture?.getVideoTracks()[0]?.id ?? null;
  }

  /** What the unit said of the link in the last seconds, or null. */
  get link() {
    return performance.now() - this.#link_at_ms < LINK_LASTS_MS ? this.#link : null;
  }

  /** How letters would go now: "channel", "signalling" or "" (not at all). */
  get textWay() {
    if (this.#session?.hasText) return "channel";
    return this.#open && this.phase !== "dialling" && this.phase !== "gone" && this.phase !== "refused" ? "signalling" : "";
  }

  close() {
    this.#wanted = false;
    clearTimeout(this.#restart);
    this.#socket?.close();
    this.#drop();
    for (const track of this.#mic?.getTracks() ?? []) track.stop();
    this.#mic = null;
    this.elements.voice.muted = true;
    for (const element of Object.values(this.elements)) element.srcObject = null;
  }

  /** Hear the caller (unless `deaf`: a horn without its microphone), and be heard if this computer's microphone may be
   * used. Resolves to "" or why not. */
  async openVoices(deaf = false) {
    this.voices = true;
    this.elements.voice.muted = deaf;
    this.elements.voice.play().catch(() => {});
    let problem = "";
    if (!this.#mic) {
      try {
        const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
        this.#mic = await navigator.mediaDevices.getUserMedia({ audio });
      } catch (error) {
        problem = error.name === "NotFoundError" ? "no microphone was found" : "this page may not use the microphone";
      }
    }
    await this.#applyMicrophone();
    return problem;
  }

  /** Whether our voice goes out, as the talk buttons have it. */
  setTalking(talking) {
    this.talking = talking;
    return this.#applyMicrophone();
  }

  get heardThere() {
    return this.voices && this.#mic !== null && this.talking;
  }

  /** Ask for another camera, and what is in its corner (null: nothing); no new session. */
  view(camera, pip) {
    return this.#send({ type: "view", camera, pip });
  }

  /** Send letters (T.140); false when there is no way. */
  text(letters, by) {
    const way = this.textWay;
    if (!way) return false;
    // A data channel carries letters alone: who writes them is told beside it, once for each session and name.
    if (way === "channel" && this.#open && (this.#named?.session !== this.#session || this.#named.by !== by)) {
      this.#named = { session: this.#session, by };
      this.#send({ type: "text", t140: "", by });
    }
    for (const piece of pieces(letters, MOST_TEXT)) {
      if (way === "channel") this.#session.sendText(piece);
      else this.#send({ type: "text", t140: piece, by });
    }
    return true;
  }

  get #open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  async #applyMicrophone() {
    for (const track of this.#mic?.getAudioTracks() ?? []) track.enabled = this.heardThere;
    await this.#session?.setVoice(this.#track());
    this.heard.change();
  }

  #track() {
    const own = this.voices ? this.#mic?.getAudioTracks()[0] : null;
    if (own) return own;
    this.#silence ??= silentTrack(this.context);
    return this.#silence;
  }

  #dial() {
    // A session that goes on while the relay was away is known to the unit by this console's name.
    const mine = this.connection && this.name ? `?peer=${encodeURIComponent(this.name)}` : "";
    const socket = new WebSocket(socketUrl(`/duplex/${encodeURIComponent(this.unit)}${mine}`));
    this.#socket = socket;
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      this.#queue = this.#queue.then(() => this.#take(socket, message)).catch((error) => {
        console.warn("line:", message.type, error);
      });
    };
    socket.onopen = () => {
      this.#dials = 0;
    };
    socket.onclose = () => {
      if (!this.#wanted || socket !== this.#socket) return;
      this.#phase(this.refused ? "refused" : "dialling");
      const wait_ms = REDIAL_MS[Math.min(this.#dials++, REDIAL_MS.length - 1)];
      setTimeout(() => this.#wanted && this.#dial(), wait_ms);
    };
  }

  async #take(socket, message) {
    if (!this.#wanted || socket !== this.#socket) return;
    if (message.type === "ping") this.#send({ type: "pong", n: message.n });
    else if (message.type === "unit_here") {
      this.hello = message;
      this.#phase("connecting");
    } else if (message.type === "unit_gone") this.#gone();
    else if (message.type === "refused") this.refused = message.reason;
    else if (message.type === "ice_servers") this.#ice = message.servers.map((each) => iceServer(each));
    else if (message.type === "link") this.#linked(message);
    else if (message.type === "text") this.heard.text(String(message.t140), String(message.by ?? ""));
    else if (message.type === "still") {
      const jpeg = Uint8Array.from(atob(message.jpeg), (letter) => letter.charCodeAt(0));
      this.heard.still({ camera: message.camera, at_utc_us: message.at_utc_us, jpeg });
    } else if (message.type === "offer") {
      this.name = message.peer ?? "";
      await this.#offered(message.sdp);
    }
    else if (message.type === "ice" && message.candidate && this.connection) {
      await this.connection.addIceCandidate({ candidate: message.candidate, sdpMLineIndex: message.sdp_mline_index ?? 0 });
    }
  }

  #linked(message) {
    this.#link = message;
    this.#link_at_ms = performance.now();
    this.heard.change();
  }

  async #offered(sdp) {
    this.#drop();
    this.refused = "";
    const session = new Session({
      change: () => session === this.#session && this.#show(),
      candidate: (ice) => session === this.#session &&
        this.#send({ type: "ice", candidate: ice?.candidate ?? "", sdp_mline_index: ice?.sdpMLineIndex ?? 0 }),
      state: (state) => session === this.#session && this.#connection(state),
      text: (letters) => session === this.#session && this.heard.text(letters, ""),
      still: (still) => session === this.#session && this.heard.still(still),
    }, this.#ice);
    this.#session = session;
    this.#phase("connecting");
    this.#restartLater(2 * RESTART_AFTER_MS);
    this.#send({ type: "answer", sdp: await session.answer(sdp, () => this.#track()) });
  }

  #show() {
    const { picture, corner, voice } = this.#session.streams;
    for (const [element, stream] of [[this.elements.picture, picture], [this.elements.corner, corner], [this.elements.voice, voice]]) {
      // Until the new session's picture is there the old one's last stays to be seen; a corner just goes.
      if (element.srcObject === stream || (!stream && element !== this.elements.corner)) continue;
      element.srcObject = stream;
      if (stream) element.play().catch(() => {});
    }
    this.heard.change();
  }

  #connection(state) {
    if (state === "connected") {
      clearTimeout(this.#restart);
      this.#phase("connected");
    } else if (state === "failed") {
      this.#phase("connecting");
      this.#restartLater(0);
    } else if (state === "disconnected") {
      this.#phase("shaky");
      this.#restartLater(RESTART_AFTER_MS);
    }
  }

  /** Ask the unit to offer again, unless the connection comes (back) before. */
  #restartLater(after_ms) {
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => {
      if (!this.#wanted || this.connection?.connectionState === "connected") return;
      this.#send({ type: "restart" });
      this.#restartLater(2 * RESTART_AFTER_MS);
    }, after_ms);
  }

  #gone() {
    clearTimeout(this.#restart);
    this.#drop();
    this.#phase("gone");
  }

  #drop() {
    if (this.#session) this.heard.ending();
    this.#session?.close();
    this.#session = null;
  }

  #send(message) {
    if (this.#open) this.#socket.send(JSON.stringify(message));
    return this.#open;
  }

  #phase(phase) {
    this.phase = phase;
    this.heard.change();
  }
}

/** As RTCPeerConnection wants it: a TURN server's name and password only where there are any. */
function iceServer({ urls, username, credential }) {
  return username ? { urls, username, credential } : { urls };
}

/** A track of silence that really sends: a destination without a source would send nothing, and a unit takes a console
 * from which nothing comes for a dead one. */
function silentTrack(context) {
  const source = context.createConstantSource();
  source.offset.value = 0;
  const destination = context.createMediaStreamDestination();
  source.connect(destination);
  source.start();
  return destination.stream.getAudioTracks()[0];
}
