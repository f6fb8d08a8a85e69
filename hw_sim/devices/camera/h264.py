"""H.264 access units and their way into RTP packets (RFC 6184, packetization-mode 1)."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass

from hw_sim.devices.camera import h265
from hw_sim.devices.camera.profile import Codec

IDR, SEI, SPS, PPS, DELIMITER = 5, 6, 7, 8, 9
_STAP_A, _FU_A = 24, 28
PAYLOAD_TYPE = 96
CLOCK_HZ = 90_000
MAX_PAYLOAD_BYTES = 1380
"""Of one RTP packet: stays under an Ethernet frame with a tunnel's overhead."""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded picture."""

    nals: tuple[bytes, ...]
    """NAL units without start codes; a keyframe's begin with its parameter sets."""
    is_key: bool
    capture_mono_ns: int
    """When the picture was taken, CLOCK_MONOTONIC: the same time as in its time code."""
    sequence: int
    """Counts the pictures of its profile."""


def nal_type(nal: bytes) -> int:
    """The type of a NAL unit."""
    return nal[0] & 0x1F


def split_annex_b(data: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream, start codes (3 or 4 bytes) removed."""
    nals: list[bytes] = []
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        following = data.find(b"\x00\x00\x01", start + 3)
        nal = data[start + 3 : following if following >= 0 else len(data)].rstrip(b"\x00")
        if nal:
            nals.append(nal)
        start = following
    return nals


def fmtp(sps: bytes, pps: bytes) -> str:
    """The SDP parameters of a stream with these parameter sets (RFC 6184, 8.1)."""
    sets = ",".join(base64.b64encode(nal).decode() for nal in (sps, pps))
    return f"packetization-mode=1;profile-level-id={sps[1:4].hex().upper()};sprop-parameter-sets={sets}"


class RtpSender:
    """Numbers the RTP packets of one client's stream. Pure: returns bytes."""

    def __init__(self, ssrc: int, first_sequence: int, timestamp_offset: int, codec: Codec = "h264") -> None:
        self.ssrc = ssrc
        self._codec = codec
        self.shift_ticks = 0
        """Added to every RTP time: a clock that was set."""
        self.still = False
        """Whether RTP time stands still."""
        self._stood = 0
        self.sequence = first_sequence
        self.packets = 0
        self.payload_bytes = 0
        self._offset = timestamp_offset

    def timestamp(self, mono_ns: int) -> int:
        """The RTP time of a monotonic time."""
        if not self.still:
            self._stood = mono_ns * CLOCK_HZ // 1_000_000_000
        return (self._offset + self.shift_ticks + self._stood) & 0xFFFFFFFF

    def packets_of(self, unit: AccessUnit) -> list[bytes]:
        """The RTP packets of one access unit, the marker on the last."""
        payloads = h265.payloads(unit.nals, MAX_PAYLOAD_BYTES) if self._codec == "h265" else _payloads(unit.nals)
        timestamp = self.timestamp(unit.capture_mono_ns)
        packets = []
        for index, payload in enumerate(payloads):
            marker = 0x80 if index == len(payloads) - 1 else 0
            header = struct.pack(">BBHII", 0x80, marker | PAYLOAD_TYPE, self.sequence, timestamp, self.ssrc)
            packets.append(header + payload)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.payload_bytes += len(payload)
        self.packets += len(payloads)
        return packets

    def sender_report(self, mono_ns: int, unix_ns: int) -> bytes:
        """An RTCP sender report with a CNAME (RFC 3550, 6.4.1) tying RTP time to the wall clock."""
        ntp = (unix_ns << 32) // 1_000_000_000 + (2_208_988_800 << 32)
        counts = (self.packets & 0xFFFFFFFF, self.payload_bytes & 0xFFFFFFFF)
        report = struct.pack(
            ">BBHIQIII", 0x80, 200, 6, self.ssrc, ntp & 0xFFFFFFFFFFFFFFFF, self.timestamp(mono_ns), *counts
        )
        item = struct.pack(">BB", 1, 7) + b"hw_sim@" + b"\x00"
        item += b"\x00" * (-len(item) % 4)
        return report + struct.pack(">BBHI", 0x81, 202, 1 + len(item) // 4, self.ssrc) + item

    def bye(self) -> bytes:
        """An RTCP BYE."""
        return struct.pack(">BBHI", 0x81, 203, 1, self.ssrc)


def _payloads(nals: tuple[bytes, ...]) -> list[bytes]:
    """RTP payloads: small neighbours together (STAP-A), large ones in pieces (FU-A)."""
    payloads: list[bytes] = []
    small: list[bytes] = []
    small_bytes = 1

    def flush() -> None:
        nonlocal small, small_bytes
        if len(small) == 1:
            payloads.append(small[0])
        elif small:
            importance = max(nal[0] & 0x60 for nal in small)
            payloads.append(
                bytes((importance | _STAP_A,)) + b"".join(struct.pack(">H", len(nal)) + nal for nal in small)
            )
        small, small_bytes = [], 1

    for nal in nals:
        if len(nal) > MAX_PAYLOAD_BYTES:
            flush()
            payloads += _fragments(nal)
            continue
        if small_bytes + 2 + len(nal) > MAX_PAYLOAD_BYTES:
            flush()
        small.append(nal)
        small_bytes += 2 + len(nal)
    flush()
    return payloads


def _fragments(nal: bytes) -> list[bytes]:
    indicator = (nal[0] & 0xE0) | _FU_A
    kind = nal[0] & 0x1F
    room = MAX_PAYLOAD_BYTES - 2
    pieces = []
    for start in range(1, len(nal), room):
        piece = nal[start : start + room]
        first = 0x80 if start == 1 else 0
        last = 0x40 if start + room >= len(nal) else 0
        pieces.append(bytes((indicator, first | last | kind)) + piece)
    return pieces
