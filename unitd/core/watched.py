"""The word that a core leaves to its successor in tmpfs: when its button was last watched, and what it knew of it.

`run_dir/watched` is mapped into memory, so that the press thread's stamp, ten times a second, costs no call at all and
is there however core dies. It gives the successor an upper bound of the time in which nobody watched.
"""

import contextlib
import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

STAMP_EVERY_S = 0.1
"""How old the stamp may be when core dies: what the reported window may exceed the true one by."""

MOST_STARTS = 1 << 62
"""More is nonsense, and one more than the largest number of the layout could not be written."""

_LAYOUT = struct.Struct("=8sqqB23s")
_MAGIC = b"watched1"
_WATCHED_AT = 8


class Before(NamedTuple):
    """What the predecessor in this boot left. `starts` counts its kind, itself included."""

    watched_ns: int
    starts: int
    stuck: bool
    fault: str


class WatchedStamp:
    """One file, one writer. Belongs to the thread that makes it until `armed`, then to the press thread.

    Nothing here raises: on a failing tmpfs nothing is known of a predecessor and nothing is left to a successor.
    """

    def __init__(self, run_dir: Path, now_ns: int) -> None:
        self.before: Before | None = None
        self._map: mmap.mmap | None = None
        self._starts = 1
        with contextlib.suppress(OSError, ValueError):
            self._map = _mapped(run_dir / "watched")
            self.before = _read(self._map[: _LAYOUT.size], now_ns)
        if self.before is not None:
            self._starts = self.before.starts + 1

    def armed(self, now_ns: int, stuck: bool, fault: str) -> None:
        """The button is watched from now on."""
        if self._map is not None:
            self._map[: _LAYOUT.size] = _LAYOUT.pack(_MAGIC, now_ns, self._starts, stuck, fault.encode()[:23])

    def watched(self, now_ns: int) -> None:
        """It still is."""
        if self._map is not None:
            struct.pack_into("=q", self._map, _WATCHED_AT, now_ns)

    def close(self) -> None:
        """The button is not watched by us, after all."""
        if self._map is not None:
            self._map.close()
            self._map = None


def _mapped(path: Path) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(descriptor).st_size < _LAYOUT.size:
            os.posix_fallocate(descriptor, 0, _LAYOUT.size)  # a full tmpfs refuses here, and not by SIGBUS later
        return mmap.mmap(descriptor, _LAYOUT.size)
    finally:
        os.close(descriptor)


def _read(content: bytes, now_ns: int) -> Before | None:
    """None for a new file, one of another boot, or nonsense."""
    magic, watched_ns, starts, stuck, fault = _LAYOUT.unpack(content)
    if magic != _MAGIC or not 0 < watched_ns <= now_ns or not 1 <= starts < MOST_STARTS:
        return None
    return Before(watched_ns, starts, bool(stuck), fault.rstrip(b"\0").decode("ascii", "replace"))
