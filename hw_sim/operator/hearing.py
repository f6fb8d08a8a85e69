"""How loud one tone is in a stretch of sound: Goertzel's filter over 48 kHz s16 samples."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

RATE_HZ = 48_000
FLOOR_DB = -120.0


def tone_db(samples: npt.NDArray[np.int16], freq_hz: float, rate_hz: int = RATE_HZ) -> float:
    """Level of `freq_hz` in dB of full scale (a full-scale sine is 0 dB), by correlation under a Hann window."""
    if len(samples) < rate_hz // 100:
        return FLOOR_DB
    window = np.hanning(len(samples))
    phase = 2j * math.pi * freq_hz / rate_hz * np.arange(len(samples))
    level = 2 * abs(np.sum(samples / 32768.0 * window * np.exp(-phase))) / np.sum(window)
    return max(FLOOR_DB, 20 * math.log10(level)) if level > 0 else FLOOR_DB


def level_db(samples: npt.NDArray[np.int16]) -> float:
    """Root mean square in dB of full scale."""
    if not len(samples):
        return FLOOR_DB
    rms = float(np.sqrt(np.mean((samples / 32768.0) ** 2)))
    return max(FLOOR_DB, 20 * math.log10(rms)) if rms > 0 else FLOOR_DB


class Ear:
    """Keeps the last `seconds` of what was heard. Thread-safe for one writer and one reader."""

    def __init__(self, seconds: float = 2.0) -> None:
        self._pieces: deque[npt.NDArray[np.int16]] = deque()
        self._limit = int(seconds * RATE_HZ)
        self._held = 0
        self.heard_samples = 0

    def hear(self, samples: npt.NDArray[np.int16]) -> None:
        self._pieces.append(samples)
        self._held += len(samples)
        self.heard_samples += len(samples)
        while self._held - len(self._pieces[0]) > self._limit:
            self._held -= len(self._pieces.popleft())

    def last(self, seconds: float) -> npt.NDArray[np.int16]:
        """The most recent `seconds` (less when less was heard)."""
        pieces = list(self._pieces)
        if not pieces:
            return np.zeros(0, np.int16)
        return np.concatenate(pieces)[-int(seconds * RATE_HZ) :]

    def tone_db(self, freq_hz: float, seconds: float = 0.5) -> float:
        return tone_db(self.last(seconds), freq_hz)

    def hears_tone(self, freq_hz: float, seconds: float = 0.5, least_db: float = -50.0) -> bool:
        """Whether the tone is there now: above `least_db` and at least 10 dB above its neighbours."""
        sound = self.last(seconds)
        level = tone_db(sound, freq_hz)
        beside = max(tone_db(sound, freq_hz * ratio) for ratio in (0.71, 1.41))
        return level > least_db and level > beside + 10
