"""Sound read at another clock's pace: a bounded line that is written by one card and read a little faster or slower.

Pure. A fractional delay by a windowed sinc, its phase held for 5 ms at a time: at 200 ppm that is 0.02 samples off at
most, 43 dB below the sound at 4 kHz, and cheaper than a phase for each sample. The sums are in C (native/sound.c).
"""

import numpy as np

from unitd.call.voice.samples import F32, Samples, SoundSums

TAPS = 24
PHASES = 256
PIECE = 240
HALF = TAPS // 2


def _table() -> F32:
    spread = np.arange(TAPS)[None, :] - (HALF - 1) - np.arange(PHASES + 1)[:, None] / PHASES
    taps = np.sinc(spread) * np.cos(np.pi * spread / (TAPS + 1)) ** 2
    return np.ascontiguousarray(taps / taps.sum(axis=1, keepdims=True), np.float32)


_TABLE = _table()


_TABLE_AT: int = _TABLE.ctypes.data


class Line:
    """The last `keep` samples that were written (at most so many at once), by their number since the start. Not
    thread-safe."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._held = Samples(2 * keep)
        self._at = keep
        self.written = 0
        self._sums = SoundSums()

    def write(self, samples: F32) -> None:
        at = self._room(len(samples))
        self._held.all[at : at + len(samples)] = samples

    def write_pcm(self, pcm: bytes) -> None:
        """Signed 16 bit."""
        count = len(pcm) // 2
        self._sums.samples(pcm, self._held.at + 4 * self._room(count), count)

    def _room(self, count: int) -> int:
        """Where so many more go."""
        if count > self._keep:
            raise ValueError(f"{count} samples for a line of {self._keep}")
        at, held = self._at, self._held.all
        if at + count > len(held):
            held[: self._keep] = held[at - self._keep : at]
            at = self._keep
        self._at = at + count
        self.written += count
        return at

    def read(self, first: float, step: float, count: int) -> F32:
        """`count` samples (a multiple of PIECE) at first, first + step, ...; silence where nothing is (any more)."""
        into = Samples(count)
        self.read_into(first, step, into)
        return into.all

    def read_into(self, first: float, step: float, into: Samples) -> None:
        """The same, as many as `into` holds."""
        if len(into.all) % PIECE:
            raise ValueError(f"{len(into.all)} samples are no multiple of {PIECE}")
        oldest = self._held.at + 4 * (self._at - self._keep)
        span = (self.written - self._keep, self.written)
        self._sums.read(oldest, *span, first, step, into.at, len(into.all), PIECE, _TABLE_AT, TAPS, PHASES)


class Pace:
    """A stream of one clock made into frames of another: put pieces in, take whole frames out. Not thread-safe.

    `step`: how many samples of the input make one of the output. At 1.0 nothing is touched. It holds back TAPS samples.
    """

    def __init__(self, frame: int) -> None:
        self._frame = frame
        self._line = Line(8 * frame)
        self._next = 0.0

    def put(self, samples: F32, step: float) -> list[Samples]:
        self._line.write(samples)
        frames = []
        while self._next + step * self._frame + HALF + 1 <= self._line.written:
            made = Samples(self._frame)
            self._line.read_into(self._next, step, made)
            frames.append(made)
            self._next += step * self._frame
        return frames
