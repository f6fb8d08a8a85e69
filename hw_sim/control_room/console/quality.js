// How good the line is, in plain words: what the unit says of it once a second, and the browser's own counters.

const WEAK_LOSS = 0.08;
const FAIR_LOSS = 0.02;
const WEAK_FPS = 8;
const FAIR_FPS = 15;
const FAIR_ROUND_TRIP_S = 0.3;
const WEAK_ROUND_TRIP_S = 0.8;
const OLD_S = 2;

/** The unit's steps (docs/design/live-call.md, "The ladder") in words, and the bars that they are worth at most. */
export const STEPS = {
  main: { words: "full picture", bars: 4 },
  sub: { words: "smaller picture", bars: 4 },
  low: { words: "reduced picture", bars: 2 },
  stills: { words: "still pictures", bars: 2 },
  voice: { words: "voice alone", bars: 1 },
};

export class Quality {
  #last = null;
  #connection = null;
  #picture_at_ms = 0;

  /** When the last picture came that the counters know of, of performance.now(). */
  get pictureAt() {
    return this.#picture_at_ms;
  }

  /** {bars: 0..4, words, figures} of a line now. `link`: what the unit said of it, or null; `age_s`: of the picture that
   * is shown, in whatever way it came; `camera` is false when the unit says that it has lost its camera. */
  async look(line, age_s, camera = true) {
    const { connection, phase, link } = line;
    const waiting = { gone: "The unit's line dropped; it is calling back", refused: "Waiting for the unit to call", dialling: "Waiting for the unit to call" }[phase]
      ?? (!connection || phase === "connecting" ? "Connecting picture and voice" : "");
    if (waiting) return { bars: 0, words: waiting, figures: "" };
    if (connection !== this.#connection) {
      this.#connection = connection;
      this.#last = null;
      this.#picture_at_ms = performance.now();
    }
    const now = readings(await connection.getStats(), line.pictureTrack);
    const last = this.#last;
    this.#last = now;
    if (last && now.frames > last.frames) this.#picture_at_ms = now.at_ms;
    const sums = last ? between(last, now) : null;
    return { ...judge(sums, phase, link, age_s, camera), figures: figures(sums, link) };
  }
}

function judge(sums, phase, link, age_s, camera) {
  const old = Math.floor(age_s);
  const step = STEPS[link?.step];
  const most = step?.bars ?? 4;
  if (phase === "shaky" || sums?.got === 0) return { bars: 1, words: `The link has gone quiet; waiting for it${old >= OLD_S ? `. The picture is ${old} s old` : ""}` };
  if (link?.step === "voice") return { bars: 1, words: told(link) || "Voice alone: the link is too weak for a picture" };
  if (old >= OLD_S && !camera) return { bars: Math.min(2, most), words: `The picture is ${old} s old: the camera does not answer; the voices go on` };
  if (old >= OLD_S) return { bars: 1, words: `The picture is ${old} s old; the voice goes first on a weak link` };
  if (!sums) return { bars: most, words: told(link) || "Connected" };
  const moving = !link || ["main", "sub", "low"].includes(link.step);
  const loss = Math.max(sums.loss, (link?.loss_percent ?? 0) / 100);
  const round_trip_s = Math.max(sums.round_trip_s, (link?.round_trip_ms ?? 0) / 1000);
  const weak = loss > WEAK_LOSS || (moving && sums.fps < WEAK_FPS) || round_trip_s > WEAK_ROUND_TRIP_S;
  const fair = loss > FAIR_LOSS || (moving && sums.fps < FAIR_FPS) || round_trip_s > FAIR_ROUND_TRIP_S;
  const bars = Math.min(most, weak ? 2 : fair ? 3 : 4);
  const own = weak || bars < 3 ? "Weak link: speak slowly, one at a time" : fair ? "Fair link" : "Good link";
  // The unit calls the link good, and little comes here: the bars may not say it alone.
  const but = !weak || !/^good\b/i.test(link?.words ?? "") ? ""
    : loss > WEAK_LOSS ? ", but much is lost on the way" : round_trip_s > WEAK_ROUND_TRIP_S ? ", but slow there and back" : ", but few pictures arrive here";
  return { bars, words: told(link) ? told(link) + but : own };
}

/** The unit's own words of the link ("weak: small, coarse picture"), as a sentence begins. */
function told(link) {
  const words = link?.words ?? "";
  return /^(very )?(good|fair|weak)\b/.test(words) ? `Link: ${words}` : words.charAt(0).toUpperCase() + words.slice(1);
}

function figures(sums, link) {
  const found = [];
  if (link) found.push(STEPS[link.step]?.words ?? link.step);
  const kbit_s = link?.kbit_s || sums?.kbit_s;
  if (kbit_s) found.push(link?.capacity_kbit_s ? `${rate(kbit_s)} of ${rate(link.capacity_kbit_s)}` : rate(kbit_s));
  if (sums && (!link || ["main", "sub", "low"].includes(link.step))) found.push(`${Math.round(sums.fps)} pictures/s`);
  const round_trip_ms = Math.round(Math.max((sums?.round_trip_s ?? 0) * 1000, link?.round_trip_ms ?? 0));
  if (sums || link) found.push(`${round_trip_ms} ms there and back`);
  const loss = Math.max(sums?.loss ?? 0, (link?.loss_percent ?? 0) / 100);
  if (loss > 0.005) found.push(`${Math.round(loss * 100)} % lost`);
  if (sums?.freezes) found.push(`froze ${sums.freezes === 1 ? "once" : `${sums.freezes} times`}, ${sums.frozen_s.toFixed(1)} s in all`);
  return found.join(" · ");
}

function rate(kbit_s) {
  if (kbit_s >= 9950) return `${Math.round(kbit_s / 1000)} Mbit/s`;
  return kbit_s > 950 ? `${(kbit_s / 1000).toFixed(1)} Mbit/s` : `${Math.round(kbit_s)} kbit/s`;
}

function between(last, now) {
  const seconds = Math.max(0.2, (now.at_ms - last.at_ms) / 1000);
  const got = now.packets - last.packets;
  const lost = Math.max(0, now.lost - last.lost);
  return {
    got,
    loss: got + lost > 0 ? lost / (got + lost) : 0,
    fps: (now.frames - last.frames) / seconds,
    kbit_s: ((now.bytes - last.bytes) * 8) / seconds / 1000,
    round_trip_s: now.round_trip_s,
    freezes: now.freezes,
    frozen_s: now.frozen_s,
  };
}

/** Freezes as webrtc-stats counts them (`freezeCount`): of the first picture only, not of the one in its corner. */
function readings(stats, picture_track) {
  const sum = { at_ms: performance.now(), frames: 0, packets: 0, lost: 0, bytes: 0, round_trip_s: 0, freezes: 0, frozen_s: 0 };
  for (const each of stats.values()) {
    if (each.type === "inbound-rtp") {
      sum.packets += each.packetsReceived ?? 0;
      sum.lost += each.packetsLost ?? 0;
      sum.bytes += each.bytesReceived ?? 0;
      if (each.kind === "video" && each.trackIdentifier === picture_track) {
        sum.frames = each.framesDecoded ?? 0;
        sum.freezes = each.freezeCount ?? 0;
        sum.frozen_s = each.totalFreezesDuration ?? 0;
      }
    } else if (each.type === "candidate-pair" && each.nominated && each.state === "succeeded") {
      sum.round_trip_s = each.currentRoundTripTime ?? 0;
    }
  }
  return sum;
}
