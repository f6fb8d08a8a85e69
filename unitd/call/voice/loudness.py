"""How loud sound is to an ear: A-weighted levels of frames of 20 ms. Pure."""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

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


def level_dbfs(frame: F32) -> float:
    """The A-weighted level of FRAME samples in -1..1 against a sine of full scale."""
    spectrum = np.fft.rfft(frame)
    power = float(np.dot(_WEIGHTS, spectrum.real**2 + spectrum.imag**2))
    return max(SILENT_DBFS, float(10 * np.log10(power + 1e-30)))


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

    def frame(self, samples: F32, horn_plays: bool) -> None:
        """One frame of the microphone, and whether the horn gave any sound within it."""
        self._quiet = 0 if horn_plays else self._quiet + 1
        self._turn = (self._turn + 1) % self.LOOK_EVERY
        if self._quiet < self.QUIET_FRAMES or self._turn:
            return
        self._levels.append(level_dbfs(samples) + self._full)
        del self._levels[: -self.KEPT]
        if len(self._levels) >= self.LEAST:
            self.dba = sorted(self._levels)[len(self._levels) // 5]
