"""Eviction: oldest first over all cameras, never what is locked, open or fresh, and the intent always before."""

import errno
import json
import os
import time
from pathlib import Path

import msgspec
import pytest
from pytest_mock import MockerFixture

from tests.unit.record.samples import FPS, INFO, units
from unitd.config import RingTable
from unitd.model.retention import Disk
from unitd.record.muxer import FragmentMuxer
from unitd.store.boot import Boot
from unitd.store.place import Place
from unitd.store.ring import Ring
from unitd.store.segment import SegmentHeader, header_box, list_segments

BOOT = Boot("now", 2)
SECOND_NS = 1_000_000_000


def write_segment(evidence: Path, camera: str, boot: int, seq: int, start_ns: int, seconds: int = 1) -> Path:
    header = SegmentHeader(
        unit="u", camera=camera, boot_id="b", boot=boot, seq=seq, mono_ns=start_ns, utc_us=0, clock="unknown",
        session=1, pts_90khz=0,
    )  # fmt: skip
    muxer = FragmentMuxer(INFO, 500, header_box(header))
    data = b"".join(muxer.add(unit) for unit in units(seconds * FPS)) + muxer.finish()
    path = evidence / camera / f"{boot:06d}-{seq:08d}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def lock(state: Path, from_: tuple[int, int], to: tuple[int, int] | None) -> None:
    (state / "locks").mkdir(parents=True, exist_ok=True)
    to_boot, to_ns = to if to is not None else (None, None)
    data = {
        "incident_id": "i",
        "from_boot": from_[0],
        "from_mono_ns": from_[1],
        "to_boot": to_boot,
        "to_mono_ns": to_ns,
    }
    (state / "locks" / "i.json").write_text(json.dumps(data))


class Rig:
    """A ring of ten segments of a second each, on a disk whose fill follows the files that are left."""

    def __init__(self, base: Path, mocker: MockerFixture, keep_fresh_s: float = 0.0) -> None:
        self.evidence, self.state = base / "evidence", base / "state"
        self.state.mkdir()
        table = RingTable(high_watermark_percent=90.0, low_watermark_percent=50.0)
        self.ring = Ring(self.evidence, self.state, table, keep_fresh_s)
        self.paths = [write_segment(self.evidence, "dome", 1, n, n * SECOND_NS) for n in range(1, 6)]
        self.paths += [write_segment(self.evidence, "door", 1, n, n * SECOND_NS + 5) for n in range(1, 6)]
        size = self.paths[0].stat().st_size
        mocker.patch.object(
            Place, "fill", side_effect=lambda: Disk(size * len(self.left()), size * (10 - len(self.left())))
        )

    def left(self) -> list[str]:
        return [f"{camera}/{key.seq}" for camera in ("dome", "door") for key in list_segments(self.evidence / camera)]

    def evictions(self) -> list[str]:
        records = [msgspec.json.decode(line) for line in (self.evidence / "record.chain").read_bytes().splitlines()]
        return [record["file"] for record in records if record["kind"] == "evict"]


def test_above_the_high_watermark_the_oldest_go_down_to_the_low_one(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = Rig(tmp_path, mocker)
    room = rig.ring.make_room(BOOT)
    assert (room.segments, room.wanted) == (5, False)
    assert rig.left() == ["dome/4", "dome/5", "door/3", "door/4", "door/5"]
    assert [Path(name).name for name in rig.evictions()] == [
        "000001-00000001.mp4", "000001-00000001.mp4", "000001-00000002.mp4", "000001-00000002.mp4",
        "000001-00000003.mp4",
    ]  # fmt: skip
    assert rig.ring.make_room(BOOT).segments == 0


def test_what_a_lock_overlaps_stays_however_full_the_disk(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = Rig(tmp_path, mocker)
    lock(rig.state, (1, 2 * SECOND_NS + SECOND_NS // 2), (1, 4 * SECOND_NS))
    assert rig.ring.make_room(BOOT).segments > 0
    while rig.ring.make_room(BOOT, urgent=True).segments:
        pass
    assert rig.left() == ["dome/2", "dome/3", "dome/4", "door/2", "door/3"]


def test_an_unreadable_lock_stops_all_eviction(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = Rig(tmp_path, mocker)
    lock(rig.state, (1, 0), (1, 0))
    (rig.state / "locks" / "i.json").write_bytes(b"\0\0\0")
    assert rig.ring.make_room(BOOT).wanted
    assert rig.ring.make_room(BOOT, urgent=True).segments == 0
    assert len(rig.left()) == 10


def test_open_segments_stay(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = Rig(tmp_path, mocker)
    rig.ring.opened(rig.paths[4])
    while rig.ring.make_room(BOOT, urgent=True).segments:
        pass
    assert rig.left() == ["dome/5"]
    rig.ring.closed(rig.paths[4])
    assert rig.ring.make_room(BOOT, urgent=True).segments == 1


def test_the_roll_before_the_next_press_stays_unless_a_write_meets_a_full_disk(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    rig = Rig(tmp_path, mocker, keep_fresh_s=120.0)
    now = time.monotonic_ns()
    fresh = write_segment(rig.evidence, "dome", BOOT.boot, 1, now - 60 * SECOND_NS)
    mocker.patch.object(Place, "fill", return_value=Disk(99, 1))
    assert rig.ring.make_room(BOOT).wanted
    assert fresh.exists()
    assert rig.left() == ["dome/1"]
    assert rig.ring.make_room(BOOT, urgent=True).segments == 1
    assert not fresh.exists()


def test_the_intent_is_on_the_medium_before_the_first_unlink(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = Rig(tmp_path, mocker)
    mocker.patch("unitd.store.disk.sync_data", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        rig.ring.make_room(BOOT)
    assert len(rig.left()) == 10


def test_a_reserve_lets_a_full_disk_be_written_about(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = Rig(tmp_path, mocker)
    rig.ring.make_room(BOOT)
    reserve = rig.evidence / ".reserve"
    assert reserve.stat().st_blocks * 512 >= 256 * 1024
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    mocker.patch.object(os, "write", side_effect=full)
    assert rig.ring.make_room(BOOT, urgent=True).segments > 0


def test_recovery_chains_a_torn_segment_once(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = Rig(tmp_path, mocker)
    last = rig.paths[4]
    last.write_bytes(last.read_bytes()[:-100])
    named = [f"{path.parent.name}/{path.name}" for path in rig.paths]
    rig.ring.chain.append_all([("segment", {"file": name}) for name in named if name != named[4]], 1)
    assert rig.ring.recover(BOOT) == [named[4]]
    assert rig.ring.recover(BOOT) == []
    assert Ring(rig.evidence, rig.state, RingTable(), 0.0).recover(BOOT) == []
    record = msgspec.json.decode((rig.evidence / "record.chain").read_bytes().splitlines()[-1])
    assert record["kind"] == "recovered"
    assert record["torn_bytes"] > 0
