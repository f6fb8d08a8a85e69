"""What verify says: proven, not proven and why, and what it refuses; its input is a stranger's."""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.evidence.forge import (
    BOOT,
    OFFSET_US,
    RAISED_NS,
    SEGMENT_NS,
    Authority,
    Case,
    Unit,
    busy_unit,
    proven_case,
    self_signed,
)
from unitd.__main__ import main
from unitd.evidence.check_tree import safe
from unitd.evidence.manifest import BootTime, Span
from unitd.evidence.verify import verify
from unitd.evidence.verify_report import PROVEN, TAMPERED, UNPROVEN, UNUSABLE, Report
from unitd.tools.verify import words


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return proven_case(tmp_path)


def judge(case: Case) -> Report:
    return verify(case.export, case.trust, case.heads)


def made(place: Path, unit: Unit, **how: object) -> Case:
    export = unit.export(place / "export", **how)  # type: ignore[arg-type]
    (place / "ca.pem").write_bytes(unit.authority.pem)
    return Case(unit, export, place / "ca.pem", unit.write_heads(place / "heads.jsonl"))


def text(report: Report) -> str:
    return " ".join(" ".join(words(report)).split())


def open_questions(report: Report) -> set[str]:
    assert report.status == UNPROVEN, report
    return {each.what for each in report.not_proven}


# --- verdicts


def test_with_heads_and_authority_all_is_proven(case: Case) -> None:
    said = text(judge(case))
    assert said.startswith("PROVEN: recorded by the unit unit-7, unchanged, and nothing is missing.")
    assert "Nothing recorded by dome between 2026-11-18 12:30:00 UTC and 12:30:06 is missing." in said


def test_without_them_it_says_which_is_open_and_how_to_close_it(case: Case) -> None:
    neither = verify(case.export)
    assert open_questions(neither) == {"origin", "completeness"}
    assert "--trust" in text(neither)
    assert "--heads" in text(neither)
    assert text(neither).startswith(
        "CONSISTENT: nothing was found changed, but origin and completeness are not proven."
    )
    assert open_questions(verify(case.export, case.trust)) == {"completeness"}
    assert open_questions(verify(case.export, None, case.heads)) == {"origin"}


def test_heads_that_end_early_say_until_when(case: Case) -> None:
    unit = case.unit
    unit.write_heads(case.heads, unit.kept[:2])
    report = judge(case)
    assert open_questions(report) == {"completeness"}
    assert (
        "Nothing recorded by dome between 2026-11-18 12:30:00 UTC and 12:30:02 is missing; the last 4 s are newer."
        in text(report)
    )
    unit.write_heads(case.heads, unit.kept[:1])
    assert "All of dome is newer" in text(judge(case))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "heads.jsonl is empty."),
        (b"\n\n", "heads.jsonl is empty."),
        (b"{}\nnonsense\n\xff\n", "holds no heads: 3 line(s), and none can be read"),
        (b'{"unit":"x","received_utc_us":1,"checkpoint":1,"body":"","signature":""}\n', "heads of other units only"),
    ],
)
def test_heads_that_cannot_serve_are_named(case: Case, content: bytes, said: str) -> None:
    case.heads.write_bytes(content)
    assert open_questions(judge(case)) == {"completeness"}
    assert said in text(judge(case))


def test_a_damaged_line_among_good_heads_is_told(case: Case) -> None:
    case.heads.write_bytes(b"{broken\n" + case.heads.read_bytes())
    report = judge(case)
    assert report.status == PROVEN
    assert "1 line(s) of heads.jsonl cannot be read (first: line 1)" in text(report)


def test_a_self_signed_certificate_proves_no_origin(tmp_path: Path) -> None:
    unit = busy_unit(tmp_path / "unit")
    unit.certificate = self_signed(unit.name, unit.key)
    report = judge(made(tmp_path, unit))
    assert open_questions(report) == {"origin"}
    assert "signed by its own key" in text(report)


