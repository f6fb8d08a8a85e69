"""How loud sound is to an ear: A-weighted levels of frames of 20 ms. Pure; the sums are in C (native/loudness.c)."""

import math
import weakref
from functools import cache

import numpy as np

from unitd.call.native.binding import bind, made
from unitd.call.voice.samples import ADDRESS, F32, NUMBER, REAL, Samples

FRAME = 960
FRAME_S = 0.02
FAST_S = 0.125
"""Time weighting F (IEC 61672-1)."""
SILENT_DBFS = -120.0


def _weights() -> F32:
    """The A curve (IEC 61672-1, annex E) as a power, with what turns a spectrum into power against a full sine."""
    f2 = np.fft.rfftfreq(FRAME, 1 / 48_000) ** 2
    under = (f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194.0**2)
    curve = 12194.0**2 * f2**2 / under * 10 ** (2.0 / 20)
    return np.asarray(curve**2 * 4 / FRAME**2, np.float32)


_WEIGHTS = _weights()


class LevelMeter:
    """The C half: powers against a sine of full scale. Any thread may call it: a call takes 0.01 ms and keeps the
    interpreter. Raises DeviceError when it was never compiled."""

    def __init__(self) -> None:
        native = bind(
            {
                "loudness_new": (ADDRESS, NUMBER, ADDRESS),
                "loudness_free": (None, ADDRESS),
                "loudness_power": (REAL, ADDRESS, ADDRESS),
                "loudness_play": (REAL, *(ADDRESS,) * 3, REAL, REAL, NUMBER, REAL, REAL),
            }
        )
        self._power, self._play = native.unitd_loudness_power, native.unitd_loudness_play
        self._state = made(native.unitd_loudness_new(FRAME, _WEIGHTS.ctypes.data))
        finalizer = weakref.finalize(self, native.unitd_loudness_free, self._state)
        finalizer.atexit = False  # a thread may still be in it

    def power(self, frame: Samples) -> float:
        """The A-weighted power of FRAME samples in -1..1. Raises ValueError for another length."""
        if len(frame.all) != FRAME:
            raise ValueError(f"{FRAME} samples, not {len(frame.all)}")
        return float(self._power(self._state, frame.at))

    def play(
        self, frame: Samples, into: Samples, before: float, gain: float, ramp: int, peak: float, straight: float
    ) -> float:
        """FRAME samples at `gain`, reached from `before` within `ramp` samples, straight up to `straight` of `peak` and
        bent towards it above; returns the power of that. Raises ValueError for another length."""
        if len(frame.all) != FRAME or len(into.all) != FRAME:
            raise ValueError(f"{FRAME} samples, not {len(frame.all)} into {len(into.all)}")
        return float(self._play(self._state, frame.at, into.at, before, gain, ramp, peak, straight))


@cache
def _meter() -> LevelMeter:
    return LevelMeter()


def level_dbfs(frame: F32) -> float:
    """The A-weighted level of FRAME samples in -1..1 against a sine of full scale. Raises ValueError for another
    length."""
    held = Samples(len(frame))
    held.all[:] = frame
    return dbfs(_meter().power(held))


def dbfs(power: float) -> float:
    """A power as a level, SILENT_DBFS at least."""
    return max(SILENT_DBFS, 10 * math.log10(power + 1e-30))


class AmbientNoise:
    """The street's noise in dB(A), out of the microphone's frames while the horn is quiet: what is exceeded for four
    fifths of the time, so that neither the caller nor a passing car counts. Not thread-safe."""

    LOOK_EVERY = 5
    KEPT = 100
    LEAST = 10
    QUIET_FRAMES = 20
    """0.4 s: the street's answer has died away."""

    def __init__(self, mic_full_dba: float) -> None:
        self._full = mic_full_dba
        self._levels: list[float] = []
        self._quiet = self._turn = 0
        self.dba: float | None = None
        """None while it is not known."""

    def is_due(self, horn_plays: bool) -> bool:
        """Whether `frame` wants this frame of the microphone. Once for each; `horn_plays`: it gave any sound within."""
        self._quiet = 0 if horn_plays else self._quiet + 1
        self._turn = (self._turn + 1) % self.LOOK_EVERY
        return self._quiet >= self.QUIET_FRAMES and not self._turn

    def frame(self, samples: F32) -> None:
        """A frame that is due."""
        self._levels.append(level_dbfs(samples) + self._full)
        del self._levels[: -self.KEPT]
        if len(self._levels) >= self.LEAST:
            self.dba = sorted(self._levels)[len(self._levels) // 5]
