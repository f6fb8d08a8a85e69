"""One clip from many segments: every picture once, time runs on, gaps stay sensible, the open segment included."""

import itertools
import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.unit.record.samples import FPS, INFO, units
from tests.unit.record.test_muxer import pictures
from unitd.config import CameraTable, Config, PathsTable
from unitd.errors import StoreError
from unitd.evidence.clip import gather, write_clip
from unitd.evidence.gather import Order
from unitd.record.muxer import FragmentMuxer
from unitd.store.chain import Chain
from unitd.store.clock_truth import CHAIN_NAME
from unitd.store.segment import SegmentHeader, header_box
from unitd.tools.export import run

SECOND_NS = 1_000_000_000


class Rig:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.config = Config(
            schema=1,
            paths=PathsTable(state_dir=str(base / "state"), run_dir=str(base), evidence_dir=str(base / "evidence")),
            cameras=(
                CameraTable(name="panel", main_url="rtsp://a/main"),
                CameraTable(name="dome", main_url="rtsp://b/main"),
            ),
        )
        self.seq = 0
        self.clip = base / "clip.mp4"

    def segment(
        self, start_s: float, seconds: int, *, first: int = 0, session: int = 1, boot: int = 1, keep: float = 1.0
    ) -> Path:
        """A segment whose first unit is number `first` of its session; `keep` is the share of its bytes on the disk."""
        self.seq += 1
        stream = list(units(seconds * FPS, first=first))
        header = SegmentHeader(
            unit="u", camera="dome", boot_id="b", boot=boot, seq=self.seq, mono_ns=int(start_s * SECOND_NS),
            utc_us=1_800_000_000_000_000, clock="synced", session=session, pts_90khz=stream[0].pts_90khz,
        )  # fmt: skip
        muxer = FragmentMuxer(INFO, 500, header_box(header))
        data = b"".join(muxer.add(unit) for unit in stream) + muxer.finish()
        path = self.base / "evidence" / "dome" / f"{boot:06d}-{self.seq:08d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[: int(len(data) * keep)])
        return path

    def lock(self, from_s: float, to_s: float | None = None, boot: int = 1) -> None:
        lock: dict[str, object] = {"incident_id": "abc-1", "from_boot": boot, "from_mono_ns": int(from_s * SECOND_NS)}
        if to_s is not None:
            lock |= {"to_boot": boot, "to_mono_ns": int(to_s * SECOND_NS)}
        (self.base / "state" / "locks").mkdir(parents=True, exist_ok=True)
        (self.base / "state" / "locks" / "abc-1.json").write_text(json.dumps(lock))

    def export(self) -> int:
        return run(self.config, Order(incident="abc"), self.clip)

    def times(self) -> list[float]:
        command = ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0", str(self.clip)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [float(line.rstrip(",")) for line in out.split()]


def test_every_picture_of_the_overlapping_segments_once_and_evenly_spaced(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for number in range(6):
        jitter_s = 0.004 * (number % 3)
        rig.segment(100 + 2 * number + jitter_s, 2, first=2 * FPS * number)
    rig.lock(103.0, 107.0)
    assert rig.export() == 0
    assert pictures(rig.clip) == 3 * 2 * FPS
    times = rig.times()
    assert times[0] == 0.0
    assert {round(b - a, 4) for a, b in itertools.pairwise(times)} == {1 / FPS}
    data = rig.clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_gap_between_sessions_stays_and_a_long_one_is_shortened_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = Rig(tmp_path)
    rig.segment(100, 2)
    rig.segment(105, 2, session=2)
    rig.segment(607, 2, session=3)
    rig.lock(100.0)
    assert rig.export() == 0
    times = rig.times()
    steps = [round(b - a, 2) for a, b in itertools.pairwise(times)]
    assert [step for step in steps if step > 0.06] == [3.05, 10.05]
    assert "1 gap(s) longer than 10 s" in capsys.readouterr().out


def test_a_reboot_inside_the_incident_joins_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.segment(100, 2)
    rig.segment(5, 2, boot=2)
    rig.lock(100.0)
    assert rig.export() == 0
    assert pictures(rig.clip) == 4 * FPS
    assert rig.times() == sorted(rig.times())


def test_the_clip_says_when_it_really_began_once_core_has_found_out(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.segment(100, 2)
    rig.lock(100.0, 102.0)

    def label() -> str:
        command = ["ffprobe", "-v", "error", "-show_entries", "format_tags=comment", "-of", "csv=p=0", str(rig.clip)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert rig.export() == 0
    assert "starts 2027-01-15T08:00:00.000+00:00 (clock synced)" in label()
    hour_before_us = 1_800_000_000_000_000 - 100_000_000 - 3_600_000_000
    chain = Chain(tmp_path / "state" / CHAIN_NAME)
    chain.append("clock", 1, true_offset_us=hour_before_us)
    chain.append("clock", 2, true_offset_us=0)
    assert rig.export() == 0
    assert "starts 2027-01-15T07:00:00.000+00:00 (clock corrected afterwards)" in label()


def test_the_torn_or_open_last_segment_gives_its_whole_fragments(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.segment(100, 2)
    rig.segment(102, 2, first=2 * FPS, keep=0.6)
    rig.segment(104, 2, first=4 * FPS, keep=0.01)
    rig.lock(100.0)
    assert rig.export() == 0
    assert 2 * FPS + FPS // 2 <= pictures(rig.clip) < 4 * FPS


def test_a_file_that_is_no_segment_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rig = Rig(tmp_path)
    rig.segment(100, 2)
    rig.segment(102, 2, first=2 * FPS).write_bytes(b"\0" * 5000)
    rig.lock(100.0)
    assert rig.export() == 0
    assert pictures(rig.clip) == 2 * FPS
    assert "left out, unreadable: 000001-00000002.mp4" in capsys.readouterr().out


def test_a_configuration_of_another_machine_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    paths = msgspec.structs.replace(rig.config.paths, state_dir=str(tmp_path / "elsewhere"))
    with pytest.raises(StoreError, match=r"there is no .*elsewhere"):
        gather(msgspec.structs.replace(rig.config, paths=paths), "abc", None)


def test_errors_are_one_line_and_leave_nothing_behind(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.segment(100, 2)
    rig.lock(500.0)
    with pytest.raises(StoreError, match="no footage of incident abc-1 from any camera"):
        rig.export()
    with pytest.raises(StoreError, match="no camera 'door'; known: panel, dome"):
        run(rig.config, Order(incident="abc", cameras=("door",)), rig.clip)
    rig.lock(100.0)
    lock, camera, footage, unreadable = gather(rig.config, "abc", None)
    nowhere = tmp_path / "no" / "such" / "clip.mp4"
    with pytest.raises(StoreError, match="cannot write"):
        write_clip(rig.config, lock, camera, footage, unreadable, nowhere, lambda _: None)
    assert [path.name for path in tmp_path.iterdir() if "clip" in path.name] == []
