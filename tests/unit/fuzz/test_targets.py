"""Every parser of outside bytes bears a seeded sample of changed inputs; `make prove` gives them a million."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import parts
from tests.fuzz.plain import TooLongError, corpus_findings, fuzz
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import ALL

LONG = bool(os.environ.get("UNITD_TEST_LONG"))
SAMPLE = 12_000
MILLION = 1_000_000
# The sample's own alarm clock is SIGALRM, which pytest-timeout uses too unless it is told otherwise.
pytestmark = pytest.mark.timeout(120, method="thread")


@pytest.mark.parametrize("name", ALL)
def test_what_was_once_found_and_a_sample(name: str) -> None:
    target = ALL[name]
    assert corpus_findings(target) == []
    found = fuzz(target, parts(list(ALL.values()), SAMPLE)[name], seed=1)
    assert found is None, found.data


def test_every_corpus_belongs_to_a_target() -> None:
    assert {place.name for place in CORPUS.iterdir()} == set(ALL)
    assert all(target.seeds() for target in ALL.values())
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < 256 * 1024


def _fails(data: bytes) -> None:
    assert b"\xff" not in data


def _hangs(data: bytes) -> None:
    while b"\xff" in data:
        pass


_kept: list[bytes] = []


def _keeps(data: bytes) -> None:
    _kept.append(bytes(1_000_000))


@pytest.mark.parametrize(("one", "error"), [(_fails, AssertionError), (_hangs, TooLongError), (_keeps, MemoryError)])
def test_a_fault_is_found(one: object, error: type[BaseException], tmp_path: Path) -> None:
    """Or the sample above would prove nothing: an exception, a parser that hangs, one that keeps what it is given."""
    target = Target("boot", one)  # type: ignore[arg-type]
    found = fuzz(target, 5000, seed=1)
    _kept.clear()
    assert found is not None
    assert isinstance(found.error, error)


def test_the_same_seed_makes_the_same_inputs() -> None:
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []
        fuzz(Target("command", seen.append), 300, seed)
        return seen

    assert inputs(1) == inputs(1) != inputs(2)


@pytest.mark.timeout(1800, method="thread")
@pytest.mark.parametrize("inputs", [MILLION if LONG else 3000])
def test_the_command(inputs: int) -> None:
    """The engine that is there: guided by coverage where it can be."""
    only = [] if LONG else ["--target", "command", "--target", "rtp"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--inputs", str(inputs), *only],
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    total = re.search(r"^(\d+) inputs, 0 finding", done.stdout, re.MULTILINE)
    assert total is not None
    assert int(total[1]) >= inputs
