"""Access units between `record` and its clients on `record.sock` (docs/design/seams.md): the framing, both ends.

A client asks with one JSON line, gets one JSON line, then frames: a 24-byte header and one access unit as Annex B,
with parameter sets before each keyframe. The first frame is a keyframe.
"""

import struct
from dataclasses import dataclass
from typing import Literal

import msgspec

from unitd.errors import UNREADABLE, WireError

MAX_REQUEST_BYTES = 4096
MAX_ACCESS_UNIT_BYTES = 8 * 1024 * 1024
"""No camera of this class makes a larger one; a header that claims more is damage."""

CLOCK_RATE_HZ = 90_000
KEYFRAME = 1

_HEADER = struct.Struct(">IB3xqq")
HEADER_BYTES = _HEADER.size

Profile = Literal["main", "sub"]


class MediaRequest(msgspec.Struct, frozen=True):
    """What a client of record.sock asks for, in its one line.

    A `relaxed` one does not mind pictures that come some together, up to 0.2 s late; their times are right even so.
    """

    camera: str
    profile: Profile = "main"
    relaxed: bool = False


class MediaAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one line before the frames; with `ok` false, `error` says why and the connection ends."""

    ok: bool
    codec: str = ""
    width: int = 0
    height: int = 0
    extradata_hex: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture as the camera coded it, as Annex B; a keyframe carries its parameter sets.

    Times in 90 kHz units count from an arbitrary origin within one camera session; `dts_90khz` rises strictly.
    `arrival_mono_ns` is when the unit was whole in this machine.
    """

    data: bytes
    keyframe: bool
    pts_90khz: int
    dts_90khz: int
    arrival_mono_ns: int


@dataclass(frozen=True, slots=True)
class AudioUnit:
    """One coded piece of a camera's sound (AAC: 1,024 samples), on the same clock as the session's pictures.

    Drivers hand it on among the access units, for streams whose StreamInfo has `audio`. record.sock does not carry it,
    and the disk gets it inside incidents only.
    """

    data: bytes
    pts_90khz: int
    duration_90khz: int
    arrival_mono_ns: int


MediaUnit = AccessUnit | AudioUnit
"""What a driver's `units()` yields."""


@dataclass(frozen=True)
class AudioInfo:
    """A camera's sound. `codec` is "aac"; `config` is its AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""

    codec: str
    rate_hz: int
    channels: int
    config: bytes


@dataclass(frozen=True)
class StreamInfo:
    """What a camera stream is, as found when it was opened. `codec` is named as FFmpeg does (h264, hevc).

    `extradata` is Annex B. `audio` is there when AudioUnits may come among the pictures.
    """

    codec: str
    width: int
    height: int
    extradata: bytes
    audio: AudioInfo | None = None


def pack_header(unit: AccessUnit) -> bytes:
    """The 24 bytes before the unit's data."""
    return _HEADER.pack(len(unit.data), KEYFRAME if unit.keyframe else 0, unit.pts_90khz, unit.arrival_mono_ns)


@dataclass(frozen=True, slots=True)
class FrameHeader:
    length_bytes: int
    keyframe: bool
    pts_90khz: int
    arrival_mono_ns: int


def unpack_header(data: bytes) -> FrameHeader:
    """The header in 24 bytes from the socket. Raises WireError when they cannot be one."""
    if len(data) != HEADER_BYTES:
        raise WireError(f"frame header: {len(data)} bytes instead of {HEADER_BYTES}")
    length, flags, pts, arrival = _HEADER.unpack(data)
    if not 0 < length <= MAX_ACCESS_UNIT_BYTES:
        raise WireError(f"frame header: an access unit of {length} bytes (limit {MAX_ACCESS_UNIT_BYTES})")
    return FrameHeader(length, bool(flags & KEYFRAME), pts, arrival)


def decode_request(line: bytes) -> MediaRequest:
    """A client's request. Raises WireError that says what is wrong with it."""
    try:
        return msgspec.json.decode(line, type=MediaRequest)
    except UNREADABLE as error:
        raise WireError(f"media request: {error}") from None


def decode_answer(line: bytes) -> MediaAnswer:
    """The recorder's answer. Raises WireError that says what is wrong with it."""
    try:
        return msgspec.json.decode(line, type=MediaAnswer)
    except UNREADABLE as error:
        raise WireError(f"media answer: {error}") from None
