"""What goes: the oldest unlocked footage, in batches, the intent to delete durable before the first file of each goes.

How much has to go, and why, is unitd/model/retention.py's to say.
"""

import heapq
import os
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from unitd.errors import StoreError
from unitd.model.retention import Why
from unitd.store import disk
from unitd.store.chain import Chain, Field
from unitd.store.headers import Begin, Headers, last_old
from unitd.store.index import SEQ_BITS, Index, Packed, file_name, in_order_of_going, size_of
from unitd.store.locked import LockedRanges
from unitd.store.locks import LockReader, Locks
from unitd.store.place import FULL, Place
from unitd.store.segment import end_mono_ns, measure, read_header

BATCH_SEGMENTS = 16
SMALLEST_BYTES = 64 * 1024
"""A file without a header that is shorter than this holds no picture."""
LONGEST_NS = 3600 * 1_000_000_000
"""No segment lasts longer: one that began earlier than this before some instant ended before it."""
FOR_EVER_NS = 1 << 62


@dataclass(frozen=True)
class Gone:
    """What was deleted."""

    segments: int = 0
    bytes: int = 0

    def __add__(self, other: "Gone") -> "Gone":
        return Gone(self.segments + other.segments, self.bytes + other.bytes)


class Candidate(NamedTuple):
    """Ordered by age: footage of boots beyond the present one (`own` False) first, then (boot, start)."""

    own: bool
    boot: int
    start_ns: int
    stream: str
    key: Packed


class Victim(NamedTuple):
    """A file, by its path below the evidence directory."""

    file: str
    bytes: int


