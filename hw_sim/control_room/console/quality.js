// How good the line is, in plain words, from the browser's own counters once a second.

const WEAK_LOSS = 0.08;
const FAIR_LOSS = 0.02;
const WEAK_FPS = 8;
const FAIR_FPS = 15;
const FAIR_ROUND_TRIP_S = 0.3;
const WEAK_ROUND_TRIP_S = 0.8;

export class Quality {
  #last = null;
  #connection = null;
  #picture_at_ms = 0;

  /** {bars: 0..4, words, figures} of an RTCPeerConnection (or null) in a line's `phase`; `camera` is false when the
   * unit says that it has lost its camera. */
  async look(connection, phase, camera = true) {
    if (phase === "gone") return { bars: 0, words: "The unit's line dropped; it is calling back", figures: "" };
    if (phase === "refused" || phase === "dialling") return { bars: 0, words: "Waiting for the unit to call", figures: "" };
    if (!connection || phase === "connecting") return { bars: 0, words: "Connecting picture and voice", figures: "" };
    if (connection !== this.#connection) {
      this.#connection = connection;
      this.#last = null;
      this.#picture_at_ms = performance.now();
    }
    const now = readings(await connection.getStats());
    const last = this.#last;
    this.#last = now;
    if (!last) return { bars: 4, words: "Connected", figures: "" };
    return this.#judge(now, last, phase, camera);
  }

  #judge(now, last, phase, camera) {
    const seconds = Math.max(0.2, (now.at_ms - last.at_ms) / 1000);
    const fps = (now.frames - last.frames) / seconds;
    const got = now.packets - last.packets;
    const lost = Math.max(0, now.lost - last.lost);
    const loss = got + lost > 0 ? lost / (got + lost) : 0;
    const kbit_s = ((now.bytes - last.bytes) * 8) / seconds / 1000;
    if (fps > 0) this.#picture_at_ms = now.at_ms;
    const still_s = Math.round((now.at_ms - this.#picture_at_ms) / 1000);
    const rate = kbit_s > 950 ? `${(kbit_s / 1000).toFixed(1)} Mbit/s` : `${Math.round(kbit_s)} kbit/s`;
    const figures = `${Math.round(fps)} pictures/s · ${rate} · ${Math.round(now.round_trip_s * 1000)} ms there and back` +
      (loss > 0.005 ? ` · ${Math.round(loss * 100)} % lost` : "");
    if (phase === "shaky" || got === 0) return { bars: 1, words: "The link has gone quiet; waiting for it", figures };
    if (still_s >= 2 && !camera) return { bars: 2, words: `No picture for ${still_s} s: the camera does not answer; the voices go on`, figures };
    if (still_s >= 2) return { bars: 1, words: `No picture for ${still_s} s; the voice goes first on a weak link`, figures };
    if (loss > WEAK_LOSS || fps < WEAK_FPS || now.round_trip_s > WEAK_ROUND_TRIP_S) {
      return { bars: 2, words: "Weak link: speak slowly, one at a time", figures };
    }
    if (loss > FAIR_LOSS || fps < FAIR_FPS || now.round_trip_s > FAIR_ROUND_TRIP_S) return { bars: 3, words: "Fair link", figures };
    return { bars: 4, words: "Good link", figures };
  }
}

function readings(stats) {
  const sum = { at_ms: performance.now(), frames: 0, packets: 0, lost: 0, bytes: 0, round_trip_s: 0 };
  for (const each of stats.values()) {
    if (each.type === "inbound-rtp") {
      sum.packets += each.packetsReceived ?? 0;
      sum.lost += each.packetsLost ?? 0;
      sum.bytes += each.bytesReceived ?? 0;
      if (each.kind === "video") sum.frames += each.framesDecoded ?? 0;
    } else if (each.type === "candidate-pair" && each.nominated && each.state === "succeeded") {
      sum.round_trip_s = each.currentRoundTripTime ?? 0;
    }
  }
  return sum;
}
