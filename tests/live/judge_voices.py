"""The two recorded voices of a case against what was said. Reads the case's files."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np

from tests.live import speech
from tests.live.voice import Heard, judge

SETTLED_S = 1.0
"""From the first picture on: the voices are opened at the same time, and their buffers fill."""


def voices(raw: dict[str, Any], directory: Path) -> tuple[Heard, Heard]:
    """The caller's voice as it was heard at the operator's, and the operator's at the horn; `heard_from_s` and
    `horn_from_s` of `raw` are moved to where the judging begins."""
    return (
        _one(raw, "heard_from_s", directory / "heard.wav", speech.CALLER),
        _one(raw, "horn_from_s", directory / "horn.wav", speech.OPERATOR),
    )


def _one(raw: dict[str, Any], begins: str, path: Path, words: tuple[str, ...]) -> Heard:
    if raw[begins] is None:
        return Heard()
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    first = max(0, int((float(raw["from_s"]) + SETTLED_S - float(raw[begins])) * speech.RATE_HZ))
    last = int((float(raw["from_s"]) + float(raw["seconds"]) - float(raw[begins])) * speech.RATE_HZ)
    raw[begins] = float(raw[begins]) + first / speech.RATE_HZ
    return judge(speech.sentences(words), sound[first:last])
