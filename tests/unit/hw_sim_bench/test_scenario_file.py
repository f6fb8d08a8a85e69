"""Scenario files: the shipped ones are good, and a mistake is one line that says what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw_sim.scenario import ScenarioError, find, load, shipped
from hw_sim.scenario_look import _LOOKS
from hw_sim.scenario_steps import Expectation, Press

HEAD = 'title = "t"\n'
PRESS = '[[step]]\ndo = "press"\n'


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", sorted(shipped()))
def test_ok__shipped(name: str) -> None:
    scenario = load(find(name))
    assert scenario.name == name
    assert scenario.title
    assert any(hasattr(step, "within_ms") for step in scenario.steps), "it expects something"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_ok__the_document_has_its_title(name: str) -> None:
    row = f"| `{name}` | {load(find(name)).title} |\n"
    assert row in Path("docs/scenarios.md").read_text()


def test_ok__all_that_was_asked_for_is_shipped() -> None:
    wanted = (
        "press double-press stuck-button no-answer link-cut-mid-call camera-dead kill-each-process cold-clock disk-full"
    )
    assert set(wanted.split()) <= set(shipped())


def test_ok__defaults(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, HEAD + PRESS))
    assert scenario.steps == (Press(),)
    assert scenario.seed == 1
    assert scenario.bench.processes == ("core", "field", "record", "call", "sense")


def test_ok__every_word_can_be_looked_at() -> None:
    from typing import get_args

    assert set(_LOOKS) == set(get_args(Expectation))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = [", "syntax: "),
        (PRESS, "title: missing; add it"),
        (HEAD, "step: missing; add it"),
        (HEAD + "sed = 4\n" + PRESS, "sed: no such key; did you mean `seed`?"),
        (HEAD + "[bench]\ncamra = false\n" + PRESS, "bench.camra: no such key; did you mean `camera`?"),
        (HEAD + "[bench]\ndisk_mb = 1\n" + PRESS, "bench.disk_mb: saw 1; expected `int` >= 8"),
        (HEAD + "[[step]]\nms = 4\n", "step 1: has neither `do` nor `expect`"),
        (HEAD + '[[step]]\ndo = "prese"\n', "step 1.do: saw 'prese'; did you mean 'press'?"),
        (HEAD + '[[step]]\ndo = "press"\nmz = 4\n', "step 1.mz: no such key; did you mean `ms`?"),
        (HEAD + '[[step]]\ndo = "press"\nms = -4\n', "step 1.ms: saw -4; expected `float` > 0.0"),
        (HEAD + '[[step]]\nexpect = "received"\n', "step 1.within_ms: missing; add it"),
        (HEAD + PRESS + '[[step]]\nexpect = "received"\nwithin_ms = 1\nof = "x"\n', "step 2.of: saw 'x'; name the id"),
        (HEAD + '[[step]]\ndo = "step_clock"\n', "it needs `cold_clock = true`"),
        (HEAD + '[[step]]\ndo = "break"\nwhat = "disk"\nhow = "full"\n', "give the bench a `disk_mb`"),
        (
            HEAD + '[bench]\nprocesses = ["core"]\n[[step]]\ndo = "kill"\nprocess = "call"\n',
            "add it to bench.processes",
        ),
    ],
)
def test_fail__says_file_key_value_and_remedy(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ScenarioError) as error:
        load(file)
    assert said in str(error.value)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value).strip() or "syntax" in said


def test_fail__no_such_name(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="did you mean 'press'"):
        find("pres")
    with pytest.raises(ScenarioError, match="no such file"):
        load(tmp_path / "none.toml")
