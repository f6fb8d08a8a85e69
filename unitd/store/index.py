"""What is in the ring: names and sizes in memory, 12 bytes a segment. A cache: the files are the truth.

Listed once, on the eviction thread (0.13 s for 100,000 names and 0.25 s for their sizes in the file cache, 0.44 and
1.0 s from a disk), then kept up to date by what is opened, closed and evicted.
"""

import os
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock

from unitd.store.segment import SegmentKey

SEQ_BITS = 32
_OURS = re.compile(r"[0-9]{6}-[0-9]{8}\.mp4\Z")
_STREAM = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
"""As `name` of a camera in the configuration; `lost+found` is none."""
LARGEST_SIZE = 0xFFFF_FFFF
SIZED_AT_ONCE = 512
"""Sizes are asked for in pieces of this many, so that a writer who wants to add a name waits a millisecond at most."""

Packed = int
"""A key as one number, `boot << 32 | seq`: the order of numbers is that of keys."""


def packed(key: SegmentKey) -> Packed | None:
    """None for a key that we never write: it would not fit."""
    return key.boot << SEQ_BITS | key.seq if key.boot < 1 << 31 and key.seq < 1 << SEQ_BITS else None


def unpacked(number: Packed) -> SegmentKey:
    return SegmentKey(number >> SEQ_BITS, number & 0xFFFF_FFFF)


def file_name(number: Packed) -> str:
    return f"{number >> SEQ_BITS:06d}-{number & 0xFFFF_FFFF:08d}.mp4"


def list_names(directory: Path) -> "array[int]":
    """The segments of one stream in order; those of an absent directory are none. Raises OSError. Blocks.

    Takes some 13 bytes a name while it is at it: as a list of numbers it would be 40.
    """
    boots: dict[int, array[int]] = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name
                if not name.endswith(".mp4") or not entry.is_file(follow_symlinks=False):
                    continue  # what is no plain file is not ours, and opening it may hang
                # the usual form; the general one costs ten times as much
                if _OURS.match(name):
                    boot, seq = int(name[:6]), int(name[7:15])
                else:
                    key = SegmentKey.parse(name)
                    if key is None or packed(key) is None or key.file_name != name:
                        continue
                    boot, seq = key.boot, key.seq
                if boot not in boots:
                    boots[boot] = array("I")
                boots[boot].append(seq)
    except FileNotFoundError:
        pass
    found = array("Q")
    for boot in sorted(boots):
        found.extend((boot << SEQ_BITS | seq) for seq in _in_order(boots.pop(boot)))
    return found


def _in_order(seqs: "array[int]") -> Iterable[int]:
    """Numbers of one boot follow one another with few holes: they are marked in a row rather than sorted."""
    low, high = min(seqs), max(seqs)
    if high - low > 8 * len(seqs):
        return sorted(seqs)
    there = bytearray(high - low + 1)
    for seq in seqs:
        there[seq - low] = 1
    return (low + place for place, one in enumerate(there) if one)


