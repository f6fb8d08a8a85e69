"""The evidence directory: what is in it, that it says what differs, and that it is sealed when core is there."""

import hashlib
import subprocess
import threading
import zipfile
from pathlib import Path

import msgspec
import pytest

from tests.unit.evidence.export_rig import INCIDENT, Teller, Unit, core_of, manifest_of, samples, tree
from tests.unit.record.samples import FPS
from unitd.errors import StoreError
from unitd.evidence import workdir
from unitd.evidence.gather import Order, understand
from unitd.evidence.pack import export_zip
from unitd.store.chain import GENESIS
from unitd.tools.export import told


def small_unit(base: Path) -> Unit:
    """Six segments of the panel, three of the dome, an incident over the middle of them, a still."""
    unit = Unit(base)
    for number in range(6):
        unit.segment("panel", 100 + 2 * number, first=2 * FPS * number)
    for number in range(3):
        unit.segment("dome", 103 + 2 * number, first=2 * FPS * number)
    unit.lock(103.0, 107.0)
    unit.still("panel")
    return unit


def test_everything_is_there_byte_for_byte_and_the_sums_hold(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    done = unit.export(tmp_path / "out")
    out = tmp_path / "out"
    manifest = manifest_of(out)
    by_kind = {kind: [f.path for f in manifest.files if f.kind == kind] for kind in ("segment", "still", "view")}
    assert by_kind["segment"] == [
        *(f"segments/dome/000001-0000000{n}.mp4" for n in (1, 2, 3)),
        *(f"segments/panel/000001-0000000{n}.mp4" for n in (2, 3, 4)),
    ]
    assert by_kind["still"] == ["stills/panel-1.jpg"]
    assert by_kind["view"] == ["view/dome.mp4", "view/panel.mp4"]
    for path in by_kind["segment"]:
        assert (out / path).read_bytes() == (unit.evidence / path.removeprefix("segments/")).read_bytes()
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=out, check=True, capture_output=True)
    listed = [line.split("  ")[1] for line in (out / "SHA256SUMS").read_text().splitlines()]
    assert listed == [*(f.path for f in manifest.files), "manifest.json"]
    assert manifest.by == "an officer"
    assert manifest.incident is not None
    assert manifest.incident.outcome == "genuine"
    assert not list(tmp_path.glob("*.part"))
    readme = (out / "README.txt").read_text()
    assert INCIDENT in readme
    assert len(readme) < 4096
    assert done.unsealed == "core is not running"
    assert "NOT sealed" in told(done)
    assert not (out / "checkpoints").exists()


