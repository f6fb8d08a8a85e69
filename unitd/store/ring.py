"""The evidence ring as a whole: names, fill, eviction of the oldest unlocked segments, recovery at start.

The files are the truth; nothing is indexed in memory but what is open. Invariants:
1. A segment that overlaps a lock is never deleted, whatever the fill. Locks are read again before each batch.
2. An intent line is durable in the chain before the first unlink of a batch; the unlinks are synced afterwards.
3. Segments being written, and those younger than `keep_fresh_s` while a disk that others fill is merely above its
   watermark, are left alone: the roll before the next press must exist.
"""

import contextlib
import heapq
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from unitd.config import RingTable
from unitd.errors import StoreError
from unitd.store import disk
from unitd.store.boot import Boot
from unitd.store.chain import Chain, Field
from unitd.store.locks import read_locks
from unitd.store.segment import SegmentKey, end_mono_ns, list_segments, measure, read_header

BATCH_SEGMENTS = 16
URGENT_SEGMENTS = 4
RESERVE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Fill:
    """How full the file system of the ring is, as df counts it (blocks reserved for root are not available)."""

    used_percent: float
    free_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Room:
    """What one call of `make_room` did. `wanted` is True when the low watermark was not reached."""

    segments: int = 0
    bytes: int = 0
    wanted: bool = False


@dataclass(frozen=True, order=True)
class _Candidate:
    boot: int
    start_ns: int
    end_ns: int
    path: Path


