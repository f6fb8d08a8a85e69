"""The boxes of a fragmented MP4 (ISO/IEC 14496-12; -14 and -15 for what is in them). Pure: bytes out, no state.

Every track counts in 90 kHz. Fragments say by themselves where their data is (`default-base-is-moof`), so that any of
them can be lost; no index follows, for it would have to be written at the end.
"""

import struct
from dataclasses import dataclass

from unitd.messages.media import CLOCK_RATE_HZ, AudioInfo

SYNC_FLAGS = 0x0200_0000
"""sample_depends_on 2: a picture that needs no other."""

OTHER_FLAGS = 0x0101_0000
"""sample_depends_on 1, and not a sync sample."""

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000)
_UND = 0x55C4
_RUN_FLAGS = 0x1 | 0x100 | 0x200 | 0x400
_RUN_OFFSETS = 0x800
_VIDEO_OBJECTS = {"mpeg4": 0x20, "mjpeg": 0x6C}
"""Object types of what has no configuration box of its own (registered by MP4RA)."""

FTYP = struct.pack(">I4s4sI4s4s4s", 28, b"ftyp", b"iso6", 0x200, b"iso6", b"iso5", b"mp41")


@dataclass(frozen=True)
class Track:
    """What `moov` says of a track. `entry` is its sample entry; a sound track has no size."""

    number: int
    entry: bytes
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Run:
    """The samples of one track in one fragment: (duration, size, flags, composition offset) each."""

    track: int
    start: int
    samples: list[tuple[int, int, int, int]]
    size_bytes: int


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def moov(tracks: list[Track]) -> bytes:
    """The head of a file whose samples all come in fragments."""
    mvhd = _full(
        b"mvhd",
        0,
        0,
        struct.pack(">IIIIIH10x", 0, 0, CLOCK_RATE_HZ, 0, 0x10000, 0x100),
        _MATRIX,
        struct.pack(">24xI", max(track.number for track in tracks) + 1),
    )
    defaults = [_full(b"trex", 0, 0, struct.pack(">5I", track.number, 1, 0, 0, 0)) for track in tracks]
    return box(b"moov", mvhd, *(_trak(track) for track in tracks), box(b"mvex", *defaults))


def _trak(track: Track) -> bytes:
    picture = track.width > 0
    tkhd = _full(
        b"tkhd",
        0,
        3,
        struct.pack(">IIIII8xHHHH", 0, 0, track.number, 0, 0, 0, 0, 0 if picture else 0x100, 0),
        _MATRIX,
        struct.pack(">II", track.width << 16, track.height << 16),
    )
    mdhd = _full(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, CLOCK_RATE_HZ, 0, _UND, 0))
    kind, name = (b"vide", b"VideoHandler\0") if picture else (b"soun", b"SoundHandler\0")
    hdlr = _full(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, kind), name)
    head = _full(b"vmhd", 0, 1, bytes(8)) if picture else _full(b"smhd", 0, 0, bytes(4))
    dinf = box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1)))
    table = box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), track.entry),
        _full(b"stts", 0, 0, bytes(4)),
        _full(b"stsc", 0, 0, bytes(4)),
        _full(b"stsz", 0, 0, bytes(8)),
        _full(b"stco", 0, 0, bytes(4)),
    )
    return box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, box(b"minf", head, dinf, table)))


def picture_entry(kind: bytes, width: int, height: int, configuration: bytes) -> bytes:
    """A VisualSampleEntry (8.5.2 and 12.1.3) with its configuration box."""
    return box(
        kind,
        struct.pack(">6xH16xHHIII", 1, width, height, 0x48_0000, 0x48_0000, 0),
        struct.pack(">H32xHH", 1, 0x18, 0xFFFF),
        configuration,
    )


def mp4v_entry(codec: str, width: int, height: int, config: bytes) -> bytes:
    """MPEG-4 part 2 or Motion JPEG. Raises ValueError for any other codec."""
    kind = _VIDEO_OBJECTS.get(codec)
    if kind is None:
        raise ValueError(f"no MP4 of {codec} is made here")
    return picture_entry(b"mp4v", width, height, _esds(kind, 0x11, config))


def sound_entry(info: AudioInfo) -> bytes:
    """AAC's AudioSampleEntry. Raises ValueError for any other codec."""
    if info.codec != "aac":
        raise ValueError(f"no MP4 of {info.codec} is made here")
    rate = info.rate_hz if info.rate_hz < 65_536 else 0
    head = struct.pack(">6xH8xHHHHI", 1, info.channels, 16, 0, 0, rate << 16)
    return box(b"mp4a", head, _esds(0x40, 0x15, info.config))


def _esds(object_type: int, stream_type: int, config: bytes) -> bytes:
    specific = _descriptor(5, config) if config else b""
    decoder = _descriptor(4, struct.pack(">BB11x", object_type, stream_type), specific)
    return _full(b"esds", 0, 0, _descriptor(3, struct.pack(">HB", 0, 0), decoder, _descriptor(6, b"\x02")))


def _descriptor(tag: int, *parts: bytes) -> bytes:
    """A descriptor of ISO/IEC 14496-1, 8.3.3, its length in four bytes."""
    body = b"".join(parts)
    size = len(body)
    return bytes((tag, size >> 21 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size & 0x7F)) + body


def moof(number: int, runs: list[Run]) -> bytes:
    """The head of a fragment; the runs' data follows in one `mdat`, in their order."""
    plain = [_traf(run, 0) for run in runs]
    at = 8 + 16 + sum(len(traf) for traf in plain) + 8
    trafs = []
    for run in runs:
        trafs.append(_traf(run, at))
        at += run.size_bytes
    return box(b"moof", _full(b"mfhd", 0, 0, struct.pack(">I", number)), *trafs)


def _traf(run: Run, data_at: int) -> bytes:
    tfhd = _full(b"tfhd", 0, 0x2_0000, struct.pack(">I", run.track))
    tfdt = _full(b"tfdt", 1, 0, struct.pack(">Q", run.start))
    count = len(run.samples)
    if any(sample[3] for sample in run.samples):
        flags, table = _RUN_FLAGS | _RUN_OFFSETS, b"".join([struct.pack(">IIIi", *sample) for sample in run.samples])
    else:
        flags, table = _RUN_FLAGS, b"".join([struct.pack(">III", *sample[:3]) for sample in run.samples])
    return box(b"traf", tfhd, tfdt, _full(b"trun", 1, flags, struct.pack(">Ii", count, data_at), table))
