"""The operator's voice as it comes out of a session."""

import struct
import time
from collections.abc import Callable
from typing import Any

from unitd.call.rtc.gst import Gst, bytes_of
from unitd.call.rtc.pipeline import VOICE_IN
from unitd.call.voice.jitter import JitterMeter
from unitd.call.voice.playout import Playout

MAX_VOICES = 4
"""Streams of sound that one console may send; a browser sends one."""
SETTLE_PACKETS = 5
SETTLE_S = 0.003
MAX_MEASURED_PER_S = 200
"""A voice has 50 packets a second; a flood of them is not worth our time."""


class VoiceIn:
    """Decodes what arrives and gives it to `hear(pcm)`: 48 kHz s16 mono in pieces of any length, on a GStreamer
    thread; `hear` must be thread-safe and quick. A Playout is told how much to keep in hand. `take_pad` and
    `take_buffer` are called on GStreamer's threads."""

    def __init__(self, hear: Callable[[bytes], None], connect: Callable[[Any, str, Callable[..., Any]], None]) -> None:
        """`connect(source, signal, handler)` connects a handler that the session disconnects at its end."""
        self._hear = hear
        self._connect = connect
        self._voices = 0
        self.wait_s = 0.0
        """How long a missing packet is waited for now."""

    def take_buffer(self, element: Any) -> None:
        """Let an rtpjitterbuffer of this session wait as long as its stream needs, from what comes into it."""
        meter = JitterMeter()
        hear = self._hear
        waited_s = credit_s = 0.0

        def packet(pad: Any, info: Any) -> Any:
            nonlocal waited_s, credit_s
            now_s = time.monotonic()
            credit_s = max(credit_s, now_s - 1.0) + 1 / MAX_MEASURED_PER_S
            if credit_s > now_s:
                return Gst.PadProbeReturn.OK
            header = info.get_buffer().extract_dup(0, 8)
            if len(header) == 8:
                number, rtp_time = struct.unpack(">xxHI", header)
                meter.packet(rtp_time, number, now_s)
                if meter.packets % SETTLE_PACKETS == 0:
                    if isinstance(hear, Playout):
                        hear.aim(meter.delay_s)
                    if abs(meter.wait_s - waited_s) > SETTLE_S:
                        self.wait_s = waited_s = meter.wait_s
                        # Not `element`: a closure that holds what holds it is never collected.
                        buffer = pad.get_parent_element()
                        if buffer is not None:
                            buffer.set_property("latency", round(1000 * waited_s))
            return Gst.PadProbeReturn.OK

        element.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, packet)

    def take_pad(self, pipeline: Any, pad: Any) -> None:
        """Link a new source pad of webrtcbin when it carries sound; a flood of them is let go."""
        caps = pad.get_current_caps() or pad.query_caps(None)
        # As text: from GStreamer 1.26 on, Python gets another kind of structure than before.
        if "media=(string)audio" not in caps.to_string():
            return
        self._voices += 1
        if self._voices > MAX_VOICES:
            return
        ear = Gst.parse_bin_from_description(VOICE_IN, True)
        hear = self._hear

        def heard(sink: Any) -> Any:
            sample = sink.emit("pull-sample")
            if sample is not None:
                hear(bytes_of(sample.get_buffer()))
            return Gst.FlowReturn.OK

        self._connect(ear.get_by_name("ear"), "new-sample", heard)
        pipeline.add(ear)
        ear.sync_state_with_parent()
        pad.link(ear.get_static_pad("sink"))
