"""Which segments belong to an incident, found from the files alone, beside a live recorder."""

import contextlib
import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unitd.store.locks import Lock
from unitd.store.segment import Extent, SegmentHeader, SegmentKey, end_mono_ns, list_segments, measure, read_header

_USUAL = re.compile(r"[0-9]{6}-[0-9]{8}\.mp4\Z")
_USUAL_CHARACTERS = len(SegmentKey(0, 0).file_name)
_AFTER_DASH = "."
"""The next character after `-`: sorts behind every name of a boot."""


@dataclass(frozen=True)
class Footage:
    """One segment of an incident: `extent.whole_bytes` of it can be played, also while it is being written."""

    path: Path
    header: SegmentHeader
    extent: Extent


def segment_names(camera_dir: Path) -> list[str]:
    """The names of a stream's segments in order; those of an absent directory are none. Raises OSError. Blocks.

    300,000 names take 0.2 s in the file cache: names of the usual length need only be sorted.
    """
    try:
        names = os.listdir(camera_dir)  # noqa: PTH208 - at a fifth of the cost of Path's
    except FileNotFoundError:
        return []
    usual = list(filter(_USUAL.match, names))
    if len(usual) < len(names) and any(SegmentKey.parse(name) for name in names if not _USUAL.match(name)):
        return [key.file_name for key in list_segments(camera_dir)]
    usual.sort()
    return usual


def find_footage(camera_dir: Path, lock: Lock, names: Sequence[str] | None = None) -> tuple[list[Footage], list[str]]:
    """The segments of one camera that overlap `lock`, in order, and the names of files that could not be read.

    `names` as `segment_names` gives them. Raises OSError. Blocks; reads the headers of the segments found and about
    twenty more.
    """
    names = segment_names(camera_dir) if names is None else names
    found: list[Footage] = []
    unreadable: list[str] = []
    for boot, of_boot in _by_boot(names, lock):
        first = 0
        if boot == lock.from_boot:
            first = bisect_right(
                range(len(of_boot)), lock.from_mono_ns, key=lambda i: _start_ns(camera_dir, of_boot, i)
            )
        for name in of_boot[max(0, first - 1) :]:
            path = camera_dir / name
            try:
                header, extent = read_header(path), measure(path)
            except OSError:  # a bad sector in one file costs that file, not the incident
                unreadable.append(name)
                continue
            if boot == lock.to_boot and lock.to_mono_ns is not None and header.mono_ns > lock.to_mono_ns:
                break
            if extent.fragments and lock.overlaps(boot, header.mono_ns, end_mono_ns(header, extent)):
                found.append(Footage(path, header, extent))
    return found, unreadable


def _by_boot(names: Sequence[str], lock: Lock) -> list[tuple[int, Sequence[str]]]:
    """The names of each boot that can overlap the lock: a stretch of `names` each."""
    if any(len(name) != _USUAL_CHARACTERS for name in names[-1:]):  # boots beyond six digits sort behind all others
        boots: dict[int, list[str]] = {}
        for name in names:
            if (key := SegmentKey.parse(name)) is not None and _boot_matches(key.boot, lock):
                boots.setdefault(key.boot, []).append(name)
        return sorted(boots.items())
    found: list[tuple[int, Sequence[str]]] = []
    at = bisect_left(names, f"{lock.from_boot:06d}")
    while at < len(names):
        prefix = names[at].partition("-")[0]
        end = bisect_left(names, prefix + _AFTER_DASH, at)
        key = SegmentKey.parse(names[at])
        if key is not None:
            if not _boot_matches(key.boot, lock):
                break
            found.append((key.boot, names[at:end]))
        at = max(end, at + 1)
    return found


def _boot_matches(boot: int, lock: Lock) -> bool:
    return boot >= lock.from_boot and (lock.to_boot is None or boot <= lock.to_boot)


def _start_ns(camera_dir: Path, names: Sequence[str], index: int) -> int:
    """The start of a segment; of a torn one that of the next whole one, so that the search keeps its order."""
    for name in names[index:]:
        with contextlib.suppress(OSError):
            return read_header(camera_dir / name).mono_ns
    return 1 << 62
