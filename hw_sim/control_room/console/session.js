// One media session: the answer to one offer of the unit, its tracks and its data channels.
//
// The unit offers one or two picture tracks (the second is the picture in the corner), a voice both ways, and the data
// channels `t140` (letters, both ways) and `stills` (pictures where no stream gets through).

import { StillParts } from "./still_parts.js";

const VIDEO_BUFFER_MS = 0;
const VOICE_BUFFER_MS = 40;

export class Session {
  streams = { picture: null, corner: null, voice: null };
  #text = null;
  #parts = new StillParts();

  /** `heard`: { change(), candidate(ice), state(connectionState), text(letters), still({ camera, at_utc_us, jpeg }) }. */
  constructor(heard, iceServers) {
    this.heard = heard;
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers });
    this.connection = pc;
    pc.onicecandidate = ({ candidate }) => this.connection && heard.candidate(candidate);
    pc.onconnectionstatechange = () => this.connection && heard.state(pc.connectionState);
    pc.ontrack = ({ track, receiver, transceiver }) => this.#track(track, receiver, transceiver);
    pc.ondatachannel = ({ channel }) => this.#channel(channel);
  }

  /** The answer's SDP; `voice()` is the track that we send. */
  async answer(sdp, voice) {
    const pc = this.connection;
    await pc.setRemoteDescription({ type: "offer", sdp });
    for (const each of pc.getTransceivers()) {
      const audio = each.receiver.track.kind === "audio";
      each.direction = audio ? "sendrecv" : "recvonly";
      if (audio) await each.sender.replaceTrack(voice());
    }
    await pc.setLocalDescription(await pc.createAnswer());
    return pc.localDescription.sdp;
  }

  /** Whether letters can go by the data channel. */
  get hasText() {
    return this.#text?.readyState === "open";
  }

  sendText(letters) {
    this.#text.send(letters);
  }

  setVoice(track) {
    const transceiver = this.connection?.getTransceivers().find((each) => each.receiver.track.kind === "audio");
    return transceiver?.sender.replaceTrack(track).catch(() => {});
  }

  close() {
    const pc = this.connection;
    this.connection = null;
    if (!pc) return;
    pc.onicecandidate = pc.onconnectionstatechange = pc.ontrack = pc.ondatachannel = null;
    pc.close();
  }

  #track(track, receiver, transceiver) {
    const video = track.kind === "video";
    receiver.jitterBufferTarget = video ? VIDEO_BUFFER_MS : VOICE_BUFFER_MS;
    const pictures = this.connection.getTransceivers().filter((each) => each.receiver.track.kind === "video");
    const place = !video ? "voice" : pictures.indexOf(transceiver) > 0 ? "corner" : "picture";
    this.streams[place] = new MediaStream([track]);
    this.heard.change();
  }

  #channel(channel) {
    channel.binaryType = "arraybuffer";
    if (channel.label === "t140") {
      this.#text = channel;
      channel.onopen = channel.onclose = () => this.heard.change();
      channel.onmessage = ({ data }) => this.heard.text(typeof data === "string" ? data : new TextDecoder().decode(data));
    } else if (channel.label === "stills") {
      channel.onmessage = ({ data }) => {
        const still = this.#parts.take(data);
        if (still) this.heard.still(still);
      };
    }
  }
}
