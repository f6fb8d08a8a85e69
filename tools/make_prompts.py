"""Make the WAV files of prompts and warnings from tools/clips.toml, by espeak-ng: 16 kHz, mono, 16 bit, one loudness.

    python3 tools/make_prompts.py

The files are part of the source, so that a build needs no speech engine. A recorded human voice can replace any of
them.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tomllib
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
RATE_HZ = 16_000
PEAK = 0.8 * 32767
SPEED_WPM = 150


def speak(text: str, voice: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """The words as samples at RATE_HZ, without silence at the ends, at PEAK."""
    command = ["espeak-ng", "-v", voice, "-s", str(SPEED_WPM), "-g", "2", "--stdout", text]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    with wave.open(io.BytesIO(done.stdout)) as sound:
        # espeak-ng streams: the length in its header is not the real one.
        samples = np.frombuffer(sound.readframes(1 << 30), "<i2").astype(np.float64)
        rate_hz = sound.getframerate()
    loud = np.flatnonzero(np.abs(samples) > 200)
    samples = samples[loud[0] : loud[-1] + rate_hz // 20]
    # Low-pass before decimation, by a windowed sinc at 7 kHz.
    taps = np.arange(-64, 65)
    kernel = np.sinc(2 * 7000 / rate_hz * taps) * np.hamming(len(taps))
    samples = np.convolve(samples, kernel / kernel.sum(), "same")
    at = np.arange(int(len(samples) * RATE_HZ / rate_hz)) * rate_hz / RATE_HZ
    samples = np.interp(at, np.arange(len(samples)), samples)
    spoken: npt.NDArray[np.int16] = (samples * (PEAK / np.abs(samples).max())).astype(np.int16)
    return spoken


def main() -> int:
    texts = tomllib.loads((ROOT / "tools" / "clips.toml").read_text())
    for language, table in texts.items():
        for kind in ("prompts", "warnings"):
            folder = ROOT / "unitd" / "call" / kind / language
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in table[kind].items():
                samples = speak(text, table["voice"])
                with wave.open(str(folder / f"{name}.wav"), "wb") as out:
                    out.setnchannels(1)
                    out.setsampwidth(2)
                    out.setframerate(RATE_HZ)
                    out.writeframes(samples.astype("<i2").tobytes())
                print(f"{kind}/{language}/{name}.wav {len(samples) / RATE_HZ:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
