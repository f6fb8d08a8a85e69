"""The operator's voice as it comes out of a session."""

import time
from typing import Any

from unitd.call.rtc.ear import Ear
from unitd.call.rtc.gst import Gst
from unitd.call.rtc.packets import PacketNotes
from unitd.call.rtc.pipeline import VOICE_IN
from unitd.call.voice.jitter import JitterMeter
from unitd.call.voice.playout import Playout

MAX_VOICES = 4
"""Streams of sound that one console may send; a browser sends one."""
SETTLE_PULLS = 5
SETTLE_S = 0.003
STUCK_S, STUCK_PACKETS = 1.5, 25
"""So many packets have come in so long, and no sound has come of them: the way from the one to the other is stuck."""
MOST_MEASURED = 20
"""Of the packets between two looks, 100 ms: a voice has five. A flood of them is not worth our time."""


class VoiceIn:
    """Decodes what arrives into a Playout, which asks for it (48 kHz s16 mono) and is told how much to keep in hand.
    `take_pad` and `take_buffer` are called on GStreamer's threads, `pull` on the sound card's. Nothing of Python runs
    on the pipeline's threads."""

    def __init__(self, playout: Playout) -> None:
        self._ears: tuple[Ear, ...] = ()
        self._buffers: tuple[_Buffer, ...] = ()
        self._pulls = 0
        self._silent_since_s = 0.0
        self._unheard_packets = 0
        self._playout = playout
        self.wait_s = 0.0
        """How long a missing packet is waited for now."""
        playout.draw_from(self.pull)

    def take_buffer(self, element: Any) -> None:
        """Let an rtpjitterbuffer of this session wait as long as its stream needs, from what comes into it."""
        self._buffers = (*self._buffers, _Buffer(element))

    def take_pad(self, pipeline: Any, pad: Any) -> None:
        """Link a new source pad of webrtcbin when it carries sound; a flood of them is let go."""
        caps = pad.get_current_caps() or pad.query_caps(None)
        # As text: from GStreamer 1.26 on, Python gets another kind of structure than before.
        if "media=(string)audio" not in caps.to_string():
            return
        if len(self._ears) >= MAX_VOICES:
            return
        decoder, ear = Gst.parse_bin_from_description(VOICE_IN, True), Ear()
        ear.watch(decoder.get_by_name("ear").get_static_pad("sink"))
        ear.guard(decoder.get_by_name("decoder").get_static_pad("sink"))
        self._ears = (*self._ears, ear)
        pipeline.add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def detach(self) -> None:
        """Let go of the elements: nothing of the pipeline is held any more."""
        self._buffers = self._ears = ()

    def pull(self) -> list[bytes]:
        """What has been said since the last call; some times a second it also looks how late packets come."""
        self._pulls += 1
        if self._pulls % SETTLE_PULLS == 0:
            for buffer in self._buffers:
                packets = buffer.settle()
                self._unheard_packets += packets
                if packets:
                    self.wait_s = buffer.wait_s
                    self._playout.aim(buffer.delay_s)
        heard = [said for ear in self._ears if (said := ear.take())]
        if heard or not self._unheard_packets:
            self._silent_since_s, self._unheard_packets = time.monotonic(), 0
        return heard

    def stuck(self) -> str:
        """What is known of a buffer into which packets go and of which no sound comes; empty when all is well. Nothing
        of ours is known to bring it about (`Ear.guard` keeps away what did): who asks makes another session."""
        silent_s = time.monotonic() - self._silent_since_s
        if not self._ears or self._unheard_packets < STUCK_PACKETS or silent_s < STUCK_S:
            return ""
        return f"no sound of {self._unheard_packets} packets; " + "; ".join(buffer.stats for buffer in self._buffers)


class _Buffer:
    """One jitter buffer, and what is known of its stream."""

    def __init__(self, element: Any) -> None:
        self._element = element
        self._notes = PacketNotes()
        self._notes.watch(element.get_static_pad("sink"))
        self._meter = JitterMeter()
        self.wait_s = 0.0

    @property
    def delay_s(self) -> float:
        return self._meter.delay_s

    @property
    def stats(self) -> str:
        """GStreamer's figures, for a log."""
        return str(self._element.get_property("stats").to_string())

    def settle(self) -> int:
        """Make it wait as long as what came says; how many packets came."""
        notes = self._notes.take()
        for note in notes[:MOST_MEASURED]:
            self._meter.packet(note.rtp_time, note.sequence, note.at_s)
        wait_s = self._meter.wait_s
        if notes and abs(wait_s - self.wait_s) > SETTLE_S:
            self.wait_s = wait_s
            self._element.set_property("latency", round(1000 * wait_s))
        return len(notes)
