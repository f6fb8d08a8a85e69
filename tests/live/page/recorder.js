// Hands the sound on as it comes, 20 ms at a time, with the context's own sample count.

class Recorder extends AudioWorkletProcessor {
  #held = new Int16Array(960);
  #count = 0;

  process([input]) {
    const samples = input[0];
    for (let index = 0; index < 128; index++) {
      const value = samples ? Math.max(-1, Math.min(1, samples[index])) : 0;
      this.#held[this.#count++] = Math.round(value * 32767);
      if (this.#count === this.#held.length) {
        this.port.postMessage(this.#held.slice());
        this.#count = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
