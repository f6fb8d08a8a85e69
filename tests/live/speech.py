"""What is said in a case: known sentences, without an end, at 48 kHz."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

RATE_HZ = 48_000
PAUSE_S = 0.25
LEVEL = 0.25
"""Peak, of full scale."""
WORDS = Path(__file__).resolve().parents[2] / "unitd" / "call"
CALLER = ("warnings/en/cctv", "prompts/en/still_trying", "warnings/en/police_called")
OPERATOR = ("prompts/en/received", "warnings/en/stay_back", "prompts/en/calling", "warnings/en/leave_area")

I16 = npt.NDArray[np.int16]


def sentences(names: tuple[str, ...]) -> I16:
    """The recorded words, one after the other, at one level."""
    pieces = []
    for name in names:
        with wave.open(str(WORDS / f"{name}.wav")) as file:
            rate_hz = file.getframerate()
            sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
        sound = resample_poly(sound, RATE_HZ, rate_hz)
        pieces += [sound / np.abs(sound).max() * LEVEL * 32767, np.zeros(int(PAUSE_S * RATE_HZ))]
    return np.concatenate(pieces).astype(np.int16)


def write(path: Path, sound: I16) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(sound.tobytes())
