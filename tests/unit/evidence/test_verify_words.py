"""Every sentence of a report is true, also of an export that lacks something or holds numbers that nobody has."""

import errno
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.unit.evidence.forge import BOOT, RAISED_NS, SEGMENT_NS, Case, busy_unit, proven_case
from tests.unit.evidence.test_verify import judge, made, text
from unitd.evidence import check_tree
from unitd.evidence.manifest import Span
from unitd.evidence.verify_report import PROVEN, TAMPERED, UNPROVEN, UNUSABLE


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return proven_case(tmp_path)


def test_proven_is_not_all_of_it_where_something_is_lacking(tmp_path: Path) -> None:
    """Another camera, a segment that the unit deleted, a gap, one that was hashed later: not "nothing is missing"."""
    unit = busy_unit(tmp_path / "unit")
    unit.segment("panel", 0)
    unit.segment("dome", 3)
    unit.note("record", "evict", file="dome/000003-00000003.mp4", bytes=1, why="room")
    del unit.files["dome/000003-00000003.mp4"]
    unit.segment("dome", 6, state="recovered")
    report = judge(made(tmp_path, unit, segments=7))
    assert report.status == PROVEN, report
    verdict, _, rest = text(report).partition("(below).")
    assert "nothing is missing" not in verdict
    for lacking in ("the unit itself had deleted", "gaps in the recording", "other cameras"):
        assert lacking in verdict
    assert "is missing but what the unit itself deleted." in rest
    assert "1 segment unchanged since the unit found and hashed them at its next start." in rest


def test_a_camera_that_begins_late_is_told(tmp_path: Path) -> None:
    early = Span(from_boot=BOOT, from_mono_ns=RAISED_NS - 2 * SEGMENT_NS, to_boot=BOOT, to_mono_ns=RAISED_NS + 10**9)
    report = judge(made(tmp_path, busy_unit(tmp_path / "unit"), span=early))
    assert "No line explains the beginning: dome has nothing from 12:29:56 to 12:30:00, 4.0 s." in text(report)
    assert "nothing is missing" not in text(report)


@pytest.mark.parametrize("number", [10**30, 10**400, -(10**400)])
@pytest.mark.parametrize("name", ["to_mono_ns", "from_mono_ns", "offset_us", "utc_us"])
def test_numbers_that_no_clock_has_are_words_and_no_crash(case: Case, name: str, number: int) -> None:
    file = case.export / "manifest.json"
    file.write_bytes(re.sub(rf'"{name}":\d+'.encode(), f'"{name}":{number}'.encode(), file.read_bytes()))
    report = judge(case)
    assert (report.status, report.tampered[0].file) == (TAMPERED, "manifest.json")
    assert text(report)


def test_a_kind_that_is_no_word_is_named(case: Case) -> None:
    file = case.export / "chain/record.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"kind":"still"', b'"kind":["still"]'))
    assert judge(case).status == TAMPERED


def test_what_computers_leave_behind_is_named_and_accuses_nobody(case: Case) -> None:
    """Looked at on a Mac, on a stick without its attributes, and in Windows."""
    litter = ["view/._dome.mp4", "segments/dome/.DS_Store", "checkpoints/._00000002.json", "stills/Thumbs.db"]
    for name in litter:
        (case.export / name).write_bytes(b"x")
    report = judge(case)
    assert report.status == PROVEN
    assert all(name in text(report) for name in litter)
    (case.export / "view/.dome.mp4").write_bytes(b"x")
    assert [finding.file for finding in judge(case).tampered] == ["view/.dome.mp4"]


def test_a_file_that_the_manifest_names_is_no_litter(case: Case) -> None:
    (case.export / "README.txt").rename(case.export / "._README.txt")
    assert [finding.file for finding in judge(case).tampered] == ["README.txt"]


def test_heads_as_an_editor_of_another_system_leaves_them(case: Case) -> None:
    """A byte order mark, CR LF, blank lines, twice, in another order, with other units' between."""
    lines = case.heads.read_bytes().splitlines()
    strange = b'{"unit":"unit-8","received_utc_us":1,"checkpoint":1,"body":"","signature":""}'
    for order in ([*lines, *lines], lines[::-1], [strange, *lines, b"", strange]):
        case.heads.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(order))
        report = judge(case)
        assert report.status == PROVEN, report
        assert "cannot be read" not in text(report)


@pytest.mark.parametrize("call", ["open", "pread"])
@pytest.mark.parametrize("name", ["view/dome.mp4", "manifest.json", "chain/core.jsonl", "certificate.pem"])
def test_a_file_that_this_computer_cannot_read_accuses_nobody(
    case: Case, monkeypatch: pytest.MonkeyPatch, call: str, name: str
) -> None:
    """Another user's file, or a stick that is dying: nothing is said of the export, and why."""
    real = getattr(os, call)
    inode = (case.export / name).stat().st_ino

    def refused(what: object, *arguments: object, **more: object) -> object:
        if call == "open" and what == name.rpartition("/")[2]:
            raise PermissionError(errno.EACCES, "Permission denied")
        if call == "pread" and os.fstat(what).st_ino == inode:  # type: ignore[arg-type]
            raise OSError(errno.EIO, "Input/output error")
        return real(what, *arguments, **more)

    monkeypatch.setattr(check_tree.os, call, refused)
    report = judge(case)
    assert report.status == UNUSABLE, report
    assert report.error.endswith(("Permission denied", "Input/output error"))


def test_checkpoints_that_were_taken_away_are_not_called_never_made(case: Case) -> None:
    shutil.rmtree(case.export / "checkpoints")
    report = judge(case)
    assert report.status == UNPROVEN
    assert "of chain/core.jsonl seals this export: they were taken away" in text(report)
    assert "did not seal" not in text(report)


def test_a_manifest_that_is_missing_is_said_in_a_sentence(case: Case) -> None:
    (case.export / "manifest.json").unlink()
    assert "manifest.json is missing." in text(judge(case))


def test_what_the_film_leaves_out_by_the_exports_word_is_told(tmp_path: Path) -> None:
    note = "not in the film: segments/dome/000003-00000077.mp4: damaged"
    report = judge(made(tmp_path, busy_unit(tmp_path / "unit"), notes=(note,)))
    assert report.status == PROVEN
    assert f"A film leaves out what is in segments/; the export says: {note}." in text(report)
