"""Every prompt that core may want and every warning has its sound, and the words are listed without media."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from unitd.call.voice.clips import clip_loader
from unitd.call.voice.pcm import RATE_HZ
from unitd.prompts import prompt_names, warning_names

ROOT = Path(__file__).resolve().parents[3]
TEXTS = tomllib.loads((ROOT / "tools" / "clips.toml").read_text())["en"]


def test_there_is_a_file_for_every_text_and_a_text_for_every_file() -> None:
    assert set(prompt_names()) == set(TEXTS["prompts"]) >= {"calling", "received", "still_trying", "ended"}
    assert set(warning_names()) == set(TEXTS["warnings"])


@pytest.mark.parametrize("kind", ["prompts", "warnings"])
def test_every_clip_is_a_few_loud_seconds(kind: str) -> None:
    load = clip_loader(kind, "en")
    for name in TEXTS[kind]:
        samples = load(name)
        assert samples is not None
        assert 0.5 * RATE_HZ < len(samples) < 7 * RATE_HZ
        assert 20_000 < int(np.abs(samples.astype(np.int32)).max()) < 32_000


def test_a_missing_language_falls_back_to_english_and_a_missing_name_is_none() -> None:
    load = clip_loader("prompts", "cy")
    assert load("calling") is not None
    assert load("no_such") is None
    assert load("../../warnings/en/cctv") is None


def test_no_prompt_promises_help() -> None:
    for text in TEXTS["prompts"].values():
        assert "coming" not in text.lower()


def test_listing_the_names_imports_no_media() -> None:
    program = "import sys, unitd.prompts as p; p.warning_names(); print([m for m in sys.modules if m in BAD])"
    program = "BAD = {'gi', 'pyaudio', 'numpy', 'av', 'unitd.call'}; " + program
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
