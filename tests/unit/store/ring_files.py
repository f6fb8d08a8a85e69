"""Segments of one second, made quickly, and a ring on a disk whose fill follows the files that are left."""

import functools
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from pytest_mock import MockerFixture

from tests.unit.record.samples import FPS, INFO, units
from unitd.config import RingTable
from unitd.messages.control_room import ClockQuality
from unitd.model.retention import Disk
from unitd.record.muxer import FragmentMuxer
from unitd.store.boot import Boot
from unitd.store.place import Place
from unitd.store.ring import Ring
from unitd.store.segment import SegmentHeader, SegmentKey, header_box, list_segments

SECOND_NS = 1_000_000_000
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


@functools.cache
def small_media() -> tuple[bytes, bytes]:
    """A second in two fragments, before and after the place of the header box; its pictures are cut short, so that
    thousands are no burden."""
    muxer = FragmentMuxer(INFO, 500, b"")
    cut = (replace(unit, data=unit.data[: 1000 if unit.keyframe else 40]) for unit in units(FPS))
    media = b"".join(muxer.add(unit) for unit in cut) + muxer.finish()
    at = int.from_bytes(media[:4], "big")
    return media[:at], media[at:]


def write_segment(
    evidence: Path, camera: str, boot: int, seq: int, start_ns: int, utc_us: int = 0, clock: ClockQuality = "unknown"
) -> Path:
    header = SegmentHeader(
        unit="u", camera=camera, boot_id="b", boot=boot, seq=seq, mono_ns=start_ns, utc_us=utc_us, clock=clock,
        session=1, pts_90khz=0,
    )  # fmt: skip
    ftyp, media = small_media()
    path = evidence / camera / SegmentKey(boot, seq).file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ftyp + header_box(header) + media)
    return path


def write_lock(
    state: Path, incident: str, from_: tuple[int, int], to: tuple[int, int] | None, **fields: object
) -> Path:
    to_boot, to_ns = to if to is not None else (None, None)
    span = {"from_boot": from_[0], "from_mono_ns": from_[1], "to_boot": to_boot, "to_mono_ns": to_ns}
    path = state / "locks" / f"{incident}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"incident_id": incident, **span, **fields}))
    return path


def release(state: Path, incident: str) -> None:
    """As core does."""
    (state / "locks" / "released").mkdir(exist_ok=True)
    shutil.move(state / "locks" / f"{incident}.json", state / "locks" / "released" / f"{incident}.json")


class RingRig:
    """A ring in `base`; segments count `size` bytes each, on a disk of `capacity` of them."""

    def __init__(
        self,
        base: Path,
        mocker: MockerFixture,
        table: RingTable | None = None,
        keep_fresh_s: float = 0.0,
        budgets: Mapping[str, int] | None = None,
        capacity: int = 1000,
    ) -> None:
        self.evidence, self.state, self.capacity = base / "evidence", base / "state", capacity
        self.state.mkdir()
        self.evidence.mkdir()
        self.boot = Boot("now", 2)
        self.table = table or RingTable(high_watermark_percent=90.0, low_watermark_percent=85.0)
        self.size = write_segment(base / "sample", "dome", 1, 1, 0).stat().st_size
        self.others = 0
        mocker.patch.object(Place, "fill", side_effect=self.fill)
        self.ring = Ring(self.evidence, self.state, self.table, keep_fresh_s, budgets)

    def add(
        self,
        camera: str,
        boot: int,
        seqs: range,
        from_utc_us: int = 0,
        clock: ClockQuality = "unknown",
        every_s: int = 1,
    ) -> None:
        for seq in seqs:
            utc_us = from_utc_us + (seq - seqs.start) * every_s * SECOND_US
            write_segment(self.evidence, camera, boot, seq, seq * every_s * SECOND_NS, utc_us, clock)

    def chained(self, camera: str, boot: int, seqs: range) -> None:
        """As a writer chains what it closed."""
        names = [f"{camera}/{SegmentKey(boot, seq).file_name}" for seq in seqs]
        self.ring.chain.append_all([("segment", {"file": name}) for name in names], boot)

    def fill(self) -> Disk:
        used = self.size * (len(self.left()) + self.others)
        return Disk(used, self.size * self.capacity - used)

    def left(self) -> list[str]:
        cameras = sorted(path.name for path in self.evidence.iterdir() if path.is_dir() and path.name[0] != ".")
        return [f"{camera}/{key.boot}-{key.seq}" for camera in cameras for key in list_segments(self.evidence / camera)]

    def lines(self, kind: str) -> list[dict[str, Any]]:
        path = self.evidence / "record.chain"
        records = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        return [record for record in records if record["kind"] == kind]
