// The ring tone, made by WebAudio: two short rings and a pause, at most as loud as a telephone.

const RING_HZ = [480, 620];
const LOUD = 0.12;
const PATTERN_S = [[0, 0.4], [0.6, 0.4]];
const EVERY_MS = 2400;

export class Ring {
  #timer = 0;

  constructor(context) {
    this.context = context;
  }

  /** Whether the browser would let it be heard now (it wants one click on the page first). */
  get allowed() {
    return this.context.state === "running";
  }

  set(ringing) {
    if (ringing && !this.#timer) {
      this.#once();
      this.#timer = setInterval(() => this.#once(), EVERY_MS);
    } else if (!ringing && this.#timer) {
      clearInterval(this.#timer);
      this.#timer = 0;
    }
  }

  #once() {
    if (!this.allowed) return;
    const now = this.context.currentTime;
    for (const [after, long] of PATTERN_S) {
      const gain = this.context.createGain();
      gain.gain.setValueAtTime(0, now + after);
      gain.gain.linearRampToValueAtTime(LOUD, now + after + 0.02);
      gain.gain.setValueAtTime(LOUD, now + after + long - 0.05);
      gain.gain.linearRampToValueAtTime(0, now + after + long);
      gain.connect(this.context.destination);
      for (const hz of RING_HZ) {
        const tone = this.context.createOscillator();
        tone.frequency.value = hz;
        tone.connect(gain);
        tone.start(now + after);
        tone.stop(now + after + long);
      }
    }
  }
}
