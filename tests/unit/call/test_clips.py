"""Every prompt that core may want and every warning has its sound in every language; a site's own go first."""

import subprocess
import sys
import tomllib
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unitd import prompts
from unitd.call.voice.clips import Library, load_wav
from unitd.call.voice.mixer import PROMPT_PERIOD_S
from unitd.call.voice.pcm import RATE_HZ
from unitd.prompts import prompt_names, site_problems, sound_problem, warning_names

ROOT = Path(__file__).resolve().parents[3]
WORDS = ROOT / "unitd" / "call" / "words"
TEXTS = {file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in WORDS.glob("*.toml")}
TONES = TEXTS.pop("tones")
PROMISES = (
    "coming",
    "unterwegs",
    "kommt",
    "arrive",
    "en camino",
    "w drodze",
    "nadchodzi",
    "pe drum",
    "ar y ffordd",
    "آ رہی",
)
STAGES = {"calling", "received", "still_trying", "ended"}


def write(file: Path, samples: Any, rate_hz: int = 16_000, channels: int = 1, width: int = 2) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate_hz)
        out.writeframes(np.asarray(samples, "<i2").tobytes())
    return file


def test_there_is_a_text_for_every_name_in_every_language() -> None:
    assert set(prompt_names()) == STAGES
    assert set(warning_names()) == set(TEXTS["en"]["warnings"]) | set(TONES["warnings"])
    for language, texts in TEXTS.items():
        assert set(texts["prompts"]) == set(TEXTS["en"]["prompts"]), language
        assert set(texts["warnings"]) == set(TEXTS["en"]["warnings"]), language
    assert {"en", "cy", "pl", "ur"} <= set(TEXTS)


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_every_text_was_made_into_a_few_loud_seconds(language: str) -> None:
    """`make setup` makes them."""
    for kind in prompts.KINDS:
        for name in TEXTS[language][kind]:
            samples = load_wav(ROOT / "unitd" / "call" / kind / language / f"{name}.wav")
            assert 0.5 * RATE_HZ < len(samples) < 9 * RATE_HZ, (kind, name)
            assert 20_000 < int(np.abs(samples.astype(np.int32)).max()) < 32_000


def test_no_prompt_in_any_language_promises_help() -> None:
    for language, texts in TEXTS.items():
        for text in texts["prompts"].values():
            assert not any(word in text.lower() for word in PROMISES), (language, text)


def test_a_missing_language_falls_back_to_english_and_a_missing_name_is_none() -> None:
    library, english = Library(("xx",), ""), Library(("en",), "")
    assert np.array_equal(_of(library, "calling"), _of(english, "calling"))
    assert library.prompt("no_such") is None
    assert library.prompt("../../warnings/en/cctv") is None


def test_a_prompt_is_said_in_one_language_after_the_other() -> None:
    first, second = _of(Library(("en",), ""), "calling"), _of(Library(("cy",), ""), "calling")
    both = _of(Library(("en", "cy", "xx"), ""), "calling")
    assert np.array_equal(both[: len(first)], first)
    assert np.array_equal(both[-len(second) :], second)
    assert len(both) > len(first) + len(second)


def test_a_long_prompt_in_many_languages_is_followed_by_a_pause() -> None:
    long = _of(Library(("en", "cy", "pl", "de"), ""), "still_trying")
    assert len(long) > PROMPT_PERIOD_S * RATE_HZ
    assert not long[-RATE_HZ:].any()


def test_a_site_s_own_recording_goes_first(tmp_path: Path) -> None:
    write(tmp_path / "prompts" / "en" / "calling.wav", [9_000] * 480, 48_000)
    write(tmp_path / "warnings" / "en" / "market_closes.wav", [8_000] * 480, 48_000)
    library = Library(("en",), str(tmp_path))
    assert set(_of(library, "calling").tolist()) == {9_000}
    assert library.warning("market_closes") is not None
    assert library.warning("cctv") is not None
    assert "market_closes" in warning_names(str(tmp_path))
    assert "market_closes" not in warning_names(str(tmp_path), ("cy",))
    assert list(site_problems(str(tmp_path))) == []
    assert library.problems == {}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: write(file, [1, 2], channels=2), "2 channels"),
        (lambda file: write(file, [1], width=1), "8 bit"),
        (lambda file: write(file, [1], rate_hz=96_000), "96000 Hz"),
        (lambda file: write(file, []), "0.0 s long"),
        (lambda file: write(file, np.zeros(8_000 * 61), 8_000), "61.0 s long"),
        (lambda file: file.write_bytes(b"RIFF"), "cannot be read"),
        (lambda file: file.write_bytes(b"\0" * (prompts.LARGEST_BYTES + 1)), "bytes"),
    ],
)
def test_a_bad_recording_is_told_of_once_and_the_built_in_one_is_used(tmp_path: Path, make: Any, words: str) -> None:
    file = tmp_path / "prompts" / "en" / "calling.wav"
    file.parent.mkdir(parents=True)
    make(file)
    said: list[str] = []

    class Log:
        def warning(self, event: str, **_: object) -> None:
            said.append(event)

    library = Library(("en",), str(tmp_path), Log())  # type: ignore[arg-type]
    assert np.array_equal(_of(library, "calling"), _of(Library(("en",), ""), "calling"))
    library._kept.clear()
    library.prompt("calling")
    assert len(said) == 1
    assert words in library.problems[str(file)]
    assert words in next(site_problems(str(tmp_path)))
    assert "a minute at most" in sound_problem(file)


def test_a_prompt_that_no_stage_says_is_told_of(tmp_path: Path) -> None:
    write(tmp_path / "prompts" / "en" / "caling.wav", [1] * 1000)
    write(tmp_path / "warnings" / "en" / "not-a-name.wav", [1] * 1000)
    first, second = site_problems(str(tmp_path))
    assert "calling, ended, received, still_trying" in first
    assert "other characters" in second


def test_listing_the_names_imports_no_media() -> None:
    program = "import sys, unitd.prompts as p; p.warning_names('/x'); print([m for m in sys.modules if m in BAD])"
    program = "BAD = {'gi', 'pyaudio', 'numpy', 'av', 'unitd.call'}; " + program
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _of(library: Library, name: str) -> Any:
    samples = library.prompt(name)
    assert samples is not None
    return samples
