"""H.265 pictures and their way into RTP packets (RFC 7798, no DONL)."""

from __future__ import annotations

import base64
import struct

VPS, SPS, PPS, DELIMITER, SEI_BEFORE, SEI_AFTER = 32, 33, 34, 35, 39, 40
_FIRST_IRAP, _LAST_IRAP = 16, 21
_AGGREGATE, _FRAGMENT = 48, 49


def nal_type(nal: bytes) -> int:
    """The type of a NAL unit."""
    return nal[0] >> 1 & 0x3F


def is_key(nal: bytes) -> bool:
    """Whether a decoder may begin at this slice."""
    return _FIRST_IRAP <= nal_type(nal) <= _LAST_IRAP


def fmtp(sets: tuple[bytes, ...]) -> str:
    """The SDP parameters of a stream with these parameter sets (RFC 7798, 7.1)."""
    names = {VPS: "sprop-vps", SPS: "sprop-sps", PPS: "sprop-pps"}
    return ";".join(f"{names[nal_type(nal)]}={base64.b64encode(nal).decode()}" for nal in sets)


def payloads(nals: tuple[bytes, ...], limit_bytes: int) -> list[bytes]:
    """RTP payloads: small neighbours together, large ones in pieces."""
    found: list[bytes] = []
    small: list[bytes] = []

    def flush() -> None:
        if len(small) == 1:
            found.append(small[0])
        elif small:
            head = bytes((_AGGREGATE << 1, 1))
            found.append(head + b"".join(struct.pack(">H", len(nal)) + nal for nal in small))
        small.clear()

    for nal in nals:
        if len(nal) > limit_bytes:
            flush()
            found += _fragments(nal, limit_bytes)
            continue
        if sum(2 + len(each) for each in small) + 4 + len(nal) > limit_bytes:
            flush()
        small.append(nal)
    flush()
    return found


def _fragments(nal: bytes, limit_bytes: int) -> list[bytes]:
    head = bytes((nal[0] & 0x81 | _FRAGMENT << 1, nal[1]))
    room = limit_bytes - 3
    pieces = []
    for start in range(2, len(nal), room):
        flags = (0x80 if start == 2 else 0) | (0x40 if start + room >= len(nal) else 0)
        pieces.append(head + bytes((flags | nal_type(nal),)) + nal[start : start + room])
    return pieces
