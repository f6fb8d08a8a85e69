"""The caller's voice on its way out of a session."""

from collections.abc import Callable
from typing import Any

from unitd.call.rtc.gst import buffer_of
from unitd.call.rtc.pipeline import FRAME_NS, SILENCE

MAX_WAITING_VOICE_BYTES = 10 * len(SILENCE)
VOICE_REBASE_NS = 250_000_000


class VoiceOut:
    """The elements `voice` (appsrc) and `voice_gate` of a pipeline. `attach` and `detach` belong to the thread that
    builds it, all else to the loop; nothing blocks."""

    def __init__(self, running_ns: Callable[[], int]) -> None:
        self.dropped_frames = 0
        self._running_ns = running_ns
        self._source: Any = None
        self._gate: Any = None
        self._is_open = False
        self._next_ns = 0

    def attach(self, pipeline: Any) -> None:
        """Take the voice's elements out of `pipeline`."""
        self._source = pipeline.get_by_name("voice")
        self._gate = pipeline.get_by_name("voice_gate")

    def prime(self) -> None:
        """Let the payloader announce itself: webrtcbin negotiates when every track has had a buffer."""
        self._source.emit("push-buffer", buffer_of(SILENCE, 0, FRAME_NS))
        self._source.emit("push-buffer", buffer_of(SILENCE, FRAME_NS, FRAME_NS))

    def open(self) -> None:
        """From now on the voice leaves."""
        self._gate.set_property("drop", False)
        self._next_ns = self._running_ns()
        self._is_open = True

    def detach(self) -> None:
        """Let go of the elements: nothing of the pipeline is held any more."""
        self._is_open = False
        self._source = self._gate = None

    def push(self, pcm: bytes) -> None:
        """Send one frame of 20 ms (FRAME_SAMPLES of s16). Times are exactly 20 ms apart: arrival times measured on the
        way cost 14.5 % of concealment at the far end. A gap of more than 250 ms is a jump."""
        if not self._is_open:
            return
        if self._source.get_property("current-level-bytes") > MAX_WAITING_VOICE_BYTES:
            self.dropped_frames += 1
            return
        now_ns = self._running_ns()
        if abs(now_ns - self._next_ns) > VOICE_REBASE_NS:
            self._next_ns = now_ns
        self._source.emit("push-buffer", buffer_of(pcm, self._next_ns, FRAME_NS))
        self._next_ns += FRAME_NS
