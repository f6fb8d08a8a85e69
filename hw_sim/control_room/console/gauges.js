// How loud both voices are, ten times a second.

const EVERY_MS = 100;
const $ = (id) => document.getElementById(id);

export class Gauges {
  #analysers = {};

  /** `line()` is the present Line or null. */
  constructor(context, line) {
    this.context = context;
    this.line = line;
    setInterval(() => this.#voices(), EVERY_MS);
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
