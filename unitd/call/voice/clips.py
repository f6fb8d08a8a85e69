"""Prompts and warnings as samples: short WAV files of the package, resampled once when first asked for."""

import wave
from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np

from unitd.call.voice.mixer import I16
from unitd.call.voice.pcm import RATE_HZ

FALLBACK_LANGUAGE = "en"


def load_wav(file: Traversable) -> I16:
    """Samples of a mono 16 bit WAV file at RATE_HZ. Raises OSError or ValueError."""
    with file.open("rb") as raw, wave.open(raw, "rb") as sound:
        if sound.getnchannels() != 1 or sound.getsampwidth() != 2:
            raise ValueError(f"{file}: must be mono, 16 bit")
        samples: I16 = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        rate_hz = sound.getframerate()
    if rate_hz == RATE_HZ:
        return samples
    positions = np.arange(int(len(samples) * RATE_HZ / rate_hz)) * rate_hz / RATE_HZ
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.int16)


def clip_loader(kind: str, language: str) -> Callable[[str], I16 | None]:
    """A function from a clip's name to its samples, None when there is no such clip in `language` or English.

    `kind` is `prompts` or `warnings`. Clips are kept once loaded (a few seconds each).
    """
    root = resources.files("unitd.call") / kind
    kept: dict[str, I16 | None] = {}

    def load(name: str) -> I16 | None:
        if name not in kept:
            kept[name] = None
            for folder in (language, FALLBACK_LANGUAGE):
                file = root / folder / f"{name}.wav"
                if name.isidentifier() and file.is_file():
                    kept[name] = load_wav(file)
                    break
        return kept[name]

    return load
