"""The one file that a camera's writer has open: written by whole fragments, hashed as written, synced when told."""

import contextlib
import hashlib
import os
import time
from pathlib import Path

from unitd.messages.media import CLOCK_RATE_HZ, AccessUnit, StreamInfo
from unitd.record.muxer import FragmentMuxer
from unitd.store import disk
from unitd.store.segment import SegmentKey


class OpenSegment:
    """Created exclusively, its name durable before the first byte. Every method but `add` blocks on the disk.

    Raises OSError. After a failed `write`, `unwritten` is what is still to go and the call may be repeated with it;
    after a failed `sync` the file must be abandoned.
    """

    def __init__(self, path: Path, key: SegmentKey, info: StreamInfo, fragment_ms: int, header_box: bytes) -> None:
        self.path, self.key = path, key
        self._descriptor = disk.create_exclusive(path)
        try:
            disk.sync_dir(path.parent)
            self._muxer = FragmentMuxer(info, fragment_ms, header_box)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
                path.unlink()
            raise
        self._hash = hashlib.sha256()
        self._first_dts: int | None = None
        self._unsynced_since: float | None = None
        self._whole_bytes = 0
        self.unwritten = memoryview(b"")
        self.size_bytes = 0
        self.unsynced_bytes = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def units(self) -> int:
        return self._muxer.units

    def duration_s(self, unit: AccessUnit) -> float:
        """How long the segment would be if `unit` began the next one."""
        return 0.0 if self._first_dts is None else (unit.dts_90khz - self._first_dts) / CLOCK_RATE_HZ

    def unsynced_age_s(self) -> float:
        """How long ago the oldest bytes that are not yet synced were written."""
        return 0.0 if self._unsynced_since is None else time.monotonic() - self._unsynced_since

    def add(self, unit: AccessUnit) -> bytes:
        """Take a unit and return the bytes to `write` now. Raises ValueError when it cannot be muxed."""
        if self._first_dts is None:
            self._first_dts = unit.dts_90khz
        return self._muxer.add(unit)

    def finish(self) -> bytes:
        """The last fragment, to be written before `close`."""
        return self._muxer.finish()

    def write(self, data: bytes | memoryview) -> None:
        """Write and hash all of `data`, a whole fragment or what was left of one."""
        self.unwritten = memoryview(data).cast("B") if data else memoryview(b"")
        while self.unwritten:
            written = os.write(self._descriptor, self.unwritten)
            self._hash.update(self.unwritten[:written])
            self.size_bytes += written
            self.unsynced_bytes += written
            if self._unsynced_since is None:
                self._unsynced_since = time.monotonic()
            self.unwritten = self.unwritten[written:]
        self._whole_bytes = self.size_bytes

    def sync(self) -> None:
        disk.sync_data(self._descriptor)
        self.unsynced_bytes = 0
        self._unsynced_since = None

    def cut_back(self) -> None:
        """Cut the file to its last whole fragment and hash it again from the file."""
        os.ftruncate(self._descriptor, self._whole_bytes)
        self._hash = hashlib.sha256()
        at = 0
        while block := os.pread(self._descriptor, 1 << 20, at):
            self._hash.update(block)
            at += len(block)
        self.size_bytes = at

    def close(self) -> None:
        disk.close(self._descriptor)
