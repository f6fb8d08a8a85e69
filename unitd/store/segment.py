"""One segment of the evidence ring: its name, the header box that says what it is, and how far it is whole.

A segment is a fragmented MP4, `<camera>/<boot>-<seq>.mp4`. Right after `ftyp` stands a box of type `uuid` with
SEGMENT_BOX_ID and then JSON: SegmentHeader. Every player ignores it. Names and order owe nothing to the wall clock.
"""

import re
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.messages.control_room import ClockQuality
from unitd.messages.media import CLOCK_RATE_HZ

SEGMENT_BOX_ID = uuid.UUID("6f1d7c1e-9a52-4c0b-8a43-68656c707074")
MAX_HEADER_BYTES = 64 * 1024
_NAME = re.compile(r"^(\d{1,10})-(\d{1,12})\.mp4$")


@dataclass(frozen=True, order=True, slots=True)
class SegmentKey:
    """Order within one camera: lexicographic on (boot, seq)."""

    boot: int
    seq: int

    @property
    def file_name(self) -> str:
        return f"{self.boot:06d}-{self.seq:08d}.mp4"

    @classmethod
    def parse(cls, file_name: str) -> "SegmentKey | None":
        """The key in a file's name, or None when the file is not a segment."""
        match = _NAME.match(file_name)
        return cls(int(match[1]), int(match[2])) if match else None


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the header box says. `mono_ns` and `utc_us` are the arrival of the first access unit.

    `session` counts the camera sessions of this process from the monotonic instant of opening; within one session
    `pts_90khz` runs on from segment to segment, so an export can join them to the frame.
    """

    version: int = 1
    unit: str
    camera: str
    boot_id: str
    boot: int
    seq: int
    mono_ns: int
    utc_us: int
    clock: ClockQuality
    session: int
    pts_90khz: int


def header_box(header: SegmentHeader) -> bytes:
    """The `uuid` box to be written right after `ftyp`."""
    payload = SEGMENT_BOX_ID.bytes + msgspec.json.encode(header)
    return struct.pack(">I4s", 8 + len(payload), b"uuid") + payload


@dataclass(frozen=True)
class Extent:
    """How far a file is whole: `duration_90khz` of media in `whole_bytes`; `torn_bytes` follow a cut."""

    duration_90khz: int
    whole_bytes: int
    torn_bytes: int
    fragments: int


def list_segments(directory: Path) -> list[SegmentKey]:
    """The segments of one camera in order; an absent directory has none. Raises OSError. Blocks."""
    try:
        keys = [SegmentKey.parse(path.name) for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(key for key in keys if key is not None)


def read_header(path: Path) -> SegmentHeader:
    """The header of a segment. Raises StoreError when the file is torn before it, or is not a segment. Blocks."""
    try:
        with path.open("rb") as file:
            kind, size = _box(file)
            if kind == b"ftyp":
                file.seek(size - 8, 1)
                kind, size = _box(file)
            if kind != b"uuid" or not 24 <= size <= MAX_HEADER_BYTES:
                raise StoreError(f"{path}: no segment header")
            payload = file.read(size - 8)
    except FileNotFoundError:
        raise StoreError(f"{path}: no such segment") from None
    if len(payload) != size - 8 or payload[:16] != SEGMENT_BOX_ID.bytes:
        raise StoreError(f"{path}: no segment header")
    try:
        return msgspec.json.decode(payload[16:], type=SegmentHeader)
    except UNREADABLE as error:
        raise StoreError(f"{path}: segment header: {error}") from None


def measure(path: Path) -> Extent:
    """Walk the boxes of a segment, open, closed or torn, and say how far it is whole. Raises OSError. Blocks.

    A fragment whose times are damaged counts for nothing; the next one says by itself where it begins.
    """
    duration, whole, fragments = 0, 0, 0
    length = path.stat().st_size
    with path.open("rb") as file:
        pending = 0
        while True:
            kind, size = _box(file)
            if size < 8 or file.tell() - 8 + size > length:
                break
            if kind == b"moof":
                try:
                    pending = _fragment_end(file.read(size - 8))
                except (struct.error, IndexError):
                    pending = duration
            else:
                file.seek(size - 8, 1)
                if kind == b"mdat":
                    duration, fragments, whole = pending, fragments + 1, file.tell()
                elif fragments == 0:
                    whole = file.tell()
    return Extent(duration, whole, length - whole, fragments)


def end_mono_ns(header: SegmentHeader, extent: Extent) -> int:
    """The monotonic instant at which the segment's media ends, by its own frame times."""
    return header.mono_ns + extent.duration_90khz * 1_000_000_000 // CLOCK_RATE_HZ


def _box(file: BinaryIO) -> tuple[bytes, int]:
    head = file.read(8)
    if len(head) < 8:
        return b"", 0
    size, kind = struct.unpack(">I4s", head)
    return kind, size


def _fragment_end(moof: bytes) -> int:
    """The end of a fragment in track time: tfdt plus the durations in its trun (ISO/IEC 14496-12, 8.8)."""
    start, default, total = 0, 0, 0
    for kind, body in _inside(_find(moof, b"traf")):
        if kind == b"tfdt":
            start = struct.unpack_from(">Q" if body[0] == 1 else ">I", body, 4)[0]
        elif kind == b"tfhd":
            default = _default_duration(body)
        elif kind == b"trun":
            total += _run_duration(body, default)
    return int(start + total)


def _inside(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            break
        found.append((kind, data[at + 8 : at + size]))
        at += size
    return found


def _find(data: bytes, wanted: bytes) -> bytes:
    return next((body for kind, body in _inside(data) if kind == wanted), b"")


def _default_duration(tfhd: bytes) -> int:
    flags = struct.unpack_from(">I", tfhd)[0] & 0xFFFFFF
    at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
    return int(struct.unpack_from(">I", tfhd, at)[0]) if flags & 0x8 else 0


def _run_duration(trun: bytes, default: int) -> int:
    flags, count = struct.unpack_from(">II", trun)
    flags &= 0xFFFFFF
    if not flags & 0x100:
        return default * int(count)
    at = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    step = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    return sum(struct.unpack_from(">I", trun, at + step * i)[0] for i in range(count))