def test_no_certificate_at_all_leaves_the_origin_open(case: Case) -> None:
    (case.export / "certificate.pem").unlink()
    assert open_questions(judge(case)) == {"origin"}


def test_an_export_that_core_did_not_seal_proves_nothing_but_its_own_agreement(tmp_path: Path) -> None:
    report = judge(made(tmp_path, busy_unit(tmp_path / "unit"), seal=False))
    assert open_questions(report) == {"origin", "completeness"}
    assert "did not seal this export" in text(report)


def test_a_segment_that_is_not_in_the_chain_yet_is_said_to_be(tmp_path: Path) -> None:
    unit = busy_unit(tmp_path / "unit")
    unit.segment("dome", 3, state="open")
    report = judge(made(tmp_path, unit, segments=4))
    assert open_questions(report) == {"completeness"}
    assert "Not yet sealed when exported" in text(report)


def test_what_an_opponent_would_ask_is_said(tmp_path: Path) -> None:
    """Gaps, recovered and deleted segments, another camera that was not exported, a clock that nobody had set."""
    unit = busy_unit(tmp_path / "unit")
    unit.segment("panel", 0)
    unit.segment("dome", 3)
    unit.note("record", "evict", file="dome/000003-00000003.mp4", bytes=1, why="room")
    del unit.files["dome/000003-00000003.mp4"]
    gap_ns = RAISED_NS + 4 * SEGMENT_NS
    unit.note(
        "record", "gap", camera="dome", from_boot=BOOT, from_mono_ns=gap_ns, to_boot=BOOT,
        to_mono_ns=gap_ns + 2 * SEGMENT_NS, why="camera_stalled",
    )  # fmt: skip
    unit.segment("dome", 6, state="recovered")
    unit.segment("dome", 9)
    case = made(tmp_path, unit, segments=12, times={})
    report = judge(case)
    assert report.status == PROVEN, report
    said = text(report)
    assert "segments/dome/000003-00000003.mp4 was deleted by the unit itself before the export" in said
    assert "4.0 s (camera_stalled)" in said
    assert "Gap that no line explains: dome has nothing" in said
    assert "segments/dome/000003-00000006.mp4 was being written when the unit stopped" in said
    assert "not in this export: panel (1 segment)" in said
    assert said.startswith("PROVEN: recorded by the unit unit-7, unchanged, and nothing was taken out of it.")
    assert "clock in its boot 3 is not known" in said
    assert "by: PC 42" in said


def test_a_lost_segment_that_the_unit_never_deleted_is_missing_whatever_the_export_notes(tmp_path: Path) -> None:
    unit = busy_unit(tmp_path / "unit")
    del unit.files["dome/000003-00000001.mp4"]
    report = judge(made(tmp_path, unit, notes=("segments/dome/000003-00000001.mp4 is missing",)))
    assert report.status == TAMPERED
    assert report.tampered[0].file == "segments/dome/000003-00000001.mp4"


def test_a_still_open_incident_is_told(tmp_path: Path) -> None:
    unit = busy_unit(tmp_path / "unit")
    case = made(tmp_path, unit)
    again = unit.export(tmp_path / "again", span=Span(from_boot=BOOT, from_mono_ns=RAISED_NS))
    unit.write_heads(case.heads)
    report = verify(again, case.trust, case.heads)
    assert report.status == PROVEN
    assert "still open when this was exported" in text(report)


def test_an_expired_certificate_is_judged_by_the_control_rooms_clock(tmp_path: Path) -> None:
    unit = busy_unit(tmp_path / "unit")
    case = made(tmp_path, unit)
    late = [head | {"received_utc_us": 1_900_000_000_000_000} for head in unit.kept]
    unit.write_heads(case.heads, late)
    report = judge(case)
    assert open_questions(report) == {"origin"}
    assert "was used at 2030-03-17" in text(report)


def test_extracts_that_begin_too_late_leave_completeness_open(case: Case) -> None:
    """Whoever cuts their first lines breaks nothing, and could hide what was recorded first."""
    for name in ("record", "core"):
        path = case.export / f"chain/{name}.jsonl"
        whole = path.read_bytes()
        path.write_bytes(b"".join(whole.splitlines(keepends=True)[1:]))
        assert open_questions(judge(case)) == {"completeness"}
        path.write_bytes(whole)
    assert judge(case).status == PROVEN


