"""Sound read at another clock's pace: a bounded line that is written by one card and read a little faster or slower.

Pure. A fractional delay by a windowed sinc, its phase held for 5 ms at a time: at 200 ppm that is 0.02 samples off at
most, 43 dB below the sound at 4 kHz, and cheaper than a phase for each sample. The sums are in C (native/sound.c).
"""

import ctypes

import numpy as np

from unitd.call.native.library import brief
from unitd.call.voice.samples import F32

TAPS = 24
PHASES = 256
PIECE = 240
HALF = TAPS // 2


def _table() -> F32:
    spread = np.arange(TAPS)[None, :] - (HALF - 1) - np.arange(PHASES + 1)[:, None] / PHASES
    taps = np.sinc(spread) * np.cos(np.pi * spread / (TAPS + 1)) ** 2
    return np.ascontiguousarray(taps / taps.sum(axis=1, keepdims=True), np.float32)


_TABLE = _table()


_TABLE_AT = ctypes.c_void_p(_TABLE.ctypes.data)


class Line:
    """The last `keep` samples that were written (at most so many at once), by their number since the start. Not
    thread-safe."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._samples = np.zeros(2 * keep, np.float32)
        self._begins = self._samples.ctypes.data
        self._at = keep
        self.written = 0
        self._read = brief().unitd_sound_read

    def write(self, samples: F32) -> None:
        if self._at + len(samples) > len(self._samples):
            self._samples[: self._keep] = self._samples[self._at - self._keep : self._at]
            self._at = self._keep
        self._samples[self._at : self._at + len(samples)] = samples
        self._at += len(samples)
        self.written += len(samples)

    def read(self, first: float, step: float, count: int) -> F32:
        """`count` samples (a multiple of PIECE) at first, first + step, ...; silence where nothing is (any more)."""
        if count % PIECE:
            raise ValueError(f"{count} samples are no multiple of {PIECE}")
        out = np.empty(count, np.float32)
        self._read(
            ctypes.c_void_p(self._begins + out.itemsize * (self._at - self._keep)),
            ctypes.c_longlong(self.written - self._keep),
            ctypes.c_longlong(self.written),
            ctypes.c_double(first),
            ctypes.c_double(step),
            ctypes.c_void_p(out.ctypes.data),
            count,
            PIECE,
            _TABLE_AT,
            TAPS,
            PHASES,
        )
        return out


class Pace:
    """A stream of one clock made into frames of another: put pieces in, take whole frames out. Not thread-safe.

    `step`: how many samples of the input make one of the output. At 1.0 nothing is touched. It holds back TAPS samples.
    """

    def __init__(self, frame: int) -> None:
        self._frame = frame
        self._line = Line(8 * frame)
        self._next = 0.0

    def put(self, samples: F32, step: float) -> list[F32]:
        self._line.write(samples)
        frames = []
        while self._next + step * self._frame + HALF + 1 <= self._line.written:
            frames.append(self._line.read(self._next, step, self._frame))
            self._next += step * self._frame
        return frames
