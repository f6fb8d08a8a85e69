// Sound between the page and the street: the horn out of these loudspeakers, this microphone in front of the pole's.

import { socketUrl } from "/console/hub.js";

const RATE_HZ = 48000;
const LEAD_S = 0.08;
const MOST_AHEAD_S = 0.5;
const SOUNDER_HZ = 2300;

export class StreetSound {
  is = { listen: false, speak: false };
  #context = null;
  #socket = null;
  #play_at_s = 0;
  #microphone = null;
  #beep = null;

  constructor(onWords, onLevel) {
    this.onWords = onWords;
    this.onLevel = onLevel;
  }

  /** Hear the horn (and the sounder) or not; resolves to what it is now. */
  async listen(on) {
    this.is.listen = on;
    await this.#connect();
    if (!on) this.sounder(false);
    this.onWords(on ? "You hear what the horn plays. Wear headphones when you also speak." : "");
    return on;
  }

  /** Put this computer's microphone in front of the pole's, or take it away. */
  async speak(on) {
    if (on) {
      try {
        await this.#connect();
        await this.#openMicrophone();
      } catch (error) {
        this.onWords(`No microphone: ${error.message}`);
        return (this.is.speak = false);
      }
    } else {
      for (const track of this.#microphone?.getTracks() ?? []) track.stop();
      this.#microphone = null;
    }
    this.is.speak = on;
    await this.#connect();
    return on;
  }

  /** The sounder's beep, for as long as its line is high and the page listens. */
  sounder(on) {
    if (on && this.is.listen && !this.#beep && this.#context) {
      const tone = this.#context.createOscillator();
      const gain = this.#context.createGain();
      tone.frequency.value = SOUNDER_HZ;
      gain.gain.value = 0.05;
      tone.connect(gain).connect(this.#context.destination);
      tone.start();
      this.#beep = tone;
    } else if (!on && this.#beep) {
      this.#beep.stop();
      this.#beep = null;
    }
  }

  async #connect() {
    const wanted = this.is.listen || this.is.speak || Boolean(this.#microphone);
    this.#context ??= new AudioContext({ sampleRate: RATE_HZ });
    await this.#context.resume();
    if (!wanted && this.#socket) {
      this.#socket.onclose = null;
      this.#socket.close();
      this.#socket = null;
      this.onLevel(0);
    } else if (wanted && !this.#socket) {
      const socket = new WebSocket(socketUrl("/api/sound"));
      socket.binaryType = "arraybuffer";
      socket.onmessage = (event) => this.#heard(new Int16Array(event.data));
      socket.onclose = () => {
        this.#socket = null;
        setTimeout(() => this.#connect(), 1000);
      };
      this.#socket = socket;
    }
  }

  #heard(samples) {
    const buffer = this.#context.createBuffer(1, samples.length, RATE_HZ);
    const data = buffer.getChannelData(0);
    let power = 0;
    for (let i = 0; i < samples.length; i++) {
      data[i] = samples[i] / 32768;
      power += data[i] * data[i];
    }
    this.onLevel(Math.min(1, 3 * Math.sqrt(power / samples.length)));
    if (!this.is.listen) return;
    const now_s = this.#context.currentTime;
    if (this.#play_at_s < now_s || this.#play_at_s > now_s + MOST_AHEAD_S) this.#play_at_s = now_s + LEAD_S;
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#context.destination);
    source.start(this.#play_at_s);
    this.#play_at_s += buffer.duration;
  }

  async #openMicrophone() {
    const audio = { echoCancellation: true, noiseSuppression: false, autoGainControl: false };
    this.#microphone = await navigator.mediaDevices.getUserMedia({ audio });
    await this.#context.audioWorklet.addModule("/pole/capture.js");
    const capture = new AudioWorkletNode(this.#context, "capture");
    capture.port.onmessage = ({ data }) => {
      if (this.is.speak && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(data);
    };
    this.#context.createMediaStreamSource(this.#microphone).connect(capture);
  }
}
