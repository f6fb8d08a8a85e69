"""Writes a plain MP4 that every player takes (ISO/IEC 14496-12): all tables first, then the samples as they were.

The samples are copied from other files, never held in memory, never changed. Both tracks count time from the same zero.
"""

import os
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, pairwise
from operator import add
from pathlib import Path
from typing import NamedTuple

MOVIE_TIMESCALE = 90_000
EPOCH_1904_S = 2_082_844_800
"""Seconds from 1904 to 1970: MP4 counts from there."""
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_COPY_BYTES = 1 << 20
_LARGEST_STEP = (1 << 31) - 1
_LARGEST_32_BIT = (1 << 32) - 1 - (1 << 20)


class Placed(NamedTuple):
    """A sample on the new time line, in its track's timescale; it lasts until the next one begins."""

    size: int
    dts: int
    cts: int
    keyframe: bool


@dataclass(slots=True)
class Chunk:
    """`count` samples of one track that lie one after another in `source`. `at_s` orders the chunks in the file; `to`
    is where they come to lie."""

    track: int
    source: Path
    offset: int
    size: int
    count: int
    at_s: float
    to: int = 0


@dataclass
class OutTrack:
    """`kind` is `vide` or `soun`; `entry` the sample entry; `last` how long the last sample lasts. The samples stand in
    columns, some 20 bytes each: a day of pictures is 45 MB. `keys`: numbers of the keyframes, from 1."""

    kind: str
    timescale: int
    entry: bytes
    width: int = 0
    height: int = 0
    last: int = 0
    chunks: list[Chunk] = field(default_factory=list)
    sizes: "array[int]" = field(default_factory=lambda: array("I"))
    dts: "array[int]" = field(default_factory=lambda: array("q"))
    cts: "array[int]" = field(default_factory=lambda: array("i"))
    keys: "array[int]" = field(default_factory=lambda: array("I"))

    @property
    def end(self) -> int:
        """When the last sample ends; 0 without any."""
        return self.dts[-1] + self.last if self.dts else 0

    def put(self, track: int, source: Path, offset: int, placed: list[Placed]) -> None:
        """Add samples that lie in `source` from `offset` on. A time that no file can hold is damage: it is bent."""
        for sample in placed:
            dts = sample.dts
            if self.dts:
                dts = min(max(dts, self.dts[-1] + 1), self.dts[-1] + _LARGEST_STEP)
            self.sizes.append(sample.size)
            self.dts.append(dts)
            self.cts.append(max(-_LARGEST_STEP, min(sample.cts, _LARGEST_STEP)))
            if sample.keyframe:
                self.keys.append(len(self.sizes))
        size = sum(sample.size for sample in placed)
        self.chunks.append(Chunk(track, source, offset, size, len(placed), placed[0].dts / self.timescale))


@dataclass(frozen=True)
class Labels:
    """What a player shows of the file; `created_utc_s` 0 for unknown."""

    title: str
    comment: str
    created_utc_s: int = 0


def write_mp4(tracks: Sequence[OutTrack], labels: Labels, write: Callable[[bytes], object]) -> None:
    """Hand the whole file to `write`, piece by piece; the tables before the pictures. Raises OSError. Blocks.

    A track without samples must not be among them.
    """
    chunks = sorted((chunk for track in tracks for chunk in track.chunks), key=lambda chunk: (chunk.at_s, chunk.track))
    total = sum(chunk.size for chunk in chunks)
    ftyp = _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2avc1mp41")
    wide = total > _LARGEST_32_BIT
    head = struct.pack(">I4sQ", 1, b"mdat", total + 16) if wide else struct.pack(">I4s", total + 8, b"mdat")
    tables = [_tables(track) for track in tracks]
    at = len(ftyp) + len(_moov(tracks, tables, labels, wide)) + len(head)
    for chunk in chunks:
        chunk.to = at
        at += chunk.size
    write(ftyp + _moov(tracks, tables, labels, wide) + head)
    for source, run in groupby(chunks, key=lambda chunk: chunk.source):
        with source.open("rb", buffering=0) as file:
            for begin, size in _joined(run):
                _copy(file.fileno(), begin, size, write)


def _joined(chunks: Iterator[Chunk]) -> Iterator[tuple[int, int]]:
    """Stretches of the source, neighbours made one."""
    begin, size = 0, 0
    for chunk in chunks:
        if size and chunk.offset == begin + size:
            size += chunk.size
            continue
        if size:
            yield begin, size
        begin, size = chunk.offset, chunk.size
    if size:
        yield begin, size


def _copy(descriptor: int, begin: int, size: int, write: Callable[[bytes], object]) -> None:
    while size:
        block = os.pread(descriptor, min(size, _COPY_BYTES), begin)
        if not block:
            raise OSError("a segment became shorter while it was joined")
        write(block)
        begin += len(block)
        size -= len(block)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _moov(tracks: Sequence[OutTrack], tables: list[bytes], labels: Labels, wide: bool) -> bytes:
    created = labels.created_utc_s + EPOCH_1904_S if labels.created_utc_s else 0
    built = [
        _trak(number, track, table, wide, created)
        for number, (track, table) in enumerate(zip(tracks, tables, strict=True), 1)
    ]
    duration = max(length for _, length in built)
    mvhd = _full(
        b"mvhd", 1, 0,
        struct.pack(">QQIQ", created, created, MOVIE_TIMESCALE, duration),
        struct.pack(">IHHQ", 0x10000, 0x100, 0, 0), _MATRIX, bytes(24), struct.pack(">I", len(tracks) + 1),
    )  # fmt: skip
    return _box(b"moov", mvhd, *(trak for trak, _ in built), _udta(labels))