def list_streams(evidence_dir: Path) -> list[str]:
    """The directories that hold segments, also of cameras that are no longer configured. Raises OSError."""
    try:
        with os.scandir(evidence_dir) as entries:
            return sorted(e.name for e in entries if _STREAM.match(e.name) and e.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


class StreamIndex:
    """One stream: keys in order, and their sizes (0 until known). Not thread-safe: `Index` locks."""

    def __init__(self) -> None:
        self.keys = array("Q")
        self.sizes = array("I")
        self.total_bytes = 0

    def __len__(self) -> int:
        return len(self.keys)

    def at(self, key: Packed) -> int | None:
        """Where `key` stands."""
        place = bisect_left(self.keys, key)
        return place if place < len(self.keys) and self.keys[place] == key else None

    def add(self, key: Packed) -> None:
        place = bisect_left(self.keys, key)
        if place == len(self.keys) or self.keys[place] != key:
            self.keys.insert(place, key)
            self.sizes.insert(place, 0)

    def remove(self, key: Packed) -> None:
        place = self.at(key)
        if place is not None:
            self.total_bytes -= self.sizes[place]
            del self.keys[place]
            del self.sizes[place]

    def set_size(self, key: Packed, size: int) -> None:
        place = self.at(key)
        if place is not None:
            size = min(size, LARGEST_SIZE)
            self.total_bytes += size - self.sizes[place]
            self.sizes[place] = size

    def set_sizes(self, keys: "array[int]", sizes: Sequence[int | None]) -> None:
        """Of neighbours, as they were a moment ago; None: it is gone."""
        first = bisect_left(self.keys, keys[0])
        place = slice(first, first + len(keys))
        if self.keys[place] == keys and None not in sizes:
            known = array("I", (min(size or 0, LARGEST_SIZE) for size in sizes))
            self.total_bytes += sum(known) - sum(self.sizes[place])
            self.sizes[place] = known
            return
        for key, size in zip(keys, sizes, strict=True):
            self.remove(key) if size is None else self.set_size(key, size)

    def bytes_between(self, first: Packed, last: Packed) -> int:
        """What the segments from `first` to `last` (both included) hold."""
        return sum(self.sizes[bisect_left(self.keys, first) : bisect_right(self.keys, last)])


class Index:
    """Thread-safe; of its methods only `list_stream` and `measure` block on the disk, outside the lock."""

    def __init__(self, evidence_dir: Path) -> None:
        self._directory = evidence_dir
        self._lock = Lock()
        self._streams: dict[str, StreamIndex] = {}
        self._listed: set[str] = set()
        self._unsized: set[tuple[str, Packed]] = set()

    def forget(self) -> None:
        """Another disk is there: everything is listed again."""
        with self._lock:
            self._streams.clear()
            self._listed.clear()
            self._unsized.clear()

    def streams(self) -> list[str]:
        with self._lock:
            return sorted(self._streams)

    def is_listed(self, stream: str) -> bool:
        with self._lock:
            return stream in self._listed

    def added(self, stream: str, key: Packed) -> None:
        """A segment of that name is being written."""
        with self._lock:
            self._of(stream).add(key)

    def written(self, stream: str, key: Packed) -> None:
        """The segment has been closed: its size is to be asked for."""
        with self._lock:
            self._unsized.add((stream, key))

    def removed(self, stream: str, key: Packed) -> None:
        with self._lock:
            self._of(stream).remove(key)

    def list_stream(self, stream: str, ours_from: Packed | None) -> None:
        """Take the names on the disk. Those of its boot from `ours_from` on come by `added` alone: one that is being
        created cannot be told from one that was closed. Raises OSError. Blocks."""
        names = list_names(self._directory / stream)
        with self._lock:
            old, new = self._of(stream), StreamIndex()
            new.keys = names
            if ours_from is not None:
                boot_end = ((ours_from >> SEQ_BITS) + 1) << SEQ_BITS
                own = old.keys[bisect_left(old.keys, ours_from) : bisect_left(old.keys, boot_end)]
                new.keys[bisect_left(names, ours_from) : bisect_left(names, boot_end)] = own
            new.sizes = array(new.sizes.typecode, bytes(new.sizes.itemsize * len(new.keys)))
            self._streams[stream] = new
            self._listed.add(stream)
            self._unsized -= {each for each in self._unsized if each[0] == stream}

    def pass_over(self, stream: str) -> None:
        """A directory that we may not read is not ours, whatever it is called."""
        with self._lock:
            self._of(stream)
            self._listed.add(stream)

    def measure(self, stream: str, allowed: Callable[[], bool] = lambda: True) -> None:
        """Ask the disk for the sizes of all segments of `stream`; stops early when not `allowed`. Blocks."""
        with self._lock:
            keys = self._of(stream).keys[:]
        if not keys:
            return
        try:
            directory = os.open(self._directory / stream, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            for first in range(0, len(keys), SIZED_AT_ONCE):
                if not allowed():
                    return
                piece = keys[first : first + SIZED_AT_ONCE]
                sizes = [_size_at(directory, key) for key in piece]
                with self._lock:
                    self._of(stream).set_sizes(piece, sizes)
        finally:
            os.close(directory)

    def measure_written(self) -> None:
        """Ask for the sizes of what was closed since the last call. Blocks, a moment."""
        with self._lock:
            waiting, self._unsized = self._unsized, set()
        for stream, key in waiting:
            size = size_of(self._directory / stream / file_name(key))
            with self._lock:
                index = self._of(stream)
                index.remove(key) if size is None else index.set_size(key, size)

    def keys(self, stream: str) -> "array[int]":
        """A copy of the names, 8 bytes each."""
        with self._lock:
            return self._of(stream).keys[:]

    def first(self, stream: str) -> Packed | None:
        """The oldest name."""
        with self._lock:
            keys = self._of(stream).keys
            return keys[0] if keys else None

    def total_bytes(self, stream: str) -> int:
        with self._lock:
            return self._of(stream).total_bytes

    def bytes_between(self, stream: str, first: Packed, last: Packed) -> int:
        with self._lock:
            return self._of(stream).bytes_between(first, last)

    def _of(self, stream: str) -> StreamIndex:
        return self._streams.setdefault(stream, StreamIndex())


def size_of(path: Path) -> int | None:
    """None when it is gone. Raises OSError."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _size_at(directory: int, key: Packed) -> int | None:
    try:
        return os.stat(file_name(key), dir_fd=directory).st_size
    except (FileNotFoundError, PermissionError):
        return None


def in_order_of_going(keys: "array[int]", now_boot: int) -> "tuple[array[int], array[int]]":
    """Boots beyond the present one first (a disk that came from elsewhere, or outlived the boot counter), then ours."""
    own_end = bisect_left(keys, (now_boot + 1) << SEQ_BITS)
    return keys[own_end:], keys[:own_end]
