"""The call's two voices on `<run_dir>/audio.sock` (docs/design/storage.md, Seams): both ends' framing.

`call` connects and says one JSON line, then frames of FRAME_BYTES: 8 bytes big-endian `mono_ns` of the first sample,
and 20 ms of signed 16-bit little-endian stereo at 48 kHz, left the street's microphone, right the horn. `record` never
answers; it ends the connection when it does not want it.
"""

import struct
from typing import Literal, NamedTuple

import msgspec

from unitd.errors import UNREADABLE, WireError

RATE_HZ = 48_000
FRAME_SAMPLES = 960
FRAME_NS = 20_000_000
PCM_BYTES = 4 * FRAME_SAMPLES
FRAME_BYTES = 8 + PCM_BYTES
MAX_HELLO_BYTES = 512
LATEST_NS = 2**62
"""146 years after the boot: a later instant is damage."""

_STAMP = struct.Struct(">q")


class VoicesHello(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: whose voices follow."""

    incident_id: str
    rate_hz: Literal[48000] = 48000
    channels: Literal[2] = 2


class VoiceFrame(NamedTuple):
    """20 ms of both voices from the monotonic instant `mono_ns` on."""

    mono_ns: int
    pcm: bytes


def pack_frame(frame: VoiceFrame) -> bytes:
    return _STAMP.pack(frame.mono_ns) + frame.pcm


def unpack_frame(data: bytes) -> VoiceFrame:
    """One frame from the socket. Raises WireError when it cannot be one."""
    if len(data) != FRAME_BYTES:
        raise WireError(f"voice frame: {len(data)} bytes instead of {FRAME_BYTES}")
    mono_ns = _STAMP.unpack_from(data)[0]
    if not 0 <= mono_ns < LATEST_NS:
        raise WireError(f"voice frame: an instant of {mono_ns} ns")
    return VoiceFrame(mono_ns, data[8:])


def decode_hello(line: bytes) -> VoicesHello:
    """The first line. Raises WireError that says what is wrong with it."""
    if len(line) > MAX_HELLO_BYTES:
        raise WireError(f"voices: a first line of {len(line)} bytes")
    try:
        return msgspec.json.decode(line, type=VoicesHello)
    except UNREADABLE as error:
        raise WireError(f"voices: {error}") from None
