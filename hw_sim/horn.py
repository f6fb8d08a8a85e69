"""What the horn plays, as somebody in the street hears it: how loud, which tone, which of the unit's own recordings."""

from __future__ import annotations

import asyncio
import time
import wave
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hw_sim.operator.hearing import Ear, level_db

if TYPE_CHECKING:
    from hw_sim.devices.sound import VirtualSound

F32 = npt.NDArray[np.float32]

RATE_HZ = 48_000
CORRELATED_HZ = 4_000
WINDOW_S = 0.8
LISTEN_EVERY_S = 0.25
SPEAKING_DB = -45.0
ALIKE = 0.5
"""Normalised correlation from which a stretch counts as that recording; others stay below 0.2, the same above 0.9."""

WORDS = {
    "calling": "Calling for help.",
    "received": "The control room has your call. Please stay.",
    "still_trying": "Still trying. If you can, phone 9 9 9.",
    "ended": "The call has ended.",
    "cctv": "This area is covered by C C T V. You are being recorded.",
    "police_called": "The police have been called.",
    "stay_back": "Stay back. You are being watched and recorded.",
    "leave_area": "Leave this area now.",
    "attention": "(two falling tones)",
}
"""As in unitd/call/words/en.toml, which the recordings are made from."""


class Horn:
    """Listens to the horn while `run` runs.

    `says` is the recording that was last recognised and is still going on, `said` when each one was first recognised
    since `forget` (CLOCK_MONOTONIC ns), `first_sound_mono_ns` the first sound at all.
    """

    def __init__(self, sound: VirtualSound, language: str = "en") -> None:
        self.ear = Ear(seconds=2.0)
        self.says: str | None = None
        self.said: dict[str, int] = {}
        self.first_sound_mono_ns: int | None = None
        self._sound = sound
        self._clips = {name: _Clip(samples) for name, samples in _recordings(language)}
        self.on_words: Callable[[str | None], None] = lambda _name: None

    def forget(self) -> None:
        self.said.clear()
        self.first_sound_mono_ns = None

    async def run(self) -> None:
        """For ever, through unplugged cards."""
        while True:
            listened_s = 0.0
            async for frame in self._sound.horn_pcm():
                self._hear(frame)
                if time.monotonic() - listened_s >= LISTEN_EVERY_S:
                    listened_s = time.monotonic()
                    self._recognise()
            self.says = None
            await asyncio.sleep(0.3)

    def sounds(self) -> bool:
        return level_db(self.ear.last(0.2)) > SPEAKING_DB

    def hears_tone(self, freq_hz: float) -> bool:
        return self.ear.hears_tone(freq_hz)

    def words(self) -> str | None:
        """What it says now, for a person."""
        if self.says is None:
            return None
        return WORDS.get(self.says, self.says.replace("_", " "))

    # --- inside -----------------------------------------------------------------------------------------------------

    def _hear(self, frame: bytes) -> None:
        samples = np.frombuffer(frame, np.int16)
        self.ear.hear(samples)
        if self.first_sound_mono_ns is None and level_db(samples) > SPEAKING_DB:
            self.first_sound_mono_ns = time.monotonic_ns()

    def _recognise(self) -> None:
        heard = self.ear.last(WINDOW_S)
        says = None
        if level_db(heard) > SPEAKING_DB and len(heard) >= int(WINDOW_S * RATE_HZ):
            window = _slowed(heard, RATE_HZ)
            best = max(self._clips, key=lambda name: self._clips[name].alike(window), default=None)
            if best is not None and self._clips[best].alike(window) > ALIKE:
                says = best
                self.said.setdefault(best, time.monotonic_ns())
        if says != self.says:
            self.says = says
            self.on_words(says)


class _Clip:
    """One recording, ready to be looked for in a stretch of sound."""

    def __init__(self, samples: F32) -> None:
        window = int(WINDOW_S * CORRELATED_HZ)
        self._padded = np.concatenate([np.zeros(window, np.float32), samples, np.zeros(window, np.float32)])
        self._size = 1 << int(np.ceil(np.log2(len(self._padded) + window)))
        self._spectrum = np.fft.rfft(self._padded, self._size)
        power = np.concatenate([[0.0], np.cumsum(self._padded.astype(np.float64) ** 2)])
        self._energy = np.maximum(power[window:] - power[:-window], 1e-9)

    def alike(self, window: F32) -> float:
        """The best normalised correlation of `window` with any stretch of the recording, 0 to 1."""
        spectrum = np.fft.rfft(window, self._size)
        product = np.fft.irfft(self._spectrum * np.conj(spectrum), self._size)[: len(self._energy)]
        norm = float(np.sqrt(np.sum(window.astype(np.float64) ** 2)))
        # A stretch that barely overlaps the recording matches anything: only those with a fair part of it count.
        loud = self._energy > 0.25 * float(np.median(self._energy))
        if norm == 0 or not loud.any():
            return 0.0
        return float(np.max(product[loud] / (np.sqrt(self._energy[loud]) * norm)))


def _recordings(language: str) -> list[tuple[str, F32]]:
    """The unit's prompts and warnings, as it plays them."""
    found = []
    for kind in ("prompts", "warnings"):
        for file in (resources.files("unitd") / "call" / kind / language).iterdir():
            if file.name.endswith(".wav"):
                with file.open("rb") as raw, wave.open(raw) as clip:
                    samples = np.frombuffer(clip.readframes(clip.getnframes()), np.int16)
                    found.append((file.name.removesuffix(".wav"), _slowed(samples, clip.getframerate())))
    return found


def _slowed(samples: npt.NDArray[np.int16], rate_hz: int) -> F32:
    """At CORRELATED_HZ, by averaging: enough to tell recordings apart."""
    step = rate_hz // CORRELATED_HZ
    whole = len(samples) // step * step
    slowed: F32 = samples[:whole].reshape(-1, step).astype(np.float32).mean(axis=1)
    return slowed
