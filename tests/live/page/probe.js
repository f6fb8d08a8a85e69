// The console's own line to the unit, and a witness of all that it shows and plays.
//
// Times are milliseconds of performance.now(); whoever asks converts them. What was seen is taken by `probe.take()`.

import { Line } from "/console/line.js";
import { readTimeCode } from "/page/timecode.js";

const UNIT = new URL(location.href).searchParams.get("unit");
const STATS_EVERY_MS = 500;
const CODE_PIXELS = [160, 16];

let pcm_from_ms = null;
let fresh = blank();

// frames: [shown at, code, width]; stills: [shown at, code, bytes]; messages: [at, message of the line].
function blank() {
  return { frames: [], stills: [], messages: [], stats: [], phases: [], pcm: [] };
}

// --- the picture -----------------------------------------------------------------------------------------------------

const video = document.getElementById("video");
const canvas = new OffscreenCanvas(...CODE_PIXELS);
const drawing = canvas.getContext("2d", { willReadFrequently: true });

function codeOf(source, width, height) {
  drawing.drawImage(source, 0, 0, width / 2, (height * 4) / 45, 0, 0, ...CODE_PIXELS);
  return readTimeCode(drawing.getImageData(0, 0, ...CODE_PIXELS));
}

function shown() {
  fresh.frames.push([performance.now(), codeOf(video, video.videoWidth, video.videoHeight), video.videoWidth]);
  video.requestVideoFrameCallback(shown);
}
video.requestVideoFrameCallback(shown);

async function sawStill(jpeg) {
  try {
    const blob = jpeg instanceof Blob ? jpeg : new Blob([jpeg], { type: "image/jpeg" });
    const picture = await createImageBitmap(blob);
    fresh.stills.push([performance.now(), codeOf(picture, picture.width, picture.height), blob.size]);
    picture.close();
  } catch (error) {
    fresh.messages.push([performance.now(), { type: "bad still", reason: String(error) }]);
  }
}

// --- what the line says and carries ----------------------------------------------------------------------------------

const PlainWebSocket = window.WebSocket;
window.WebSocket = class extends PlainWebSocket {
  constructor(...how) {
    super(...how);
    this.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      delete message.jpeg;
      delete message.sdp;
      if (!["ping", "ice"].includes(message.type)) fresh.messages.push([performance.now(), message]);
    });
  }
};

const PlainPeer = window.RTCPeerConnection;
window.RTCPeerConnection = class extends PlainPeer {
  constructor(...how) {
    super(...how);
    this.addEventListener("connectionstatechange", () => fresh.phases.push([performance.now(), this.connectionState]));
    this.addEventListener("track", ({ track }) => track.kind === "audio" && hear(track));
  }
};

// --- the caller's voice ----------------------------------------------------------------------------------------------

const context = new AudioContext({ sampleRate: 48000 });
let recorder = null;
let source = null;

async function listen() {
  await context.audioWorklet.addModule("/page/recorder.js");
  recorder = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
  recorder.connect(context.destination); // silence: it never writes its output, but is asked for it at every block
  recorder.port.onmessage = ({ data }) => {
    pcm_from_ms ??= performance.now() - 20;
    fresh.pcm.push(data);
  };
}

function hear(track) {
  source?.disconnect();
  source = context.createMediaStreamSource(new MediaStream([track]));
  if (recorder) source.connect(recorder);
}

// --- figures ---------------------------------------------------------------------------------------------------------

const KEPT = {
  "inbound-rtp": ["kind", "mid", "packetsReceived", "packetsLost", "bytesReceived", "retransmittedPacketsReceived", "framesDecoded",
    "framesDropped", "freezeCount", "totalFreezesDuration", "keyFramesDecoded", "pliCount", "nackCount", "jitter",
    "jitterBufferDelay", "jitterBufferEmittedCount", "concealedSamples", "silentConcealedSamples", "concealmentEvents",
    "totalSamplesReceived", "insertedSamplesForDeceleration", "removedSamplesForAcceleration", "totalDecodeTime"],
  "candidate-pair": ["currentRoundTripTime", "nominated", "state"],
  "remote-inbound-rtp": ["kind", "fractionLost", "roundTripTime", "packetsLost"],
};

async function look() {
  const connection = line?.connection;
  if (!connection) return;
  const kept = [];
  for (const each of (await connection.getStats()).values()) {
    const fields = KEPT[each.type];
    if (!fields || (each.type === "candidate-pair" && !each.nominated)) continue;
    kept.push({ type: each.type, ...Object.fromEntries(fields.filter((name) => name in each).map((name) => [name, each[name]])) });
  }
  fresh.stats.push([performance.now(), kept]);
}

// --- the line --------------------------------------------------------------------------------------------------------

let line = null;

window.probe = {
  async start() {
    await context.resume();
    await listen();
    const elements = { picture: video, corner: document.getElementById("corner"), voice: document.getElementById("voice") };
    const heard = {
      change: () => fresh.phases.push([performance.now(), line?.phase ?? "dialling"]),
      text: (letters) => fresh.messages.push([performance.now(), { type: "letters", letters }]),
      still: ({ jpeg }) => sawStill(jpeg),
    };
    // Whatever else the line tells a console is not for us.
    line = new Line(UNIT, elements, context, new Proxy(heard, { get: (to, name) => to[name] ?? (() => undefined) }));
    window.line = line;
    setInterval(look, STATS_EVERY_MS);
    return performance.now();
  },
  now: () => performance.now(),
  /** The operator answers: hears, and is heard. */
  async openVoices() {
    const problem = await line.openVoices();
    await line.setTalking(true);
    return problem;
  },
  /** All that was seen since the last time. */
  take() {
    const taken = fresh;
    fresh = blank();
    const pcm = new Int16Array(taken.pcm.length * 960);
    taken.pcm.forEach((each, index) => pcm.set(each, index * 960));
    let text = "";
    const bytes = new Uint8Array(pcm.buffer);
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return JSON.stringify({ ...taken, pcm: btoa(text), pcm_from_ms });
  },
};
window.ready = true;
