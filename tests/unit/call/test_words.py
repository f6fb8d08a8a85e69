"""What is said by order: recorded warnings, and texts through the speech engine, whatever becomes of the engine."""

import asyncio
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unitd.call.voice import speech
from unitd.call.voice.pcm import RATE_HZ
from unitd.call.voice.speech import SpeechError, plain, spoken, voices
from unitd.call.voice.words import Words
from unitd.config import SoundTable
from unitd.messages.workers import WarningWanted


class Log:
    def __init__(self) -> None:
        self.said: list[str] = []

    def warning(self, event: str, **_: object) -> None:
        self.said.append(event)

    error = info = warning


class Rig:
    def __init__(self, **sound: Any) -> None:
        self.played: list[tuple[int, str, int]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.log = Log()
        table = SoundTable(**{"site_dir": "", **sound})
        self.words = Words(table, self.log, self._play, self._tell)  # type: ignore[arg-type]

    def _play(self, number: int, name: str, samples: Any) -> None:
        self.played.append((number, name, len(samples)))

    def _tell(self, name: str, /, **data: Any) -> None:
        self.told.append((name, data))


async def true(condition: Callable[[], object], limit_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


def play(work: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await work()

    asyncio.run(run())


def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """Another program in the engine's place."""
    file = tmp_path / "engine"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(speech, "ENGINE", str(file))


def test_a_recorded_warning_is_played_once_for_each_number() -> None:
    async def work() -> None:
        rig = Rig()
        rig.words.order(WarningWanted(number=3, name="cctv"))
        rig.words.order(WarningWanted(number=3, name="cctv"))
        rig.words.order(None)
        rig.words.order(WarningWanted(number=4, name="cctv"))
        assert [(number, name) for number, name, _ in rig.played] == [(3, "cctv"), (4, "cctv")]
        rig.words.played(4, "cctv")
        assert rig.told == [("warning_played", {"number": 4, "name": "cctv"})]

    play(work)


def test_a_text_is_spoken_in_the_language_that_is_asked_for() -> None:
    async def work() -> None:
        rig = Rig(language="en", more_languages=("cy",))
        for number, language, by in ((1, "pl", "pl"), (2, "", "en"), (3, "zz", "en")):
            rig.words.order(WarningWanted(number=number, name="", speak="Proszę zostać.", language=language))
            await true(lambda number=number: len(rig.played) == number)  # type: ignore[misc]
            rig.words.played(number, "")
            assert rig.told[-1] == ("spoken", {"number": number, "words": "Proszę zostać.", "language": by})
        assert all(0.4 * RATE_HZ < length < 5 * RATE_HZ for _, _, length in rig.played)
        assert rig.words.faults() == ()

    play(work)


def test_words_are_loud_and_begin_at_once() -> None:
    samples = asyncio.run(spoken("Stay where you are.", voices()["en"]))
    assert np.abs(samples[: RATE_HZ // 5]).max() > 2_000
    assert 20_000 < np.abs(samples.astype(int)).max() < 32_000


@pytest.mark.parametrize(
    "text",
    ["", "   ", "\0\x1b[31m\n", "<speak><break time='600s'/></speak>", "-w /tmp/x", "[[_:_]]", "א" * 300, "9" * 300],
)
def test_whatever_the_text_it_is_sound_or_a_speech_error(text: str) -> None:
    try:
        samples = asyncio.run(spoken(text, "en-gb"))
    except SpeechError as error:
        assert str(error)
    else:
        assert 0 < len(samples) < 180 * RATE_HZ


def test_a_text_for_the_engine_is_one_plain_line() -> None:
    assert plain("Stay\nback\0 \x1b[0m now ") == "Stay back [0m now"
    assert "[[" not in plain("Stay [[[[h@l'oU]] [\0[ back")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "made no sound"),
        ("cat", "made no sound"),
        ("head -c 1000000000 /dev/zero", "more than"),
        ("sleep 60", "took longer"),
    ],
)
def test_an_engine_that_misbehaves_is_an_event_and_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    engine(monkeypatch, tmp_path, script)
    monkeypatch.setattr(speech, "TALKS_S", 0.5)

    async def work() -> None:
        rig = Rig()
        rig.words.order(WarningWanted(number=1, name="", speak="Stay back."))
        await true(lambda: rig.told)
        [(name, data)] = rig.told
        assert (name, data["words"]) == ("speak_failed", "Stay back.")
        assert words in data["error"]
        [fault] = rig.words.faults()
        assert (fault.code, fault.text) == ("speech_failed", data["error"])
        assert rig.played == []
        await rig.words.close()

    play(work)


def test_without_an_engine_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(speech, "ENGINE", str(tmp_path / "espeak-ng"))
    with pytest.raises(SpeechError, match="install the package"):
        asyncio.run(spoken("Stay back.", "en-gb"))


def test_a_newer_order_takes_the_place_of_one_in_the_making(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine(monkeypatch, tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 60")

    async def work() -> None:
        rig = Rig()
        rig.words.order(WarningWanted(number=1, name="", speak="Stay back."))
        await true((tmp_path / "pid").exists)
        await true(lambda: (tmp_path / "pid").read_text().strip())
        pid = int((tmp_path / "pid").read_text())
        rig.words.order(WarningWanted(number=2, name="leave_area"))
        assert [number for number, _, _ in rig.played] == [2]
        await true(lambda: not Path(f"/proc/{pid}").exists())
        assert rig.told == []

    play(work)