@pytest.mark.parametrize(("clock", "status"), [("synced", TAMPERED), ("corrected afterwards", PROVEN)])
def test_times_that_the_segments_do_not_have_are_named(tmp_path: Path, clock: str, status: int) -> None:
    """A manifest that was sealed, by an export that shifts the clock by an hour."""
    shifted = {str(BOOT): BootTime(offset_us=OFFSET_US + 3_600_000_000, clock=clock)}
    report = judge(made(tmp_path, busy_unit(tmp_path / "unit"), times=shifted))
    assert report.status == status
    assert ("60 min 0 s off" in text(report)) == (status == TAMPERED)
    assert ("by the export's word alone" in text(report)) == (status == PROVEN)


def test_a_camera_that_ends_early_is_told(tmp_path: Path) -> None:
    report = judge(made(tmp_path, busy_unit(tmp_path / "unit"), segments=9))
    assert "No line explains the end: dome has nothing from 12:30:06 to 12:30:18, 12.0 s." in text(report)


# --- the command


def test_the_exit_statuses(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof = ["--trust", str(case.trust), "--heads", str(case.heads)]
    assert main(["verify", str(case.export), *proof]) == PROVEN
    assert main(["verify", str(case.export)]) == UNPROVEN
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "nothing")]) == UNUSABLE
    assert main(["verify", str(case.export), "--trust", str(tmp_path / "none.pem")]) == UNUSABLE
    assert main(["verify", str(case.export), "--trust", str(case.heads)]) == UNUSABLE
    assert main(["verify", str(case.export), "--heads", str(tmp_path / "none")]) == UNUSABLE
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 4
    assert said.out == ""
    (case.export / "README.txt").write_bytes(b"?")
    assert main(["verify", str(case.export), *proof]) == TAMPERED
    assert capsys.readouterr().out.startswith("TAMPERED: README.txt has 1 bytes and should have")


def test_json_for_programs(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(case.export), "--json"]) == UNPROVEN
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["status"], said["unit"]) == ("not_proven", UNPROVEN, "unit-7")
    assert {each["what"] for each in said["not_proven"]} == {"origin", "completeness"}


def test_the_words_fit_on_a_screen(case: Case) -> None:
    assert len(list(words(judge(case)))) <= 18
    assert all(len(line) <= 110 for line in words(judge(case)))


# --- a stranger's input


def test_what_is_not_part_of_it_changes_nothing(case: Case) -> None:
    (case.export / ".DS_Store").write_bytes(b"x")
    (case.export / "__MACOSX").mkdir()
    report = judge(case)
    assert report.status == PROVEN
    assert ".DS_Store, __MACOSX" in text(report)


def _link(export: Path) -> None:
    (export / "README.txt").unlink()
    (export / "README.txt").symlink_to("/etc/passwd")


def _linked_directory(export: Path) -> None:
    (export / "stills").rename(export.parent / "elsewhere")
    (export / "stills").symlink_to(export.parent / "elsewhere")


def _pipe(export: Path) -> None:
    (export / "manifest.json").unlink()
    os.mkfifo(export / "manifest.json")


def _deep(export: Path) -> None:
    (export / "segments/dome/inner").mkdir()
    (export / "segments/dome/inner/more").write_bytes(b"")


@pytest.mark.parametrize("trick", [_link, _linked_directory, _pipe, _deep])
def test_no_link_pipe_or_depth_is_followed(case: Case, trick: Callable[[Path], None]) -> None:
    trick(case.export)
    assert judge(case).status == TAMPERED


