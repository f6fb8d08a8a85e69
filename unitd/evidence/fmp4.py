"""Where the samples of a fragmented MP4 lie (ISO/IEC 14496-12, 8.8), found from its boxes alone; no sample is read.

Pure Python, because importing FFmpeg's bindings alone takes longer than reading the tables of a whole incident.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from unitd.errors import StoreError

MAX_TABLE_BYTES = 16 << 20
"""A `moov` or `moof` larger than this is damage: ours have a few kB."""
MAX_SAMPLES = 1 << 20
"""In one file: ten seconds have some hundreds."""
NOT_SYNC = 0x10000

Box = tuple[bytes, int, int]


class Sample(NamedTuple):
    """One picture or piece of sound. Times in the track's own timescale; shown at `dts + cts`."""

    offset: int
    size: int
    dts: int
    cts: int
    duration: int
    keyframe: bool


@dataclass
class Track:
    """One track. `entry` is its sample entry, whole and as it stands there. `shift` is taken from a sample's time to
    have the time in the segment (edit list). `runs` are samples that lie one after another in the file."""

    number: int
    kind: str = ""
    timescale: int = 0
    width: int = 0
    height: int = 0
    entry: bytes = b""
    shift: int = 0
    runs: list[list[Sample]] = field(default_factory=list)
    end: int = 0
    defaults: tuple[int, int, int] = (0, 0, 0)

    @property
    def samples(self) -> Iterator[Sample]:
        return (sample for run in self.runs for sample in run)


