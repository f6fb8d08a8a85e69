"""Which segments belong to an incident, found from the files alone, beside a live recorder."""

import contextlib
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from unitd.errors import StoreError
from unitd.store.locks import Lock
from unitd.store.segment import Extent, SegmentHeader, SegmentKey, end_mono_ns, list_segments, measure, read_header


@dataclass(frozen=True)
class Footage:
    """One segment of an incident: `extent.whole_bytes` of it can be played, also while it is being written."""

    path: Path
    header: SegmentHeader
    extent: Extent


def find_footage(camera_dir: Path, lock: Lock) -> tuple[list[Footage], list[str]]:
    """The segments of one camera that overlap `lock`, in order, and the names of files that could not be read.

    Raises OSError. Blocks; reads the headers of the segments found and about twenty more.
    """
    keys = [key for key in list_segments(camera_dir) if _boot_matches(key, lock)]
    found: list[Footage] = []
    unreadable: list[str] = []
    for boot in sorted({key.boot for key in keys}):
        of_boot = [key for key in keys if key.boot == boot]
        first = 0
        if boot == lock.from_boot:
            starts = range(len(of_boot))
            first = bisect_right(starts, lock.from_mono_ns, key=lambda i: _start_ns(camera_dir, of_boot, i))
        for key in of_boot[max(0, first - 1) :]:
            path = camera_dir / key.file_name
            try:
                header, extent = read_header(path), measure(path)
            except (StoreError, FileNotFoundError):
                unreadable.append(path.name)
                continue
            if boot == lock.to_boot and lock.to_mono_ns is not None and header.mono_ns > lock.to_mono_ns:
                break
            if extent.fragments and lock.overlaps(boot, header.mono_ns, end_mono_ns(header, extent)):
                found.append(Footage(path, header, extent))
    return found, unreadable


def _boot_matches(key: SegmentKey, lock: Lock) -> bool:
    return key.boot >= lock.from_boot and (lock.to_boot is None or key.boot <= lock.to_boot)


def _start_ns(camera_dir: Path, keys: list[SegmentKey], index: int) -> int:
    """The start of a segment; of a torn one that of the next whole one, so that the search keeps its order."""
    for key in keys[index:]:
        with contextlib.suppress(StoreError, FileNotFoundError):
            return read_header(camera_dir / key.file_name).mono_ns
    return 1 << 62
