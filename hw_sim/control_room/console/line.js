// One unit's live line: answers the unit's WebRTC offer by itself, so that the picture is there before anyone clicks.
//
// The caller's voice stays muted, and our microphone is a silent track, until `openVoices()`. The silent track is there
// from the start so that its SSRC stands in the answer and opening the voices needs no new negotiation.

import { socketUrl } from "./hub.js";

const RESTART_AFTER_MS = 4000;
const REDIAL_MS = [300, 1000, 2000, 4000];

export class Line {
  #socket = null;
  #pc = null;
  #queue = Promise.resolve();
  #dials = 0;
  #wanted = true;
  #restart = 0;
  #silence = null;
  #mic = null;
  #talking = false;
  voices = false;
  muted = false;
  phase = "dialling";
  refused = "";

  /** `elements`: {video, audio}; `context`: the page's AudioContext; `onChange()` after every change of phase. */
  constructor(unit, elements, context, onChange) {
    this.unit = unit;
    this.elements = elements;
    this.context = context;
    this.onChange = onChange;
    elements.audio.muted = true;
    this.#dial();
  }

  get connection() {
    return this.#pc;
  }

  get microphone() {
    return this.#mic;
  }

  close() {
    this.#wanted = false;
    clearTimeout(this.#restart);
    this.#socket?.close();
    this.#drop();
    for (const track of this.#mic?.getTracks() ?? []) track.stop();
    this.#mic = null;
    this.elements.audio.muted = true;
    this.elements.video.srcObject = this.elements.audio.srcObject = null;
  }

  /** Hear the caller, and be heard if this computer's microphone may be used. Resolves to "" or why not. */
  async openVoices() {
    this.voices = true;
    this.elements.audio.muted = false;
    this.elements.audio.play().catch(() => {});
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

  setMuted(muted) {
    this.muted = muted;
    return this.#applyMicrophone();
  }

  /** While muted: talk for as long as this is true. */
  setTalking(talking) {
    this.#talking = talking;
    return this.#applyMicrophone();
  }

  get heard() {
    return this.voices && this.#mic !== null && (!this.muted || this.#talking);
  }

  async #applyMicrophone() {
    const sender = this.#audioSender();
    for (const track of this.#mic?.getAudioTracks() ?? []) track.enabled = this.heard;
    await sender?.replaceTrack(this.#track()).catch(() => {});
    this.onChange();
  }

  #track() {
    const own = this.voices ? this.#mic?.getAudioTracks()[0] : null;
    if (own) return own;
    this.#silence ??= silentTrack(this.context);
    return this.#silence;
  }

  #audioSender() {
    return this.#pc?.getTransceivers().find((each) => each.receiver.track.kind === "audio")?.sender ?? null;
  }

  #dial() {
    const socket = new WebSocket(socketUrl(`/duplex/${encodeURIComponent(this.unit)}`));
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
    else if (message.type === "unit_here") this.#phase("connecting");
    else if (message.type === "unit_gone") this.#gone();
    else if (message.type === "refused") this.refused = message.reason;
    else if (message.type === "offer") await this.#offered(message.sdp);
    else if (message.type === "ice" && message.candidate && this.#pc) {
      await this.#pc.addIceCandidate({ candidate: message.candidate, sdpMLineIndex: message.sdp_mline_index ?? 0 });
    }
  }

  async #offered(sdp) {
    this.#drop();
    this.refused = "";
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#pc = pc;
    pc.onicecandidate = ({ candidate }) => {
      if (pc !== this.#pc) return;
      this.#send({ type: "ice", candidate: candidate?.candidate ?? "", sdp_mline_index: candidate?.sdpMLineIndex ?? 0 });
    };
    pc.ontrack = ({ track, receiver }) => {
      receiver.jitterBufferTarget = track.kind === "video" ? 0 : 40;
      const element = track.kind === "video" ? this.elements.video : this.elements.audio;
      element.srcObject = new MediaStream([track]);
      element.play().catch(() => {});
      this.onChange();
    };
    pc.onconnectionstatechange = () => pc === this.#pc && this.#connection(pc.connectionState);
    this.#phase("connecting");
    this.#restartLater(2 * RESTART_AFTER_MS);
    await pc.setRemoteDescription({ type: "offer", sdp });
    for (const each of pc.getTransceivers()) {
      const audio = each.receiver.track.kind === "audio";
      each.direction = audio ? "sendrecv" : "recvonly";
      if (audio) await each.sender.replaceTrack(this.#track());
    }
    await pc.setLocalDescription(await pc.createAnswer());
    this.#send({ type: "answer", sdp: pc.localDescription.sdp });
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
      if (!this.#wanted || this.#pc?.connectionState === "connected") return;
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
    const pc = this.#pc;
    this.#pc = null;
    if (pc) {
      pc.onicecandidate = pc.ontrack = pc.onconnectionstatechange = null;
      pc.close();
    }
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #phase(phase) {
    this.phase = phase;
    this.onChange();
  }
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