def test_a_film_holds_every_picture_of_the_segments_unchanged(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    unit.export(tmp_path / "out")
    for camera in ("panel", "dome"):
        segments = sorted((tmp_path / "out" / "segments" / camera).iterdir())
        wanted = [picture for path in segments for picture in samples(path)]
        assert samples(tmp_path / "out" / "view" / f"{camera}.mp4") == wanted
        assert len(wanted) == 3 * 2 * FPS


def test_a_sealed_export_has_both_extracts_without_a_hole_and_the_checkpoints_over_them(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    with core_of(unit) as core:
        core.checkpoint()
        done = unit.export(tmp_path / "out")
    out = tmp_path / "out"
    assert done.seal is not None
    assert core.requests[0].manifest_sha256 == hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
    assert core.requests[0].segments == 6
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert names == [f"{n:08d}.{kind}" for n in (1, 2, 3) for kind in ("json", "sig")]
    heads = msgspec.json.decode((out / "checkpoints" / "00000003.json").read_bytes())["heads"]
    for writer in ("record", "core"):
        lines = (out / "chain" / f"{writer}.jsonl").read_bytes().splitlines(keepends=True)
        before = None
        for raw in lines:
            assert before is None or msgspec.json.decode(raw)["prev"] == before
            before = hashlib.sha256(raw).hexdigest()
        assert before == heads[writer]["head"]
        assert len({msgspec.json.decode(raw)["n"] for raw in lines}) == len(lines)
    record = [msgspec.json.decode(raw) for raw in (out / "chain" / "record.jsonl").read_bytes().splitlines()]
    assert {f"{f.stream}/{Path(f.path).name}" for f in manifest_of(out).files if f.seq} <= {r["file"] for r in record}
    core_lines = [msgspec.json.decode(raw) for raw in (out / "chain" / "core.jsonl").read_bytes().splitlines()]
    assert [line["kind"] for line in core_lines] == ["lock", "export"]
    assert core_lines[0]["prev"] == GENESIS


def test_what_is_not_as_the_chain_has_it_is_copied_all_the_same_and_said(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    changed = unit.evidence / "panel" / "000001-00000003.mp4"
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    (unit.evidence / "panel" / "000001-00000004.mp4").unlink()
    (unit.evidence / "dome" / "000001-00000003.mp4").unlink()
    unit.record_chain.append("evict", 1, file="dome/000001-00000003.mp4", bytes=1, why="room")
    unit.record_chain.append(
        "gap", 1, camera="panel", from_boot=1, from_mono_ns=104 * 10**9, to_boot=1, to_mono_ns=105 * 10**9, why="camera"
    )
    teller = Teller()
    unit.export(tmp_path / "out", teller)
    notes = manifest_of(tmp_path / "out").notes
    assert list(notes) == teller.said
    assert (tmp_path / "out" / "segments" / "panel" / "000001-00000003.mp4").read_bytes() == bytes(data)
    for part in (
        "segments/panel/000001-00000003.mp4 is NOT what was recorded",
        "segments/panel/000001-00000004.mp4 is missing",
        "segments/dome/000001-00000003.mp4 is not here: the recorder deleted it before (to make room)",
        "camera panel: nothing was recorded for 1.0 s (camera)",
    ):
        assert any(part in note for note in notes), (part, notes)


def test_a_torn_file_goes_along_byte_for_byte_and_plays_to_its_last_whole_fragment(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    unit.segment("panel", 100)
    torn = unit.segment("panel", 102, first=2 * FPS, chained=None)
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size * 6 // 10])
    unit.chain_line(torn, "recovered", 102, 1)
    broken = unit.segment("panel", 104, first=4 * FPS, chained=None)
    broken.write_bytes(broken.read_bytes()[:50])
    unit.chain_line(broken, "recovered", 104, 0)
    unit.lock(100.0, 110.0)
    unit.export(tmp_path / "out")
    files = {f.path: f for f in manifest_of(tmp_path / "out").files}
    assert files["segments/panel/000001-00000002.mp4"].state == "recovered"
    assert files["segments/panel/000001-00000002.mp4"].bytes == torn.stat().st_size
    assert files["segments/panel/000001-00000003.mp4"].bytes == 50
    assert len(samples(tmp_path / "out" / "view" / "panel.mp4")) == 2 * FPS + FPS


def test_the_open_segment_is_waited_for_and_with_now_its_whole_fragments_are_taken(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    unit.segment("panel", 100)
    path = unit.segment("panel", 102, first=2 * FPS, chained=None)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    unit.lock(100.0, 104.0)
    unit.export(tmp_path / "now", wait=False)
    last = manifest_of(tmp_path / "now").files[-2]
    assert (last.path, last.state) == ("segments/panel/000001-00000002.mp4", "open")
    assert data.startswith((tmp_path / "now" / last.path).read_bytes())
    assert any("still being written" in note for note in manifest_of(tmp_path / "now").notes)
    waiting = threading.Event()

    class Recorder(Teller):
        def phase(self, what: str, total_bytes: int = 0) -> None:
            if what.startswith("waiting"):
                waiting.set()

    def record() -> None:
        assert waiting.wait(10)
        path.write_bytes(data)
        unit.chain_line(path, "segment", 102, 2)

    recorder = threading.Thread(target=record)
    recorder.start()
    unit.export(tmp_path / "out", Recorder())
    recorder.join()
    last = manifest_of(tmp_path / "out").files[-2]
    assert (last.state, last.bytes) == ("whole", len(data))


def test_a_span_of_time_in_any_spelling_and_only_the_cameras_that_are_asked_for(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    for spelling, local in (
        (("2027-01-15T08:00:04Z", "2027-01-15T08:00:05Z"), False),
        (("2027-01-15T09:00:04+01:00", "2027-01-15T09:00:05+01:00"), False),
        (("2027-01-15T08:00:04", "2027-01-15T08:00:05"), True),
    ):
        out = tmp_path / f"out-{spelling[0].replace(':', '')}"
        unit.export(out, incident="", begin=spelling[0], end=spelling[1], cameras=("dome",))
        manifest = manifest_of(out)
        names = [f.path for f in manifest.files if f.kind == "segment"]
        assert names == [f"segments/dome/000001-0000000{number}.mp4" for number in (1, 2)]
        assert manifest.incident is None
        assert any("local time, Europe/London" in note for note in manifest.notes) is local
    assert not any("not certain" in note for note in manifest_of(tmp_path / "out-2027-01-15T080004Z").notes)
    with pytest.raises(StoreError, match="no date and time; write 2026"):
        unit.export(tmp_path / "x", incident="", begin="yesterday", end="now")
    with pytest.raises(StoreError, match="is not after --from"):
        unit.export(tmp_path / "x", incident="", begin="2027-01-15T08:00Z", end="2027-01-15T07:00Z")
    with pytest.raises(StoreError, match="no camera 'door'; known: panel, dome, audio"):
        unit.export(tmp_path / "x", cameras=("door",))


def test_a_zip_holds_the_same_files_and_a_finished_one_is_left_alone(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    order = Order(incident=INCIDENT[:6], by="an officer")
    asked = understand(unit.config, order)
    unit.export(tmp_path / "out")
    target = tmp_path / "out.zip"
    export_zip(unit.config, order, asked, target, Teller())
    with zipfile.ZipFile(target) as packed:
        assert packed.testzip() is None
        assert {info.compress_type for info in packed.infolist()} == {zipfile.ZIP_STORED}
        found = {name.removeprefix("export-abcdef12/"): packed.read(name) for name in packed.namelist()}
    wanted = tree(tmp_path / "out")
    assert found.keys() == wanted.keys()
    differing = {name for name, data in wanted.items() if found[name] != data}
    assert differing <= {"manifest.json", "SHA256SUMS"}  # the time at which it was made
    assert [path.name for path in tmp_path.glob("out.zip*")] == ["out.zip"]
    assert export_zip(unit.config, order, asked, target, Teller()).finished_before


def test_a_finished_directory_is_said_to_be_finished_and_another_one_is_never_written_into(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    unit.export(tmp_path / "out")
    before = tree(tmp_path / "out")
    assert unit.export(tmp_path / "out").finished_before
    assert tree(tmp_path / "out") == before
    unit.lock(100.0, 103.0, incident="ffff0000-1")
    with pytest.raises(StoreError, match="holds another export"):
        unit.export(tmp_path / "out", incident="ffff")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "holiday.jpg").write_text("mine")
    with pytest.raises(StoreError, match="is no finished export"):
        unit.export(mine)
    mine.rename(tmp_path / "other.part")
    with pytest.raises(StoreError, match="is not an unfinished export"):
        unit.export(tmp_path / "other")
    assert tree(tmp_path / "other.part") == {"holiday.jpg": b"mine"}


def test_a_full_medium_is_one_line_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = small_unit(tmp_path)
    monkeypatch.setattr(workdir, "free_bytes", lambda _: 1_000_000)
    with pytest.raises(StoreError, match=r"has 1 MB free and the export needs \d+ MB; use a bigger medium"):
        unit.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_incident_whose_lock_was_released_is_exported_while_its_footage_is_there(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    released = unit.state / "locks" / "released"
    released.mkdir()
    (unit.state / "locks" / f"{INCIDENT}.json").rename(released / f"{INCIDENT}.json")
    unit.export(tmp_path / "out")
    assert manifest_of(tmp_path / "out").incident is not None
    with pytest.raises(StoreError, match="no incident 'ffff' is kept here"):
        unit.export(tmp_path / "other", incident="ffff")


def test_what_is_evicted_while_the_export_is_made_is_said(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)

    class Evicts(Teller):
        def phase(self, what: str, total_bytes: int = 0) -> None:
            if what == "copying":
                (unit.evidence / "dome" / "000001-00000001.mp4").unlink()

    unit.export(tmp_path / "out", Evicts())
    manifest = manifest_of(tmp_path / "out")
    assert "segments/dome/000001-00000001.mp4" not in [file.path for file in manifest.files]
    assert any("dome/000001-00000001.mp4 was deleted while the export was made" in note for note in manifest.notes)
