"""Make the WAV files of prompts and warnings from unitd/call/words/*.toml, by espeak-ng: 16 kHz, mono, 16 bit, one
loudness; and the plain tones of words/tones.toml.

    python3 tools/make_sounds.py [--all]

English and the tones are part of the source: a unit must never be mute for want of a speech engine. Without `--all`
they are left as they are, and the other languages are made when their words are newer than their sounds. A recorded
human voice can replace any of them (`sound.site_dir`). Without the engine it says so and ends well: there is English.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from unitd.call.voice.speech import ENGINE, command, ready  # noqa: E402 - this checkout's, wherever it is run from

WORDS = ROOT / "unitd" / "call" / "words"
KEPT = "en"
TONES = "tones"
"""Kept with English: another machine's sine may differ by a bit, and a checkout must not change by being set up."""
RATE_HZ = 16_000
TONE_PEAK = 0.8 * 32767
EDGE_S = 0.01
Samples = npt.NDArray[np.int16]


def tone(steps: list[list[float]]) -> Samples:
    """Pure tones one after the other, each [Hz, seconds], 0 Hz for silence; their edges are soft."""
    parts = []
    for hz, seconds in steps:
        at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
        soft = np.clip(np.minimum(at, seconds - at) / EDGE_S, 0, 1)
        parts.append(TONE_PEAK * soft * np.sin(2 * np.pi * hz * at))
    made: Samples = np.concatenate(parts).astype(np.int16)
    return made


def save(file: Path, samples: Samples) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(samples.astype("<i2").tobytes())


def main(argv: list[str]) -> int:
    everything = "--all" in argv
    if shutil.which(ENGINE) is None:
        print(f"sounds: there is no {ENGINE} here, so no language but English; install the package {ENGINE}")
        return 0
    made = 0
    for source in sorted(WORDS.glob("*.toml")):
        language, table = source.stem, tomllib.loads(source.read_text(encoding="utf-8"))
        if language in (KEPT, TONES) and not everything:
            continue
        for kind, texts in table.items():
            if not isinstance(texts, dict):
                continue
            for name, what in texts.items():
                place = KEPT if language == TONES else language
                file = ROOT / "unitd" / "call" / kind / place / f"{name}.wav"
                if not everything and file.exists() and file.stat().st_mtime >= source.stat().st_mtime:
                    continue
                if isinstance(what, list):
                    samples = tone(what)
                else:
                    done = subprocess.run(
                        command(table["voice"]), input=what.encode(), stdout=subprocess.PIPE, check=True
                    )
                    samples = ready(done.stdout, RATE_HZ)
                save(file, samples)
                made += 1
    print(f"sounds: {made} made")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