def _trak(number: int, track: OutTrack, table: bytes, wide: bool, created: int) -> tuple[bytes, int]:
    """The box, and how long the track is shown, in the movie's timescale."""
    begin, shown = track.dts[0], min(map(add, track.dts, track.cts))
    media = track.end - begin
    delay = max(0, shown) * MOVIE_TIMESCALE // track.timescale
    presented = max(map(add, track.dts, track.cts)) + track.last - shown
    length = presented * MOVIE_TIMESCALE // track.timescale
    sound = track.kind == "soun"
    tkhd = _full(
        b"tkhd", 1, 3,
        struct.pack(">QQIIQ", created, created, number, 0, delay + length),
        struct.pack(">QHHHH", 0, 0, 1 if sound else 0, 0x100 if sound else 0, 0), _MATRIX,
        struct.pack(">II", track.width << 16, track.height << 16),
    )  # fmt: skip
    edits = b""
    if delay or shown != begin:
        entries = [(delay, -1)] if delay else []
        entries.append((length, shown - begin))
        rows = b"".join(struct.pack(">Qqi", span, media_time, 0x10000) for span, media_time in entries)
        edits = _box(b"edts", _full(b"elst", 1, 0, struct.pack(">I", len(entries)), rows))
    mdhd = _full(b"mdhd", 1, 0, struct.pack(">QQIQHH", created, created, track.timescale, media, 0x55C4, 0))
    name = b"SoundHandler\0" if sound else b"VideoHandler\0"
    hdlr = _full(b"hdlr", 0, 0, bytes(4), track.kind.encode(), bytes(12), name)
    header = _full(b"smhd", 0, 0, bytes(4)) if sound else _full(b"vmhd", 0, 1, bytes(8))
    dinf = _box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1)))
    minf = _box(b"minf", header, dinf, _box(b"stbl", table, _places(track.chunks, wide)))
    return _box(b"trak", tkhd, edits, _box(b"mdia", mdhd, hdlr, minf)), delay + length


def _tables(track: OutTrack) -> bytes:
    """What of `stbl` does not depend on where the samples come to lie."""
    lengths = chain((after - before for before, after in pairwise(track.dts)), (track.last,))
    boxes = [
        _full(b"stsd", 0, 0, struct.pack(">I", 1), track.entry),
        _full(b"stts", 0, 0, *_counted(lengths, ">II")),
    ]
    if any(track.cts):
        negative = min(track.cts) < 0
        boxes.append(_full(b"ctts", int(negative), 0, *_counted(track.cts, ">Ii" if negative else ">II")))
    if len(track.keys) < len(track.sizes):
        boxes.append(_full(b"stss", 0, 0, struct.pack(">I", len(track.keys)), _big_endian(track.keys)))
    boxes.append(_stsc(track.chunks))
    boxes.append(_full(b"stsz", 0, 0, struct.pack(">II", 0, len(track.sizes)), _big_endian(track.sizes)))
    return b"".join(boxes)


def _places(chunks: list[Chunk], wide: bool) -> bytes:
    places = array("Q" if wide else "I", (chunk.to for chunk in chunks))
    return _full(b"co64" if wide else b"stco", 0, 0, struct.pack(">I", len(places)), _big_endian(places))


def _big_endian(values: "array[int]") -> bytes:
    if sys.byteorder == "big":
        return values.tobytes()
    swapped = values[:]
    swapped.byteswap()
    return swapped.tobytes()


def _counted(values: Iterable[int], row: str) -> list[bytes]:
    rows = [struct.pack(row, sum(1 for _ in run), value) for value, run in groupby(values)]
    return [struct.pack(">I", len(rows)), *rows]


def _stsc(chunks: list[Chunk]) -> bytes:
    rows, last = [], None
    for number, chunk in enumerate(chunks, 1):
        if chunk.count != last:
            last = chunk.count
            rows.append(struct.pack(">III", number, last, 1))
    return _full(b"stsc", 0, 0, struct.pack(">I", len(rows)), *rows)


def _udta(labels: Labels) -> bytes:
    """Title and comment as iTunes-style metadata: the form that players show."""
    items = [_item(b"\xa9nam", labels.title), _item(b"\xa9cmt", labels.comment)]
    hdlr = _full(b"hdlr", 0, 0, bytes(4), b"mdir", b"appl", bytes(8), b"\0")
    return _box(b"udta", _full(b"meta", 0, 0, hdlr, _box(b"ilst", *items)))


def _item(name: bytes, text: str) -> bytes:
    return _box(name, _box(b"data", struct.pack(">II", 1, 0), text.encode()))