class Ring:
    """Thread-safe. Every method blocks on the disk and raises OSError (StoreError included) when it refuses."""

    def __init__(self, evidence_dir: Path, state_dir: Path, table: RingTable, keep_fresh_s: float) -> None:
        self.directory = evidence_dir
        self._state_dir = state_dir
        self._table = table
        self._keep_fresh_ns = int(keep_fresh_s * 1e9)
        self._evicting = threading.Lock()
        self._open: frozenset[Path] = frozenset()
        self._opening = threading.Lock()
        self.chain = Chain(evidence_dir / "record.chain")
        self._reserve = evidence_dir / ".reserve"

    def camera_dir(self, camera: str) -> Path:
        """The directory of one camera's segments, made durable when it is new."""
        directory = self.directory / camera
        disk.make_dirs(directory)
        return directory

    def next_key(self, camera: str, boot: Boot) -> SegmentKey:
        """The key after the highest of this boot."""
        of_boot = [key.seq for key in list_segments(self.camera_dir(camera)) if key.boot == boot.boot]
        return SegmentKey(boot.boot, max(of_boot, default=0) + 1)

    def opened(self, path: Path) -> None:
        """`path` is being written: it is not to be evicted. Does not block."""
        with self._opening:
            self._open |= {path}

    def closed(self, path: Path) -> None:
        with self._opening:
            self._open -= {path}

    def fill(self) -> Fill:
        status = os.statvfs(self.directory)
        used = status.f_blocks - status.f_bfree
        usable = used + status.f_bavail
        percent = 100.0 * used / usable if usable else 100.0
        return Fill(percent, status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)

    def make_room(self, boot: Boot, *, urgent: bool = False) -> Room:
        """Above the high watermark evict down to the low one, keeping what is fresh.

        `urgent` (a write met a full disk): evict just a few of the oldest, fresh ones too, never locked or open ones.
        """
        with self._evicting:
            if urgent:
                batch = self._unlocked(self._candidates(boot, urgent), URGENT_SEGMENTS)
                return Room(len(batch), self._evict(batch, boot), wanted=not batch)
            if self.fill().used_percent < self._table.high_watermark_percent:
                self._keep_reserve()
                return Room()
            segments, freed = 0, 0
            candidates = self._candidates(boot, urgent)
            while (excess := self._excess_bytes()) > 0:
                batch = self._unlocked(candidates, BATCH_SEGMENTS, excess)
                if not batch:
                    return Room(segments, freed, wanted=True)
                freed += self._evict(batch, boot)
                segments += len(batch)
            self._keep_reserve()
            return Room(segments, freed)

    def recover(self, camera: str, boot: Boot) -> str | None:
        """Chain the segment that a crash left open, if there is one; returns its name. Idempotent."""
        keys = list_segments(self.camera_dir(camera))
        if not keys:
            return None
        path = self.camera_dir(camera) / keys[-1].file_name
        if path in self._open:
            return None
        name = f"{camera}/{path.name}"
        for record in reversed(self.chain.recent()):
            if record.get("file") == name and record.get("kind") in ("segment", "recovered", "abandoned"):
                return None
        extent = measure(path)
        digest = sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        size = path.stat().st_size
        self.chain.append(
            "recovered", boot.boot, file=name, bytes=size, sha256=digest.hexdigest(), torn_bytes=extent.torn_bytes
        )
        return name

    def _candidates(self, boot: Boot, urgent: bool) -> Iterator[_Candidate]:
        """What might go, oldest first over all cameras by (boot, monotonic start); files are read only as needed."""
        cameras = [d for d in self.directory.iterdir() if d.is_dir() and d.name[0] != "."]
        return heapq.merge(*(self._of_camera(d, boot, urgent) for d in cameras))

    def _of_camera(self, directory: Path, boot: Boot, urgent: bool) -> Iterator[_Candidate]:
        fresh_ns = time.monotonic_ns() - self._keep_fresh_ns
        for key in list_segments(directory):
            path = directory / key.file_name
            if path in self._open:
                continue
            start_ns, end_ns = _span(path)
            if not urgent and key.boot == boot.boot and end_ns > fresh_ns:
                return
            yield _Candidate(key.boot, start_ns, end_ns, path)

    def _excess_bytes(self) -> int:
        """What must go to reach the low watermark."""
        fill = self.fill()
        return int((fill.used_percent - self._table.low_watermark_percent) / 100 * fill.size_bytes)

    def _unlocked(self, candidates: Iterator[_Candidate], count: int, wanted_bytes: int | None = None) -> list[Path]:
        """The next segments that no lock covers: `count` of them at most, and no more than free `wanted_bytes`."""
        locks = read_locks(self._state_dir)
        batch: list[Path] = []
        freed = 0
        for candidate in candidates:
            if locks.cover(candidate.boot, candidate.start_ns, candidate.end_ns):
                continue
            batch.append(candidate.path)
            freed += candidate.path.stat().st_size
            if len(batch) == count or (wanted_bytes is not None and freed >= wanted_bytes):
                break
        return batch

    def _evict(self, batch: list[Path], boot: Boot) -> int:
        if not batch:
            return 0
        sizes = [path.stat().st_size for path in batch]
        records: list[tuple[str, dict[str, Field]]] = [
            ("evict", {"file": f"{path.parent.name}/{path.name}", "bytes": size})
            for path, size in zip(batch, sizes, strict=True)
        ]
        try:
            self.chain.append_all(records, boot.boot)
        except OSError:
            # The intent must be on the medium first, and the disk is full: that is what the reserve is for.
            with contextlib.suppress(FileNotFoundError):
                disk.remove(self._reserve)
            self.chain.append_all(records, boot.boot)
        for path in batch:
            path.unlink(missing_ok=True)
        for directory in {path.parent for path in batch}:
            disk.sync_dir(directory)
        return sum(sizes)

    def _keep_reserve(self) -> None:
        """Hold a little space back so that a full disk can still be written about."""
        with contextlib.suppress(OSError):
            if self._reserve.exists():
                return
            descriptor = disk.create_exclusive(self._reserve)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                disk.close(descriptor)


def _span(path: Path) -> tuple[int, int]:
    """(start, end) of a segment in its boot's monotonic time; the widest span when its header cannot be read.

    A file too short to hold one fragment carries no footage: it spans nothing, and no lock needs it.
    """
    try:
        header = read_header(path)
        extent = measure(path)
    except StoreError:
        return (0, 0) if path.stat().st_size < 64 * 1024 else (0, 1 << 62)
    except OSError:
        return (0, 1 << 62)
    return header.mono_ns, end_mono_ns(header, extent)
