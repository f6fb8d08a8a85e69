"""The operator's voice as it comes out of a session."""

from collections.abc import Callable
from typing import Any

from unitd.call.rtc.gst import Gst, bytes_of
from unitd.call.rtc.pipeline import VOICE_IN

MAX_VOICES = 4
"""Streams of sound that one console may send; a browser sends one."""


class VoiceIn:
    """Decodes what arrives and gives it to `hear(pcm)`: 48 kHz s16 mono in pieces of any length, on a GStreamer
    thread; `hear` must be thread-safe and quick. `take_pad` is called on GStreamer's threads."""

    def __init__(self, hear: Callable[[bytes], None], connect: Callable[[Any, str, Callable[..., Any]], None]) -> None:
        """`connect(source, signal, handler)` connects a handler that the session disconnects at its end."""
        self._hear = hear
        self._connect = connect
        self._voices = 0

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
