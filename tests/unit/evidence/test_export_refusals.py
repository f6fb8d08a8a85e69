"""Exports that meet trouble: a dead camera, another export, strange names in the ring, a place that is not ours."""

import threading
from pathlib import Path

import pytest

from tests.unit.evidence.export_rig import Teller, Unit, manifest_of, tree
from tests.unit.evidence.test_export_directory import small_unit
from unitd.__main__ import main
from unitd.errors import StoreError
from unitd.evidence.gather import Order, understand
from unitd.evidence.manifest import Manifest
from unitd.evidence.verify import verify
from unitd.evidence.verify_report import UNPROVEN
from unitd.tools.export import run, told


def test_an_incident_without_any_footage_is_exported_for_its_logs_and_stills(tmp_path: Path) -> None:
    """Its camera was dead the whole time: who asked for it gets what there is, and reads at once what is not."""
    unit = Unit(tmp_path)
    unit.segment("panel", 10)
    unit.lock(103.0, 107.0)
    unit.still("panel")
    teller = Teller()
    done = unit.export(tmp_path / "out", teller)
    assert "NO FOOTAGE" in told(done)
    assert any("NO footage of this incident" in said for said in teller.said)
    manifest = manifest_of(tmp_path / "out")
    assert [file.path for file in manifest.files] == ["README.txt", "stills/panel-1.jpg"]
    readme = (tmp_path / "out" / "README.txt").read_text()
    assert "NONE: nothing was recorded" in readme
    assert "2027" in readme
    report = verify(tmp_path / "out")
    assert report.status == UNPROVEN, report
    assert "There is no footage in this export." in [gap.why for gap in report.not_proven]


def test_a_ring_that_is_not_there_is_an_error_and_no_empty_export(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    unit.lock(103.0, 107.0)
    with pytest.raises(StoreError, match="no footage of incident"):
        unit.export(tmp_path / "out")
    assert not (tmp_path / "out.part").exists()


@pytest.mark.parametrize("name", ["stick/export-abc", "stick/abc.zip", "stick/abc.mp4"])
def test_a_stick_that_is_not_mounted_is_no_place(tmp_path: Path, name: str) -> None:
    """Else the unit's own card would be filled, and the officer would leave with an empty stick."""
    unit = small_unit(tmp_path)
    with pytest.raises(StoreError, match=r"there is no directory .*stick; is the stick mounted"):
        run(unit.config, Order(incident="abc"), tmp_path / name)
    assert not (tmp_path / "stick").exists()


def test_what_the_disk_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is none, as one that is not ours to read: nobody at a pole is shown a traceback."""
    (tmp_path / "state").mkdir()
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "audio").write_bytes(b"")
    paths = "\n".join(f'{name}_dir = "{tmp_path / name}"' for name in ("state", "run", "evidence"))
    config = tmp_path / "unit.toml"
    config.write_text(f"schema = 1\n[paths]\n{paths}\n")
    span = ["--from", "2026-11-22T14:00", "--to", "2026-11-22T14:10"]
    assert main(["export", "--config", str(config), *span, "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"unitd: {tmp_path}/evidence/audio: Not a directory\n"


def test_two_exports_to_the_same_place_do_not_spoil_each_other(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    held, go_on, failed = threading.Event(), threading.Event(), []

    class Slow(Teller):
        def phase(self, what: str, total_bytes: int = 0) -> None:
            if what == "joining":
                held.set()
                go_on.wait(20)

    def first() -> None:
        try:
            unit.export(tmp_path / "out", Slow())
        except StoreError as error:
            failed.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert held.wait(20)
    try:
        with pytest.raises(StoreError, match="is being made by another export at this moment"):
            unit.export(tmp_path / "out")
    finally:
        go_on.set()
        thread.join()
    assert not failed
    assert ".export" not in tree(tmp_path / "out")
    assert unit.export(tmp_path / "out").finished_before


def test_a_run_that_died_before_its_first_line_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / ".export").touch()
    small_unit(tmp_path).export(tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").exists()


def test_nothing_is_exported_into_the_ring(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    (tmp_path / "link").symlink_to(unit.evidence)
    for output in (unit.evidence / "export", tmp_path / "link" / "panel" / "export"):
        with pytest.raises(StoreError, match="which is the recorder's own; choose another --output"):
            unit.export(output)
    assert not (unit.evidence / "export.part").exists()


@pytest.mark.parametrize("name", ["lost+found", "dome\n", "d\u00f6me", "Dome", "..dome", "x" * 60])
def test_directories_in_the_ring_that_are_no_streams_are_left_alone(tmp_path: Path, name: str) -> None:
    unit = small_unit(tmp_path)
    stranger = unit.evidence / name
    stranger.mkdir()
    (stranger / "000001-00000001.mp4").write_bytes(next((unit.evidence / "dome").iterdir()).read_bytes())
    (unit.evidence / ".stills" / unit_incident(unit) / "panel-\x1b[2J.jpg").write_bytes(b"x")
    wanted = Order(incident="abcdef", by="")
    assert understand(unit.config, wanted).streams == ("panel", "dome", "audio")
    unit.export(tmp_path / "out")
    assert isinstance(manifest_of(tmp_path / "out"), Manifest)
    assert verify(tmp_path / "out").status == UNPROVEN


def test_a_directory_that_is_closed_to_us_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`a_closed` stands before `removed`, a camera that is in the configuration no more."""
    unit = small_unit(tmp_path)
    unit.segment("removed", 104)
    (unit.evidence / "a_closed").mkdir()
    iterdir = Path.iterdir

    def refused(self: Path) -> object:
        if self.name == "a_closed":
            raise PermissionError(13, "Permission denied", str(self))
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert "removed" in understand(unit.config, Order(incident="abcdef")).streams


def unit_incident(unit: Unit) -> str:
    return next((unit.evidence / ".stills").iterdir()).name
