"""`make bench` as a whole: one table, one file, and an exit status that can be relied on."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.figures import Row
from tests.bench.progress import Progress


async def good(_progress: Progress) -> list[Row]:
    return [Row("fine", 1.0, "s", 2.0)]


async def over(_progress: Progress) -> list[Row]:
    return [Row("slow", 3.0, "s", 2.0)]


async def broken(_progress: Progress) -> list[Row]:
    raise TimeoutError("no picture")


def run(
    monkeypatch: pytest.MonkeyPatch, output: Path, parts: Mapping[str, tuple[str, bench.Measure]], *arguments: str
) -> int:
    monkeypatch.setattr(bench, "PARTS", parts)
    monkeypatch.setattr("sys.argv", ["bench", "--output", str(output), *arguments])
    return bench.main()


def test_figures_are_printed_and_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "build" / "bench.json"
    assert run(monkeypatch, output, {"good": ("good things", good), "over": ("slow things", over)}) == 0
    assert "OVER" in capsys.readouterr().out
    written = json.loads(output.read_text())
    assert [(row["name"], row["value"], row["verdict"]) for row in written["rows"]] == [
        ("fine", 1.0, "ok"),
        ("slow", 3.0, "OVER"),
    ]
    assert written["machine"]["cores"] >= 1
    assert written["machine"]["python"].startswith("3.")
    assert written["date"].endswith("+00:00")


def test_over_a_ceiling_is_a_failure_only_when_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path / "b.json", {"over": ("slow", over)}, "--strict") == 1
    assert run(monkeypatch, tmp_path / "b.json", {"good": ("good", good)}, "--strict") == 0


def test_what_could_not_be_measured_is_a_row_that_says_why_and_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {"broken": ("pictures", broken), "good": ("good", good)}
    assert run(monkeypatch, tmp_path / "b.json", parts) == 1
    table = capsys.readouterr().out
    assert "NOT MEASURED" in table
    assert "TimeoutError: no picture" in table
    assert "fine" in table  # the others are measured all the same


def test_one_part_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"broken": ("pictures", broken), "good": ("good", good)}
    assert run(monkeypatch, tmp_path / "b.json", parts, "--only", "good") == 0
    assert "pictures" not in capsys.readouterr().out
