"""Where the samples of an MP4 lie, fragmented or not (ISO/IEC 14496-12), and the header box of a segment.

Written for files from a stranger, and apart from what the export is made with, so that the one does not share the
other's mistakes. Reads tables only; every count is bounded by the bytes that are there.
"""

import hashlib
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.evidence.check_tree import Reader
from unitd.store.segment import MAX_HEADER_BYTES, SEGMENT_BOX_ID, SegmentHeader

MAX_TABLE_BYTES = 64 << 20
MAX_SAMPLES = 4_000_000
"""A day at 40 pictures a second."""
MAX_SAMPLE_BYTES = 64 << 20
MAX_BOXES = 4_000_000
DIGEST_BYTES = 16
_DAMAGED = (struct.error, IndexError, *UNREADABLE)


@dataclass
class Track:
    """Where the samples of a track lie, in order. `kind`: `vide` or `soun`, by the file's own word."""

    number: int = 0
    kind: str = ""
    default_size: int = 0
    offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    sizes: "array[int]" = field(default_factory=lambda: array("Q"))

    def put(self, offset: int, size: int) -> None:
        if len(self.sizes) >= MAX_SAMPLES:
            raise ValueError("more pictures than any export has")
        self.offsets.append(offset)
        self.sizes.append(size)

    def digests(self, file: Reader) -> Iterator[bytes]:
        """SHA-256 of each sample, its first 16 bytes. Raises StoreError for one that is not in the file. Blocks."""
        for offset, size in zip(self.offsets, self.sizes, strict=True):
            if size > MAX_SAMPLE_BYTES:
                raise StoreError(f"a picture of {size} bytes")
            yield hashlib.sha256(file.at(offset, size)).digest()[:DIGEST_BYTES]


def read_header(file: Reader) -> SegmentHeader:
    """What a segment says it is. Raises StoreError."""
    try:
        at = 0
        for _ in range(2):
            size, kind = struct.unpack(">I4s", file.at(at, 8))
            if kind == b"uuid" and 24 <= size <= MAX_HEADER_BYTES:
                payload = file.at(at + 8, size - 8)
                if payload[:16] == SEGMENT_BOX_ID.bytes:
                    return msgspec.json.decode(payload[16:], type=SegmentHeader)
            at += max(size, 8)
    except _DAMAGED as error:
        raise StoreError(f"its header cannot be read ({error})") from None
    raise StoreError("it has no header: it is no segment of a unit")


def read_tracks(file: Reader) -> list[Track]:
    """The tracks with every sample that lies whole in the file. Raises StoreError for what is no MP4. Blocks."""
    try:
        return _read(file)
    except _DAMAGED as error:
        raise StoreError(f"its tables cannot be read ({error})") from None


