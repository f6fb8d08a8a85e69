"""Which segments the locks cover, as ranges of names: found by a few headers for each lock and stream, and kept."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from unitd.store.headers import Headers, LockSpan, covered
from unitd.store.index import Index, Packed
from unitd.store.locks import Locks

_END: Packed = (1 << 63) - 1

Range = tuple[Packed, Packed]
"""First and last name, both included."""


class LockedRanges:
    """A first sieve, for skipping and for counting: what is to be deleted is held against the locks once more, by its
    own times. Not thread-safe. `update` blocks on the disk for headers that are not known yet."""

    def __init__(self, index: Index, headers: Headers) -> None:
        self._index, self._headers = index, headers
        self._settled: dict[tuple[str, LockSpan], Range | None] = {}
        self._ranges: dict[str, list[Range]] = {}
        self.everything = False

    def forget(self) -> None:
        self._settled.clear()

    def update(self, locks: Locks) -> None:
        """Take the locks as they are now."""
        self.everything = bool(locks.unreadable)
        spans = {LockSpan(lock.from_boot, lock.from_mono_ns, lock.to_boot, lock.to_mono_ns) for lock in locks.locks}
        self._settled = {key: value for key, value in self._settled.items() if key[1] in spans}
        self._ranges = {stream: self._of(stream, spans) for stream in self._index.streams()}

    def outside(self, stream: str, keys: "array[int]") -> "Iterator[array[int]]":
        """The pieces of `keys` that no range holds: 300,000 locked names are passed over in a moment."""
        if self.everything:
            return
        at = 0
        for first, last in self._ranges.get(stream, []):
            begin = bisect_left(keys, first, at)
            if begin > at:
                yield keys[at:begin]
            at = bisect_right(keys, last, begin)
        yield keys[at:]

    def locked_bytes(self, stream: str) -> int:
        if self.everything:
            return self._index.total_bytes(stream)
        return sum(self._index.bytes_between(stream, *each) for each in self._ranges.get(stream, []))

    def _of(self, stream: str, spans: set[LockSpan]) -> list[Range]:
        found = []
        waiting = []
        for span in spans:
            if (stream, span) in self._settled:
                found.append(self._settled[stream, span])
            else:
                waiting.append(span)
        if waiting:
            keys = self._index.keys(stream)
            for span in waiting:
                first, end = covered(keys, span, lambda key: self._start_ns(stream, key))
                if span.to_boot is None:
                    found.append((keys[first] if first < len(keys) else _END, _END))
                    continue
                taken = (keys[first], keys[end - 1]) if first < end else None
                found.append(taken)
                if end < len(keys):  # something later is there: no segment to come can fall under it
                    self._settled[stream, span] = taken
        return _merged([each for each in found if each is not None])

    def _start_ns(self, stream: str, key: Packed) -> int | None:
        begin = self._headers.begin(stream, key)
        return None if begin is None else begin.mono_ns


def _merged(ranges: list[Range]) -> list[Range]:
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
