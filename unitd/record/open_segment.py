"""The one file that a camera's writer has open: written by whole fragments, hashed as written, synced when told."""

import contextlib
import hashlib
import os
from pathlib import Path

from unitd.messages.media import CLOCK_RATE_HZ, AccessUnit, AudioUnit, StreamInfo
from unitd.record.audio_muxer import muxer_of
from unitd.store import disk
from unitd.store.segment import SegmentHeader, SegmentKey, header_box


class OpenSegment:
    """Created exclusively, its name durable before the first byte. Only the constructor, `write`, `sync`, `cut_back`
    and `close` touch the disk, and block on it.

    Raises OSError. After a failed `write`, `unwritten` is what is still to go and the call may be repeated with it;
    after a failed `sync` the file must be abandoned.
    """

    def __init__(self, path: Path, key: SegmentKey, info: StreamInfo, fragment_ms: int, header: SegmentHeader) -> None:
        self.path, self.key, self.header = path, key, header
        self._descriptor = disk.create_exclusive(path)
        try:
            disk.sync_dir(path.parent)
            self._muxer = muxer_of(info, fragment_ms, header_box(header))
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
                path.unlink()
            raise
        self._hash = hashlib.sha256()
        self._first_dts: int | None = None
        self._held_since_ns: int | None = None
        self._written_since_ns: int | None = None
        self._newest_ns = header.mono_ns
        self._whole_bytes = 0
        self._whole_90khz = self._whole_units = 0
        self.unwritten = memoryview(b"")
        self.size_bytes = 0
        self.unsynced_bytes = 0
        self.sync_failed = False

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def units(self) -> int:
        """How many pictures were written in whole fragments."""
        return self._whole_units

    @property
    def due_dts_90khz(self) -> int | None:
        """The time of the picture that makes the next fragment due."""
        return self._muxer.due_dts_90khz

    @property
    def to_mono_ns(self) -> int:
        """Where the footage ends that was written in whole fragments, by its pictures' times."""
        return self.header.mono_ns + self._whole_90khz * 1_000_000_000 // CLOCK_RATE_HZ

    @property
    def newest_mono_ns(self) -> int:
        """When the newest picture arrived that the segment has taken."""
        return self._newest_ns

    def duration_s(self, unit: AccessUnit) -> float:
        """How long the segment would be if `unit` began the next one."""
        return 0.0 if self._first_dts is None else (unit.dts_90khz - self._first_dts) / CLOCK_RATE_HZ

    def unsynced_since_ns(self) -> int | None:
        """When the oldest picture arrived that a power cut would take, be it written or not; None for none."""
        return self._written_since_ns if self._written_since_ns is not None else self._held_since_ns

    def fits(self, unit: AccessUnit) -> bool:
        """Whether a keyframe has the parameters that this file declares."""
        return self._muxer.fits(unit)

    def add(self, unit: AccessUnit) -> bytes:
        """Take a unit and return the bytes to `write` now. Raises ValueError when it cannot be muxed."""
        if self._first_dts is None:
            self._first_dts = unit.dts_90khz
        data = self._muxer.add(unit)
        self._given(data)
        if self._held_since_ns is None:
            self._held_since_ns = unit.arrival_mono_ns
        self._newest_ns = unit.arrival_mono_ns
        return data

    def add_sound(self, unit: AudioUnit) -> None:
        self._muxer.add_sound(unit)

    def flush(self, *, everything: bool) -> bytes:
        """A short fragment, to be written; without `everything` the newest picture waits to be as long as it is."""
        data = self._muxer.finish() if everything else self._muxer.flush()
        self._given(data)
        if data and not everything:
            self._held_since_ns = self._newest_ns
        return data

    def finish(self, next_dts_90khz: int | None = None) -> bytes:
        """The last fragment, to be written before `close`."""
        data = self._muxer.finish(next_dts_90khz)
        self._given(data)
        return data

    def write(self, data: bytes | memoryview) -> None:
        """Write and hash all of `data`, a whole fragment or what was left of one."""
        self.unwritten = memoryview(data).cast("B") if data else memoryview(b"")
        while self.unwritten:
            written = os.write(self._descriptor, self.unwritten)
            self._hash.update(self.unwritten[:written])
            self.size_bytes += written
            self.unsynced_bytes += written
            self.unwritten = self.unwritten[written:]
        self._whole_bytes = self.size_bytes
        self._whole_90khz, self._whole_units = self._muxer.given_90khz, self._muxer.given_units

    def sync(self) -> None:
        try:
            disk.sync_data(self._descriptor)
        except OSError:
            self.sync_failed = True
            raise
        self.unsynced_bytes = 0
        self._written_since_ns = None

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

    def _given(self, data: bytes) -> None:
        """What was held is about to be written."""
        if data and self._held_since_ns is not None:
            if self._written_since_ns is None:
                self._written_since_ns = self._held_since_ns
            self._held_since_ns = None
