"""A reader of a command's output that leaves early changes nothing about its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.evidence.forge import proven_case


def status_of(*arguments: str, closed: str) -> int:
    """The exit status of `unitd ARGUMENTS` whose stdout, or stderr, is a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | {closed: writer}
    try:
        return subprocess.run(
            [sys.executable, "-m", "unitd", *arguments], check=False, timeout=60, **streams
        ).returncode
    finally:
        os.close(writer)


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_tampered_export_is_tampered_whoever_reads(tmp_path: Path, closed: str, as_json: list[str]) -> None:
    case = proven_case(tmp_path)
    arguments = ["verify", str(case.export), "--trust", str(case.trust), "--heads", str(case.heads), *as_json]
    assert status_of(*arguments, closed=closed) == 0
    view = case.export / "view/dome.mp4"
    view.write_bytes(view.read_bytes() + b"!")
    assert status_of(*arguments, closed=closed) == 1


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_other_commands_keep_their_status_too(tmp_path: Path, closed: str) -> None:
    assert status_of("show-config", "--config", str(tmp_path / "none.toml"), closed=closed) == 2
    assert status_of("verify", str(tmp_path / "none"), closed=closed) == 2
    good = tmp_path / "unit.toml"
    good.write_text("schema = 1\n")
    assert status_of("show-config", "--config", str(good), closed=closed) == 0
    assert status_of("locks", "--config", str(good), closed=closed) in (0, 1)