def read_tracks(path: Path, length: int | None = None) -> list[Track]:
    """The tracks of the segment, with every sample that lies whole in its first `length` bytes (None: in all of it).

    Raises StoreError for what is no fragmented MP4, and OSError. What follows a torn or damaged fragment is left out.
    Blocks; reads the tables only.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            return _read(file, size if length is None else min(size, length))
    except (struct.error, IndexError, ValueError) as error:
        raise StoreError(f"{path}: not a segment that can be joined: {error}") from None


def _read(file: BinaryIO, length: int) -> list[Track]:
    tracks: dict[int, Track] = {}
    pending: list[tuple[Track, list[Sample]]] = []
    at = 0
    while at + 8 <= length:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size < 8 or at + size > length:
            break
        if kind in (b"moov", b"moof"):
            if size > MAX_TABLE_BYTES:
                raise ValueError(f"a {kind.decode()} of {size} bytes")
            body = file.read(size - 8)
            if kind == b"moov":
                tracks = _movie(body)
            else:
                try:
                    pending = _fragment(body, at, tracks)
                except (struct.error, IndexError, ValueError):
                    break
        elif kind == b"mdat":
            _accept(pending, at + 8, at + size)
            pending = []
        at += size
    if not tracks:
        raise ValueError("it has no track")
    return list(tracks.values())


def _accept(pending: list[tuple[Track, list[Sample]]], begin: int, end: int) -> None:
    """Take the runs of the fragment whose data this is; one that points elsewhere is damage and left out."""
    for track, run in pending:
        if run and run[0].offset >= begin and run[-1].offset + run[-1].size <= end:
            track.runs.append(run)


def boxes(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Box]:
    """Kind, begin and end of the contents of each box in `data`. Raises ValueError for one that does not fit."""
    end = len(data) if end is None else end
    while begin + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, begin)
        if size < 8 or begin + size > end:
            raise ValueError(f"a box {kind!r} of {size} bytes does not fit")
        yield kind, begin + 8, begin + size
        begin += size


def _movie(moov: bytes) -> dict[int, Track]:
    tracks: dict[int, Track] = {}
    defaults: dict[int, tuple[int, int, int]] = {}
    for kind, begin, end in boxes(moov):
        if kind == b"trak":
            track = _track(moov, begin, end)
            if track.entry and track.timescale:
                tracks[track.number] = track
        elif kind == b"mvex":
            for inner, at, _ in boxes(moov, begin, end):
                if inner == b"trex":
                    number, _, duration, size, flags = struct.unpack_from(">5I", moov, at + 4)
                    defaults[number] = (duration, size, flags)
    for number, track in tracks.items():
        track.defaults = defaults.get(number, (0, 0, 0))
    return tracks


def _track(data: bytes, begin: int, end: int) -> Track:
    track = Track(0)
    for kind, at, stop in boxes(data, begin, end):
        if kind == b"tkhd":
            long = data[at] == 1
            track.number = struct.unpack_from(">I", data, at + (20 if long else 12))[0]
            width, height = struct.unpack_from(">II", data, stop - 8)
            track.width, track.height = width >> 16, height >> 16
        elif kind == b"edts":
            track.shift = _edit(data, at, stop)
        elif kind == b"mdia":
            _media(track, data, at, stop)
    return track


def _edit(data: bytes, begin: int, end: int) -> int:
    """The media time at which presentation begins; an empty edit before it (a delay) our segments have none of."""
    for kind, at, _ in boxes(data, begin, end):
        if kind == b"elst":
            long = data[at] == 1
            count = struct.unpack_from(">I", data, at + 4)[0]
            step = 20 if long else 12
            for index in range(min(count, 2)):
                where = at + 8 + index * step + (8 if long else 4)
                media: int = struct.unpack_from(">q" if long else ">i", data, where)[0]
                if media >= 0:
                    return media
    return 0


def _media(track: Track, data: bytes, begin: int, end: int) -> None:
    for kind, at, stop in boxes(data, begin, end):
        if kind == b"mdhd":
            track.timescale = struct.unpack_from(">I", data, at + (20 if data[at] == 1 else 12))[0]
        elif kind == b"hdlr":
            track.kind = data[at + 8 : at + 12].decode("latin-1")
        elif kind in (b"minf", b"stbl"):
            _media(track, data, at, stop)
        elif kind == b"stsd" and struct.unpack_from(">I", data, at + 4)[0] == 1:
            track.entry = bytes(data[at + 8 : stop])


def _fragment(moof: bytes, moof_at: int, tracks: dict[int, Track]) -> list[tuple[Track, list[Sample]]]:
    found: list[tuple[Track, list[Sample]]] = []
    for kind, begin, end in boxes(moof):
        if kind == b"traf":
            found += _track_fragment(moof, begin, end, moof_at, tracks)
    return found


def _track_fragment(
    moof: bytes, begin: int, end: int, moof_at: int, tracks: dict[int, Track]
) -> list[tuple[Track, list[Sample]]]:
    found: list[tuple[Track, list[Sample]]] = []
    track: Track | None = None
    duration, size, flags, base = 0, 0, 0, moof_at
    for kind, at, _ in boxes(moof, begin, end):
        if kind == b"tfhd":
            has, number = struct.unpack_from(">II", moof, at)
            track = tracks.get(number)
            if track is None:
                return []
            duration, size, flags = track.defaults
            at += 8
            if has & 0x1:
                base = struct.unpack_from(">Q", moof, at)[0]
                at += 8
            at += 4 if has & 0x2 else 0
            if has & 0x8:
                duration = struct.unpack_from(">I", moof, at)[0]
                at += 4
            if has & 0x10:
                size = struct.unpack_from(">I", moof, at)[0]
                at += 4
            if has & 0x20:
                flags = struct.unpack_from(">I", moof, at)[0]
        elif kind == b"tfdt" and track is not None:
            track.end = struct.unpack_from(">Q" if moof[at] == 1 else ">I", moof, at + 4)[0]
        elif kind == b"trun" and track is not None:
            run, base = _run(moof, at, track, (duration, size, flags), base)
            found.append((track, run))
    return found


def _run(moof: bytes, at: int, track: Track, defaults: tuple[int, int, int], base: int) -> tuple[list[Sample], int]:
    """The samples of one `trun`, and where the data of the next one begins if that does not say."""
    version = moof[at]
    has, count = struct.unpack_from(">II", moof, at)
    has &= 0xFFFFFF
    if count > MAX_SAMPLES:
        raise ValueError(f"a run of {count} samples")
    at += 8
    offset, first_flags = base, None
    if has & 0x1:
        offset = base + struct.unpack_from(">i", moof, at)[0]
        at += 4
    if has & 0x4:
        first_flags = struct.unpack_from(">I", moof, at)[0]
        at += 4
    cts_code = ">i" if version else ">I"
    run: list[Sample] = []
    dts = track.end
    for _ in range(count):
        duration, size, flags = defaults
        cts = 0
        if has & 0x100:
            duration = struct.unpack_from(">I", moof, at)[0]
            at += 4
        if has & 0x200:
            size = struct.unpack_from(">I", moof, at)[0]
            at += 4
        if has & 0x400:
            flags = struct.unpack_from(">I", moof, at)[0]
            at += 4
        elif first_flags is not None and not run:
            flags = first_flags
        if has & 0x800:
            cts = struct.unpack_from(cts_code, moof, at)[0]
            at += 4
        run.append(Sample(offset, size, dts, cts, duration, not flags & NOT_SYNC))
        offset += size
        dts += duration
    track.end = dts
    return run, offset