def _read(file: Reader) -> list[Track]:
    tracks: dict[int, Track] = {}
    pending: list[tuple[Track, list[tuple[int, int]]]] = []
    at = boxes = 0
    while at + 8 <= file.size:
        boxes += 1
        size, kind = struct.unpack(">I4s", file.at(at, 8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.at(at + 8, 8))[0], 16
        if size < head or at + size > file.size or boxes > MAX_BOXES:
            break
        if kind in (b"moov", b"moof"):
            if size > MAX_TABLE_BYTES:
                raise ValueError("its tables are larger than any export's")
            body = memoryview(file.at(at + head, size - head))
            if kind == b"moov":
                tracks = _movie(body)
            else:
                pending = _fragment(body, at, tracks)
        elif kind == b"mdat":
            for track, run in pending:
                _accept(track, run, at + head, at + size)
            pending = []
        at += size
    if not tracks:
        raise ValueError("it has no track")
    return list(tracks.values())


def _accept(track: Track, run: list[tuple[int, int]], begin: int, end: int) -> None:
    """Take the samples of a fragment whose data has come; such as point elsewhere are damage."""
    if run and run[0][0] >= begin and run[-1][0] + run[-1][1] <= end:
        for offset, size in run:
            track.put(offset, size)


def _inside(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            raise ValueError("a box that does not fit")
        yield kind, data[at + 8 : at + size]
        at += size


def _movie(moov: memoryview) -> dict[int, Track]:
    tracks: dict[int, Track] = {}
    sizes: dict[int, int] = {}
    for kind, body in _inside(moov):
        if kind == b"trak":
            track = _trak(body)
            tracks[track.number] = track
        elif kind == b"mvex":
            for inner, trex in _inside(body):
                if inner == b"trex":
                    sizes[struct.unpack_from(">I", trex, 4)[0]] = struct.unpack_from(">I", trex, 16)[0]
    for number, track in tracks.items():
        track.default_size = sizes.get(number, 0)
    return tracks


def _trak(trak: memoryview) -> Track:
    track = Track()
    tables: dict[bytes, memoryview] = {}
    for kind, body in _inside(trak):
        if kind == b"tkhd":
            track.number = struct.unpack_from(">I", body, 20 if body[0] == 1 else 12)[0]
        elif kind == b"mdia":
            for inner, media in _inside(body):
                if inner == b"hdlr":
                    track.kind = bytes(media[8:12]).decode("latin-1")
                elif inner == b"minf":
                    stbl = next((each for name, each in _inside(media) if name == b"stbl"), memoryview(b""))
                    tables = dict(_inside(stbl))
    _sample_table(track, tables)
    return track


def _sample_table(track: Track, tables: dict[bytes, memoryview]) -> None:
    """The samples of a plain MP4: sizes, samples in each chunk, where each chunk begins (8.7)."""
    sizes = _sizes(tables.get(b"stsz"))
    if not sizes:
        return
    wide = b"co64" in tables
    chunks = tables[b"co64"] if wide else tables.get(b"stco", memoryview(bytes(8)))
    step, code = (8, ">Q") if wide else (4, ">I")
    runs = tables.get(b"stsc", memoryview(bytes(8)))
    run_count, chunk_count = struct.unpack_from(">I", runs, 4)[0], struct.unpack_from(">I", chunks, 4)[0]
    run, per_chunk, taken = 0, 0, 0
    for chunk in range(min(chunk_count, len(chunks) // step)):
        if run < run_count and struct.unpack_from(">I", runs, 8 + 12 * run)[0] == chunk + 1:
            per_chunk = struct.unpack_from(">I", runs, 12 + 12 * run)[0]
            run += 1
        offset = struct.unpack_from(code, chunks, 8 + step * chunk)[0]
        for size in sizes[taken : taken + per_chunk]:
            track.put(offset, size)
            offset += size
        taken += per_chunk
    if taken != len(sizes):
        raise ValueError("its tables do not fit each other")


def _sizes(stsz: memoryview | None) -> "array[int]":
    if stsz is None:
        return array("Q")
    size, count = struct.unpack_from(">II", stsz, 4)
    if count > MAX_SAMPLES or (size == 0 and count * 4 > len(stsz) - 12):
        raise ValueError("more samples than its table holds")
    return array("Q", [size] * count if size else struct.unpack_from(f">{count}I", stsz, 12))


def _fragment(moof: memoryview, at: int, tracks: dict[int, Track]) -> list[tuple[Track, list[tuple[int, int]]]]:
    found = []
    for kind, traf in _inside(moof):
        if kind != b"traf":
            continue
        track, base, default = None, at, 0
        for inner, body in _inside(traf):
            if inner == b"tfhd":
                flags, number = struct.unpack_from(">II", body)
                track = tracks.get(number)
                default = track.default_size if track else 0
                where = 8
                if flags & 0x1:
                    base, where = struct.unpack_from(">Q", body, where)[0], where + 8
                where += 4 * bool(flags & 0x2) + 4 * bool(flags & 0x8)
                if flags & 0x10:
                    default = struct.unpack_from(">I", body, where)[0]
            elif inner == b"trun" and track is not None:
                run, base = _run(body, at, base, default)
                found.append((track, run))
    return found


def _run(trun: memoryview, moof_at: int, base: int, default: int) -> tuple[list[tuple[int, int]], int]:
    flags, count = struct.unpack_from(">II", trun)
    at, offset = 8, base
    if flags & 0x1:
        offset, at = moof_at + struct.unpack_from(">i", trun, at)[0], at + 4
    at += 4 * bool(flags & 0x4)
    step = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    before = 4 * bool(flags & 0x100)
    if count > MAX_SAMPLES or (step and at + step * count > len(trun)) or (not step and count > 65536):
        raise ValueError("more samples than its table holds")
    run = []
    for index in range(count):
        size = struct.unpack_from(">I", trun, at + step * index + before)[0] if flags & 0x200 else default
        run.append((offset, size))
        offset += size
    return run, offset
