"""The commands that docs/evidence.md prints, as they stand there: silent on a good export, `WRONG` on others."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.evidence.forge import Case, proven_case, self_signed

GUIDE = Path(__file__).parents[3] / "docs" / "evidence.md"
SEGMENT = "segments/dome/000003-00000001.mp4"


def blocks() -> list[str]:
    section = GUIDE.read_text(encoding="utf-8").partition("## Without our software")[2]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def said(case: Case) -> str:
    """What all of them print, one after the other, in the export's directory."""
    out = ""
    for block in blocks():
        done = subprocess.run(
            ["sh"], input=block, capture_output=True, text=True, cwd=case.export, check=False, timeout=60
        )
        out += done.stdout + done.stderr
    return out


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return proven_case(tmp_path)


def test_they_are_silent_on_a_good_export(case: Case) -> None:
    assert len(blocks()) == 6
    lines = said(case).splitlines()
    assert [line.partition("=")[0] for line in lines] == ["subject", "notBefore", "notAfter"]
    assert lines[0].endswith("unit-7")


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _cut_the_tail(export: Path) -> None:
    path = export / "chain/record.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def _listed_anew(export: Path) -> None:
    """A segment changed, and the list of hashes with it."""
    _flip(export / SEGMENT, -5)
    names = [line[66:] for line in (export / "SHA256SUMS").read_text().splitlines()]
    done = subprocess.run(["sha256sum", *names], cwd=export, capture_output=True, check=True)
    (export / "SHA256SUMS").write_bytes(done.stdout)


def _another_key(export: Path) -> None:
    key = Ed25519PrivateKey.generate()
    for body in (export / "checkpoints").glob("*.json"):
        body.with_suffix(".sig").write_bytes(key.sign(body.read_bytes()))
    (export / "certificate.pem").write_bytes(self_signed("unit-7", key))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda e: _flip(e / "README.txt", 3), "WRONG: a file was changed or is missing"),
        (lambda e: (e / SEGMENT).unlink(), "WRONG: a file was changed or is missing"),
        (lambda e: shutil.copy(e / SEGMENT, e / "segments/dome/more.mp4"), "WRONG: not listed: segments/dome/more.mp4"),
        (_listed_anew, f"WRONG: {SEGMENT} is not what the unit wrote"),
        (lambda e: _flip(e / "chain/record.jsonl", 400), "WRONG: chain/record.jsonl is broken before"),
        (lambda e: _flip(e / "chain/core.jsonl", 100), "WRONG: chain/core.jsonl is broken before"),
        (_cut_the_tail, "does not sign for the end of chain/record.jsonl"),
        (lambda e: _flip(e / "manifest.json", 300), "WRONG: chain/core.jsonl does not seal this manifest.json"),
        (lambda e: _flip(e / "checkpoints/00000003.json", 200), "00000003.json was not signed with this key"),
        (_another_key, "WRONG: the authority did not sign this certificate"),
        (_another_key, "WRONG: checkpoint 2 is not the one that the control room got"),
    ],
)
def test_they_find_what_was_changed(case: Case, change: Callable[[Path], object], found: str) -> None:
    change(case.export)
    assert found in said(case)


def test_heads_that_have_not_come_yet_are_no_contradiction(case: Case) -> None:
    case.unit.write_heads(case.heads, case.unit.kept[:-1])
    out = said(case)
    assert "WRONG" not in out
    assert "not proven: the control room has no checkpoint 4 of unit-7" in out
