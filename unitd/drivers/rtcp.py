"""What a camera reports beside its packets (RFC 3550, 6): the time of its streams, and their end. Pure."""

import struct
from dataclasses import dataclass

_SENDER_REPORT, _BYE = 200, 203
_SENDER = struct.Struct(">IIII")
_MAX_PACKETS = 32


@dataclass(frozen=True, slots=True)
class SenderReport:
    """At `ntp` (seconds, the camera's own clock: only differences mean anything) the stream's time was `timestamp`."""

    ssrc: int
    ntp_s: float
    timestamp: int


@dataclass(frozen=True, slots=True)
class Bye:
    """The stream is over."""


def parse_rtcp(data: bytes | memoryview) -> list[SenderReport | Bye]:
    """What matters of a compound packet; damage ends it. Never raises."""
    found: list[SenderReport | Bye] = []
    at = 0
    for _ in range(_MAX_PACKETS):
        if at + 4 > len(data) or data[at] >> 6 != 2:
            break
        end = at + 4 + 4 * (data[at + 2] << 8 | data[at + 3])
        if end > len(data):
            break
        if data[at + 1] == _SENDER_REPORT and end - at >= 20:
            ssrc, seconds, fraction, timestamp = _SENDER.unpack_from(data, at + 4)
            if seconds or fraction:
                found.append(SenderReport(ssrc, seconds + fraction / (1 << 32), timestamp))
        elif data[at + 1] == _BYE:
            found.append(Bye())
        at = end
    return found
