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
TOLD_OF_LOSS_PERCENT = 6
"""What Opus is told of a link that loses packets, whatever it loses: the least with which libopus 1.3 repeats each
frame in the next (in-band FEC). Told more it takes the bits for that from the voice itself."""
NOT_REPEATED_BIT_S = range(18_000, 26_000)
"""Here it would take them from the band, down to 4 kHz."""


@dataclass(frozen=True)
class OpusSettings:
    """What the encoder is told beside the pipeline's own words."""

    bit_s: int
    loss_percent: int


def opus_settings(bit_s: int, is_lossy: bool) -> OpusSettings:
    """The encoder's settings for a rate, and for a link that loses packets now and then or one that loses none. Pure.

    Of its two coders Opus takes the one that can repeat frames (SILK) when it is told of loss or has few bits, else the
    one that needs a third of the work (CELT). STOI of 40 s of speech in a street 26 dB below it, and the encoder's CPU:

    | told of | 16 kbit/s, 0 / 3 % lost | 24 kbit/s | 32 kbit/s | CPU s a minute |
    |---|---|---|---|---|
    | no loss | 0.977 / 0.948 (SILK) | 0.980 / 0.964 | 0.986 / 0.969 | 0.33 (SILK 0.93) |
    | 6 % | 0.974 / 0.954 | 0.975 / 0.971 | 0.983 / 0.980 | 0.95 to 1.2 |
    """
    bit_s = min(max(bit_s, LEAST_BIT_S), MOST_BIT_S)
    return OpusSettings(bit_s, TOLD_OF_LOSS_PERCENT if is_lossy and bit_s not in NOT_REPEATED_BIT_S else 0)


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
            self._encoder.set_property("packet-loss-percentage", self._settings.loss_percent)

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