def test_names_that_move_the_cursor_do_not_reach_the_terminal(case: Case) -> None:
    (case.export / "view" / "\x1b[2Jgone\u202e.mp4").write_bytes(b"")
    (case.export / "checkpoints" / "\x1b]0;title\x07").write_bytes(b"")
    os.close(os.open(bytes(case.export) + b"/segments/\xff\xfe.mp4", os.O_CREAT | os.O_WRONLY))
    report = judge(case)
    assert report.status == TAMPERED
    assert text(report).isprintable()
    text(report).encode()


def test_safe_bounds_and_cleans() -> None:
    assert safe("a\nb\x1b\u202e") == "a�b��"
    assert len(safe("x" * 10_000)) == 300
    safe("\udcff").encode()


@pytest.mark.parametrize(
    "name", ["manifest.json", "chain/core.jsonl", "chain/record.jsonl", "checkpoints/00000004.json"]
)
@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b'{"a":' * 50_000, b"null\n", b"\xff\xfe\n", b'{"n":1e999}\n', b"9" * 5000 + b"\n"]
)
def test_nonsense_in_place_of_a_file_is_named(case: Case, name: str, content: bytes) -> None:
    (case.export / name).write_bytes(content)
    report = judge(case)
    assert report.status == TAMPERED
    assert report.tampered[0].file in (name, name.replace(".json", ".sig"))


# --- zips


def zipped(case: Case, target: Path, top: str = "export-3f0c5d1e/", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(target, "w", method) as packed:
        for file in sorted(path for path in case.export.rglob("*") if path.is_file()):
            packed.write(file, top + file.relative_to(case.export).as_posix())
    return target


def test_a_zip_says_what_its_directory_says(case: Case, tmp_path: Path) -> None:
    for top in ("", "export-3f0c5d1e/"):
        packed = zipped(case, tmp_path / f"{len(top)}.zip", top)
        assert verify(packed, case.trust, case.heads).status == PROVEN
        data = bytearray(packed.read_bytes())
        data[data.index(b"This is a small export") + 5] ^= 1
        packed.write_bytes(data)
        assert verify(packed, case.trust, case.heads).tampered[0].file == "README.txt"


def test_a_compressed_or_damaged_zip_is_refused(case: Case, tmp_path: Path) -> None:
    packed = zipped(case, tmp_path / "c.zip", method=zipfile.ZIP_DEFLATED)
    assert "unpack it, and check the directory" in verify(packed).error
    whole = zipped(case, tmp_path / "w.zip").read_bytes()
    for data in (b"", b"PK", whole[:-10], whole[:200], whole + b"x", whole[100:]):
        packed.write_bytes(data)
        assert verify(packed).status == UNUSABLE


def _zip_of(*names: str, mode: int = 0o100644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            packed.writestr(info, b"{}")
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        _zip_of("manifest.json", "segments/../../etc/passwd"),
        _zip_of("manifest.json", "/segments/x"),
        _zip_of("manifest.json", "segments\\x"),
        _zip_of("manifest.json", "segments/link.mp4", mode=0o120777),
        _zip_of("manifest.json", "MANIFEST.json"),
    ],
)
def test_names_in_a_zip_that_lead_elsewhere_are_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    assert verify(tmp_path / "x.zip").status == TAMPERED


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_a_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(_zip_of("manifest.json", "view/a.mp4", "view/a.mp4"))
    report = verify(tmp_path / "x.zip")
    assert any("is there twice" in finding.what for finding in report.tampered)


def test_files_that_lie_over_each_other_are_a_bomb(tmp_path: Path) -> None:
    data = bytearray(_zip_of("manifest.json", "view/b.mp4"))
    central = [at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2"]
    data[central[1] + 42 : central[1] + 46] = struct.pack("<L", 10)
    (tmp_path / "x.zip").write_bytes(data)
    assert "lie over each other" in verify(tmp_path / "x.zip").error


def test_an_authority_that_is_none_is_refused(case: Case, tmp_path: Path) -> None:
    (tmp_path / "leaf.pem").write_bytes(case.unit.certificate)
    assert "is an authority's" in verify(case.export, tmp_path / "leaf.pem").error
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(Authority("first").pem + case.unit.authority.pem)
    assert verify(case.export, bundle, case.heads).status == PROVEN
