"""When segments began, read from their headers as needed, and searches in a stream's order by it.

Within a stream names and times have the same order, so a search needs the headers of some twenty files, not of all.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from unitd.errors import StoreError
from unitd.store.index import SEQ_BITS, Packed, file_name
from unitd.store.segment import read_header

KEPT_HEADERS = 4096
"""Some 150 bytes each; one read again costs 0.05 ms."""


class Begin(NamedTuple):
    """The arrival of a segment's first picture, as its header says."""

    mono_ns: int
    utc_us: int
    clock: str


class Headers:
    """Reads and remembers. Not thread-safe. Never raises: a header that cannot be read is None, and asked for again."""

    def __init__(self, evidence_dir: Path) -> None:
        self._directory = evidence_dir
        self._known: dict[tuple[str, Packed], Begin] = {}

    def forget(self) -> None:
        self._known.clear()

    def begin(self, stream: str, key: Packed) -> Begin | None:
        """Blocks on the disk when it is not known yet."""
        known = self._known.get((stream, key))
        if known is None:
            try:
                header = read_header(self._directory / stream / file_name(key))
            except (StoreError, OSError):
                return None
            known = Begin(header.mono_ns, header.utc_us, header.clock)
            if len(self._known) >= KEPT_HEADERS:
                del self._known[next(iter(self._known))]
            self._known[stream, key] = known
        return known


StartNs = Callable[[Packed], int | None]


class LockSpan(NamedTuple):
    """The ends of a lock; `to_*` None while its incident is open."""

    from_boot: int
    from_mono_ns: int
    to_boot: int | None
    to_mono_ns: int | None


def boot_range(keys: "array[int]", boot: int) -> tuple[int, int]:
    """Where the segments of `boot` stand."""
    return bisect_left(keys, boot << SEQ_BITS), bisect_left(keys, (boot + 1) << SEQ_BITS)


def covered(keys: "array[int]", span: LockSpan, start_ns: StartNs) -> tuple[int, int]:
    """The places [first, end) of the segments that `span` may cover: never too few, at most one whole one too many.

    Torn ones beside it are taken with it."""
    low, high = boot_range(keys, span.from_boot)
    first = max(low, _first_after(keys, low, high, span.from_mono_ns, start_ns) - 1)
    while low < first < high and start_ns(keys[first]) is None:
        first -= 1
    if span.to_boot is None or span.to_mono_ns is None:
        return first, len(keys)
    low, high = boot_range(keys, span.to_boot)
    end = max(first, _first_after(keys, low, high, span.to_mono_ns, start_ns))
    while low < end < high and start_ns(keys[end]) is None:
        end += 1
    return first, end


def _first_after(keys: "array[int]", low: int, high: int, mono_ns: int, start_ns: StartNs) -> int:
    """The place in [low, high] of the first segment that begins after `mono_ns`."""
    end = high
    while low < high:
        middle = (low + high) // 2
        whole, start = middle, start_ns(keys[middle])
        while start is None and whole + 1 < end:
            whole += 1
            start = start_ns(keys[whole])
        if start is not None and start <= mono_ns:
            low = middle + 1 if whole == middle else max(middle + 1, whole)
        elif start is None:
            low = middle + 1  # nothing whole follows: kept with what is before
        else:
            high = middle
    return low


KnownUtcUs = Callable[[Packed], int | None]


def last_old(keys: "array[int]", low: int, high: int, before_utc_us: int, utc_us: KnownUtcUs) -> int | None:
    """The place of the last segment in [low, high) that is known to be from before `before_utc_us`; None: of none.

    Boots are looked at from the newest: what comes before something old is old too, whether its own time is known or
    not. `utc_us` gives a segment's time, None when nobody can know.
    """
    while high > low:
        begin = max(low, bisect_left(keys, keys[high - 1] >> SEQ_BITS << SEQ_BITS))
        found = _last_old_of_boot(keys, begin, high, before_utc_us, utc_us)
        if found is not None:
            return found
        high = begin
    return None


def _last_old_of_boot(keys: "array[int]", low: int, high: int, before_utc_us: int, utc_us: KnownUtcUs) -> int | None:
    first = utc_us(keys[low])
    if first is not None and first >= before_utc_us:
        return None
    found = None
    while low < high:
        middle = (low + high) // 2
        time = utc_us(keys[middle])
        if time is not None and time >= before_utc_us:
            high = middle
        else:  # the clock of a boot becomes known in its course, if ever: what is unknown comes before
            found = middle if time is not None else found
            low = middle + 1
    return found
