"""The caller's voice on its way out of a session."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unitd.call.rtc.pipeline import FRAME_NS, SILENCE
from unitd.call.rtc.source import Source

MAX_WAITING_VOICE_BYTES = 10 * len(SILENCE)
JUMP_AFTER_NS = 250_000_000
LEAST_BIT_S, MOST_BIT_S = 16_000, 32_000
MANY_BIT_S, SOME_BIT_S = 26_000, 18_000


@dataclass(frozen=True)
class OpusSettings:
    """What the encoder is told beside the pipeline's own words."""

    bit_s: int
    complexity: int


def opus_settings(bit_s: int, is_lossy: bool) -> OpusSettings:
    """The encoder's settings for a rate, and for a link that loses packets now and then or one that loses none. Pure.

    Where bits are few the encoder may look for better ones, and libopus 1.3 repeats frames (in-band FEC) only where it
    has worked for it; where they are many and nothing is lost, the words are none the worse for less work (0.33 s of
    CPU a minute and not 0.71). STOI of 40 s of speech with 0 / 3 / 10 % lost:

    | kbit/s | complexity 1 | 4 | 6 | 8 |
    |---|---|---|---|---|
    | 16 | 0.948 / 0.931 / 0.900 | 0.977 / 0.959 / 0.926 | 0.981 / 0.964 / 0.933 | 0.982 / 0.965 / 0.935 |
    | 24 | 0.976 / 0.959 / 0.926 | 0.991 / 0.973 / 0.939 | 0.993 / 0.975 / 0.943 | 0.980 / 0.975 / 0.965 |
    | 32 | 0.987 / 0.970 / 0.937 | 0.987 / 0.984 / 0.975 | 0.990 / 0.987 / 0.978 | 0.992 / 0.989 / 0.980 |
    """
    bit_s = min(max(bit_s, LEAST_BIT_S), MOST_BIT_S)
    if bit_s >= MANY_BIT_S:
        return OpusSettings(bit_s, 6 if is_lossy else 1)
    return OpusSettings(bit_s, 8 if is_lossy or bit_s < SOME_BIT_S else 6)


class VoiceOut:
    """The elements `voice` (appsrc) and `voice_gate` of a pipeline. `attach` and `detach` belong to the thread that
    builds it, `push` to any, one frame at a time, all else to the loop; nothing blocks for long."""

    def __init__(self, running_ns: Callable[[], int]) -> None:
        self.dropped_frames = 0
        self._running_ns = running_ns
        self._pushed_s = 0.0
        self._settings = opus_settings(MOST_BIT_S, True)
        self._source: Source | None = None
        self._encoder: Any = None
        self._gate: Any = None
        self._is_open = False
        self._next_ns = 0
        self._pushing = threading.Lock()

    def attach(self, pipeline: Any) -> None:
        """Take the voice's elements out of `pipeline`."""
        self._source = Source(pipeline.get_by_name("voice"))
        self._encoder = pipeline.get_by_name("voice_encoder")
        self._gate = pipeline.get_by_name("voice_gate")
        self._settle()

    def prime(self) -> None:
        """Let the payloader announce itself: webrtcbin negotiates when every track has had a buffer."""
        if self._source is not None:
            self._source.push(SILENCE, 0, FRAME_NS)
            self._source.push(SILENCE, FRAME_NS, FRAME_NS)

    def open(self) -> None:
        """From now on the voice leaves."""
        self._gate.set_property("drop", False)
        with self._pushing:
            self._next_ns = _whole_frames(self._running_ns())
            self._pushed_s = time.monotonic()
            self._is_open = True

    def detach(self) -> None:
        """Let go of the elements: nothing of the pipeline is held any more."""
        with self._pushing:
            self._is_open = False
            self._source = self._encoder = self._gate = None

    def set_rate(self, bit_s: int, is_lossy: bool) -> None:
        """What the voice may take of the link (Opus alone, without headers), and whether packets are lost there: in
        force from the next frame on, without a click. May be called at any time, also before the session is there."""
        settings = opus_settings(bit_s, is_lossy)
        if settings != self._settings:
            self._settings = settings
            self._settle()

    @property
    def settings(self) -> OpusSettings:
        return self._settings

    def _settle(self) -> None:
        if self._encoder is not None:
            self._encoder.set_property("bitrate", self._settings.bit_s)
            self._encoder.set_property("complexity", self._settings.complexity)

    def push(self, pcm: bytes) -> None:
        """Send one frame of 20 ms (FRAME_SAMPLES of s16). Times are exactly 20 ms apart, by the sound card's own count:
        arrival times measured on the way cost 14.5 % of concealment at the far end, and a card that is 200 ppm off
        would jump by 0.25 s every 20 minutes. Only a real gap of more than 250 ms is one, of whole frames."""
        with self._pushing:
            if self._is_open and self._source is not None:
                self._push(self._source, pcm)

    def _push(self, source: Source, pcm: bytes) -> None:
        if source.waiting_bytes > MAX_WAITING_VOICE_BYTES:
            self.dropped_frames += 1
            return
        now_s = time.monotonic()
        silent_ns = int(1e9 * (now_s - self._pushed_s))
        if silent_ns > JUMP_AFTER_NS:
            self._next_ns += _whole_frames(silent_ns)
        self._pushed_s = now_s
        source.push(pcm, self._next_ns, FRAME_NS)
        self._next_ns += FRAME_NS


def _whole_frames(duration_ns: int) -> int:
    return duration_ns - duration_ns % FRAME_NS