class Evictor:
    """Everything but `is_open` is called by one thread at a time, which the caller sees to. Blocks; raises OSError."""

    def __init__(
        self, place: Place, chain: Chain, index: Index, headers: Headers, lock_reader: LockReader, keep_fresh_ns: int
    ) -> None:
        self._place, self._chain, self._index, self._headers = place, chain, index, headers
        self._lock_reader, self._keep_fresh_ns = lock_reader, keep_fresh_ns
        self.ranges = LockedRanges(index, headers)
        self._open: frozenset[tuple[str, Packed]] = frozenset()
        self._opening = threading.Lock()
        self._refused: set[str] = set()

    def opened(self, stream: str, key: Packed) -> None:
        with self._opening:
            self._open |= {(stream, key)}

    def closed(self, stream: str, key: Packed) -> None:
        with self._opening:
            self._open -= {(stream, key)}

    def is_open(self, stream: str, key: Packed) -> bool:
        return (stream, key) in self._open

    def candidates(self, streams: Iterable[str], boot: int, *, keep_fresh: bool = True) -> Iterator[Candidate]:
        """What might go, oldest first; headers are read as needed. What `ranges` hold or is open is left out."""
        return heapq.merge(*(self._of_stream(stream, boot, keep_fresh) for stream in streams if self._is_ours(stream)))

    def too_old(
        self, stream: str, boot: int, before_utc_us: int, utc_us: Callable[[int, Begin], int | None]
    ) -> Iterator[Candidate]:
        """What is from before `before_utc_us`, or from before something that is. `utc_us` (boot, header): its time."""
        keys = self._index.keys(stream) if self._is_ours(stream) else array("Q")

        def time_of(key: Packed) -> int | None:
            begin = self._headers.begin(stream, key)
            return None if begin is None else utc_us(key >> SEQ_BITS, begin)

        own_end = bisect_left(keys, (boot + 1) << SEQ_BITS)
        for low, high in ((own_end, len(keys)), (0, own_end)):  # strangers' boots say nothing about ours
            last = last_old(keys, low, high, before_utc_us, time_of)
            old = keys[low : low if last is None else last + 1]
            for key in (key for piece in self.ranges.outside(stream, old) for key in piece):
                if not self.is_open(stream, key):
                    yield Candidate(high == own_end, key >> SEQ_BITS, 0, stream, key)

    def batch(self, candidates: Iterator[Candidate], why: Why, boot: int, count: int, wanted_bytes: int) -> Gone:
        """Delete the next few: `count` at most, and no more than free `wanted_bytes`."""
        locks = self._lock_reader.read()
        taken: list[tuple[Candidate, int]] = []
        freed = 0
        for candidate in candidates:
            size = size_of(self._path(candidate))
            if size is None:
                self._index.removed(candidate.stream, candidate.key)
                continue
            if self.is_open(candidate.stream, candidate.key) or self._is_locked(locks, candidate, size):
                continue
            if self._refused and _name(candidate) in self._refused:
                continue
            taken.append((candidate, size))
            freed += size
            if len(taken) >= count or freed >= wanted_bytes:
                break
        if not taken:
            return Gone()
        self.delete([Victim(_name(each), size) for each, size in taken], why, boot)
        gone = Gone()
        for each, size in taken:
            if _name(each) not in self._refused:
                self._index.removed(each.stream, each.key)
                gone += Gone(1, size)
        return gone

    def delete(self, victims: list[Victim], why: Why, boot: int) -> None:
        """The intents in one append, the unlinks, one sync for each directory.

        A file that we may not delete (immutable, or another user's) holds up no other, and is not tried again.
        """
        self._place.check()
        records: list[tuple[str, dict[str, Field]]] = [
            ("evict", {"file": each.file, "bytes": each.bytes, "why": why}) for each in victims
        ]
        try:
            self._chain.append_all(records, boot)
        except OSError as error:
            if error.errno not in FULL:
                raise
            # the intent must be on the medium first, and the disk is full: that is what the reserve is for
            self._place.give_reserve()
            self._chain.append_all(records, boot)
        paths = [self._place.directory / each.file for each in victims]
        for path, victim in zip(paths, victims, strict=True):
            try:
                path.unlink(missing_ok=True)
            except (PermissionError, IsADirectoryError):
                self._refused.add(victim.file)
        for directory in sorted({path.parent for path in paths}):
            disk.sync_dir(directory)

    def _of_stream(self, stream: str, boot: int, keep_fresh: bool) -> Iterator[Candidate]:
        fresh_ns = time.monotonic_ns() - self._keep_fresh_ns
        floor_ns, of_boot = 0, -1
        parts = in_order_of_going(self._index.keys(stream), boot)
        for key in (key for part in parts for piece in self.ranges.outside(stream, part) for key in piece):
            if self.is_open(stream, key):
                continue
            begin = self._headers.begin(stream, key)
            key_boot = key >> SEQ_BITS
            if keep_fresh and key_boot == boot and begin is not None and self._is_fresh(stream, key, begin, fresh_ns):
                return
            if key_boot != of_boot:
                floor_ns, of_boot = 0, key_boot
            floor_ns = max(floor_ns, begin.mono_ns if begin is not None else 0)
            yield Candidate(key_boot <= boot, key_boot, floor_ns, stream, key)

    def _is_fresh(self, stream: str, key: Packed, begin: Begin, fresh_ns: int) -> bool:
        if begin.mono_ns < fresh_ns - LONGEST_NS:
            return False
        return self._end_ns(stream, key) > fresh_ns

    def _is_locked(self, locks: Locks, candidate: Candidate, size: int) -> bool:
        """By its own times. What nobody can tell the times of is locked when it might be, but for a file too short to
        hold a picture."""
        if locks.unreadable:
            return True
        begin = self._headers.begin(candidate.stream, candidate.key)
        if begin is None:
            return size >= SMALLEST_BYTES and locks.cover(candidate.boot, 0, FOR_EVER_NS)
        if not locks.cover(candidate.boot, begin.mono_ns, FOR_EVER_NS):
            return False
        return locks.cover(candidate.boot, begin.mono_ns, self._end_ns(candidate.stream, candidate.key))

    def _end_ns(self, stream: str, key: Packed) -> int:
        path = self._place.directory / stream / file_name(key)
        try:
            return end_mono_ns(read_header(path), measure(path))
        except (StoreError, OSError):
            return FOR_EVER_NS

    def _path(self, candidate: Candidate) -> Path:
        return self._place.directory / _name(candidate)

    def _is_ours(self, stream: str) -> bool:
        """Whether we may delete there. On a file system that is read-only as a whole the deleting itself says so."""
        root = self._place.directory
        return _may_write(root / stream) or not _may_write(root)


def _name(candidate: Candidate) -> str:
    return f"{candidate.stream}/{file_name(candidate.key)}"


def _may_write(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=True)
