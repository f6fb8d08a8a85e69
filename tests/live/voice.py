"""How a known voice arrived: intelligibility and gaps. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.signal import correlate, resample_poly

from tests.live.stoi import RATE_HZ, stoi

PIECE_S = 0.4
SEARCH_S = 0.6
"""How far the delay may have moved from one piece to the next."""
CLEARLY, SCARCELY = 0.2, 0.15
LEAST_LIKENESS = 0.25
"""Below it a piece says nothing of the delay: it is not there, or too broken."""
SILENT = 0.02
"""Of the usual energy: less cannot be placed."""
FRAME_S = 0.02
SPOKEN_DB = -25.0
"""From the loudest frame of the clean voice; quieter frames cannot be missed."""
MISSING_DB = -22.0
"""A frame so much quieter than it should be is missing: concealment has faded out, or nothing came."""
LEAST_GAP_S = 0.06
SERIES_S = 3.0

I16 = npt.NDArray[np.int16]
F64 = npt.NDArray[np.float64]


@dataclass
class Heard:
    """`gaps`: (from, to) in seconds of the recording. `series`: (second, STOI) every SERIES_S."""

    stoi: float | None = None
    gaps: list[tuple[float, float]] = field(default_factory=list)
    series: list[tuple[float, float]] = field(default_factory=list)

    @property
    def gap_s(self) -> float:
        return sum(end - begin for begin, end in self.gaps)

    @property
    def longest_s(self) -> float:
        return max((end - begin for begin, end in self.gaps), default=0.0)


def judge(loop: I16, recorded: I16) -> Heard:
    """`recorded` (48 kHz) against the words that are said again and again. Each piece is aligned by itself, since an
    adaptive buffer changes the delay."""
    clean_loop = resample_poly(loop.astype(np.float64), 5, 24)
    heard = resample_poly(recorded.astype(np.float64), 5, 24)
    if len(heard) < 3 * RATE_HZ:
        return Heard()
    clean = _aligned(clean_loop, heard)
    made = Heard(stoi=stoi(clean, heard), gaps=_gaps(clean, heard))
    step = int(SERIES_S * RATE_HZ)
    for at in range(0, len(heard) - step + 1, step):
        value = stoi(clean[at : at + step], heard[at : at + step])
        if value is not None:
            made.series.append((at / RATE_HZ, value))
    return made


def _aligned(loop: F64, heard: F64) -> F64:
    """What should have been heard at each moment. A piece is placed by itself and its surroundings, near where the one
    before was, or wherever it is clearly more like."""
    piece, reach = int(PIECE_S * RATE_HZ), int(SEARCH_S * RATE_HZ)
    tiled = np.concatenate([loop, loop[: 2 * piece]])
    at: int | None = None
    clean = np.zeros(len(heard))
    unplaced: list[int] = []
    for begin in range(0, len(heard), piece):
        first = max(0, begin - piece // 2)
        around = heard[first : begin + piece + piece // 2]
        likeness = _likeness(tiled, around)[: len(loop)]
        best = int(np.argmax(likeness))
        if at is not None:
            near = (np.arange(-reach, reach) + at + first) % len(loop)
            near_best = int(near[np.argmax(likeness[near])])
            if likeness[best] < likeness[near_best] + CLEARLY:
                best = near_best
            stay = (at + first) % len(loop)
            if likeness[stay] > likeness[best] - SCARCELY:
                best = stay
        if likeness[best] > LEAST_LIKENESS:
            at = (best - first) % len(loop)
        if at is None:
            unplaced.append(begin)
        else:
            _copy(clean, loop, begin, piece, at)
            for earlier in unplaced:  # nothing came yet: what would have been heard then
                _copy(clean, loop, earlier, piece, at)
            unplaced.clear()
    for begin in unplaced:  # nothing ever came
        _copy(clean, loop, begin, piece, 0)
    return clean


def _copy(clean: F64, loop: F64, begin: int, length: int, at: int) -> None:
    length = min(length, len(clean) - begin)
    clean[begin : begin + length] = np.take(loop, np.arange(begin + at, begin + at + length), mode="wrap")


def _likeness(where: F64, what: F64) -> F64:
    """Normalised correlation of `what` with every place of `where`, -1 to 1; 0 where either is silent."""
    product = correlate(where, what, mode="valid", method="fft")
    squares = np.concatenate([[0.0], np.cumsum(where**2)])
    energy = squares[len(what) :] - squares[: -len(what)]
    usual = float(np.mean(where**2)) * len(what)
    own = float(np.sum(what**2))
    if own < SILENT * usual:
        return np.zeros(len(energy))
    likeness = product / np.sqrt(np.maximum(energy, SILENT * usual) * own)
    return np.asarray(np.where(energy > SILENT * usual, likeness, 0.0), np.float64)


def _gaps(clean: F64, heard: F64) -> list[tuple[float, float]]:
    size = int(FRAME_S * RATE_HZ)
    count = min(len(clean), len(heard)) // size
    level_clean = _level_db(clean, size, count)
    level_heard = _level_db(heard, size, count)
    spoken = level_clean > level_clean.max() + SPOKEN_DB
    difference = level_heard - level_clean
    present = difference[spoken & (level_heard > -10)]
    gain = float(np.median(present)) if len(present) else 0.0
    missing = difference < gain + MISSING_DB
    gaps: list[tuple[float, float]] = []
    begin = end = None
    frames = 0
    for index in np.flatnonzero(spoken):
        if missing[index]:
            begin, end, frames = (index if begin is None else begin), index + 1, frames + 1
        elif begin is not None and end is not None:
            _keep(gaps, begin, end, frames)
            begin, frames = None, 0
    if begin is not None and end is not None:
        _keep(gaps, begin, end, frames)
    return gaps


def _keep(gaps: list[tuple[float, float]], begin: int, end: int, frames: int) -> None:
    if frames * FRAME_S >= LEAST_GAP_S - 1e-9:
        gaps.append((float(begin * FRAME_S), float(end * FRAME_S)))


def _level_db(sound: F64, size: int, count: int) -> F64:
    power = np.mean(sound[: size * count].reshape(count, size) ** 2, axis=1)
    return np.asarray(10 * np.log10(power + 1e-3), np.float64)
