"""H.264 out of RTP (RFC 6184, non-interleaved mode): packets in, access units out as soon as they are whole.

FFmpeg waits for the next picture to know that one is whole; the marker bit says so at once, which is one picture
interval earlier (50 ms at 20 fps). Pure: no sockets, no clock.
"""

import struct

from unitd.messages.media import AccessUnit

START_CODE = b"\x00\x00\x00\x01"
IDR, SPS, PPS = 5, 7, 8
_STAP_A, _FU_A = 24, 28
_RTP = struct.Struct(">BBHII")
_WRAP = 1 << 32
MAX_UNIT_BYTES = 8 * 1024 * 1024


class ReorderedError(ValueError):
    """The camera sends pictures out of display order (B-frames): RTP does not tell their decoding times."""


class Depacketizer:
    """One stream, in order of sequence number. A unit with a lost packet is dropped and counted, and with it all up to
    the next one that starts afresh is kept: the decoder conceals, and evidence with a flaw is better than none.
    """

    def __init__(self, payload_type: int, parameter_sets: list[bytes]) -> None:
        self._payload_type = payload_type
        self.parameter_sets = parameter_sets
        self._parts: list[bytes] = []
        self._size = 0
        self._kinds: set[int] = set()
        self._in_fragment = False
        self._timestamp: int | None = None
        self._extended = 0
        self._last_pts = -1
        self._next_sequence: int | None = None
        self._damaged = False
        self.lost_packets = 0
        self.damaged_units = 0
        self.mended_times = 0

    def push(self, packet: bytes | memoryview, arrival_ns: int) -> list[AccessUnit]:
        """Take one RTP packet; returns the units that are whole now (mostly none, sometimes one).

        What is no RTP packet of this stream is ignored. Raises ReorderedError.
        """
        if len(packet) < 13:
            return []
        first, second, sequence, timestamp, _ = _RTP.unpack_from(packet)
        if first >> 6 != 2 or second & 0x7F != self._payload_type:
            return []
        start, end = 12 + 4 * (first & 0x0F), len(packet)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        if first & 0x20:
            end -= packet[-1]
        if start >= end:
            return []
        units = []
        self._follow(sequence)
        if timestamp != self._timestamp:
            units += self._flush(arrival_ns)  # its marker was lost
            self._advance(timestamp)
        self._take(bytes(packet[start:end]))
        if second & 0x80:
            units += self._flush(arrival_ns)
        return units

    def _follow(self, sequence: int) -> None:
        if self._next_sequence is not None and sequence != self._next_sequence:
            self.lost_packets += (sequence - self._next_sequence) & 0xFFFF
            self._damaged = True
        self._next_sequence = (sequence + 1) & 0xFFFF

    def _advance(self, timestamp: int) -> None:
        if self._timestamp is not None:
            step = (timestamp - self._timestamp + _WRAP // 2) % _WRAP - _WRAP // 2
            if -10 * 90_000 < step < 0:
                raise ReorderedError("pictures out of order")
            self._extended += max(step, 1)
        self._timestamp = timestamp

    def _take(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if kind == _FU_A and len(payload) > 2:
            if payload[1] & 0x80:
                self._add(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]) + payload[2:])
                self._in_fragment = True
            elif self._in_fragment:
                self._parts.append(payload[2:])
                self._size += len(payload)
            else:
                self._damaged = True
            if payload[1] & 0x40:
                self._in_fragment = False
        elif kind == _STAP_A:
            at = 1
            while at + 2 < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                self._add(payload[at + 2 : at + 2 + size])
                at += 2 + size
        elif 0 < kind < _STAP_A:
            self._add(payload)
        else:
            self._damaged = True

    def _add(self, unit: bytes) -> None:
        if not unit:
            return
        kind = unit[0] & 0x1F
        self._kinds.add(kind)
        self._in_fragment = False
        if kind in (SPS, PPS):
            self._remember(kind, unit)
        self._parts += (START_CODE, unit)
        self._size += len(unit) + 4
        if self._size > MAX_UNIT_BYTES:
            self._parts.clear()
            self._size, self._damaged = 0, True

    def _remember(self, kind: int, unit: bytes) -> None:
        """Parameter sets may change in the stream; the SPS starts the list afresh when it differs."""
        if unit in self.parameter_sets:
            return
        if kind == SPS:
            self.parameter_sets = [unit]
        else:
            self.parameter_sets = [other for other in self.parameter_sets if other[0] & 0x1F == SPS] + [unit]

    def _flush(self, arrival_ns: int) -> list[AccessUnit]:
        parts, kinds, damaged = self._parts, self._kinds, self._damaged or self._in_fragment
        self._parts, self._kinds, self._damaged, self._in_fragment, self._size = [], set(), False, False, 0
        if damaged:
            self.damaged_units += 1
            return []
        if not parts:
            return []
        keyframe = IDR in kinds
        if keyframe and SPS not in kinds:
            parts = [piece for unit in self.parameter_sets for piece in (START_CODE, unit)] + parts
        pts = self._extended
        if pts <= self._last_pts:
            self.mended_times += 1
            pts = self._last_pts + 1
        self._last_pts = pts
        return [AccessUnit(b"".join(parts), keyframe, pts, pts, arrival_ns)]


def picture_size(sps: bytes) -> tuple[int, int]:
    """(width, height) from a sequence parameter set (ITU-T H.264, 7.3.2.1.1). Raises ValueError when it is damaged."""
    bits = _Bits(sps[1:].replace(b"\x00\x00\x03", b"\x00\x00"))
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    chroma = 1
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = bits.golomb()
        if chroma == 3:
            bits.take(1)
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            raise ValueError("scaling lists in the SPS")  # rare; the other driver reads them
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    bits.golomb()
    bits.take(1)
    width, height = 16 * (bits.golomb() + 1), 16 * (bits.golomb() + 1)
    frames_only = bits.take(1)
    height *= 2 - frames_only
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        unit_x = 1 if chroma in (0, 3) else 2
        unit_y = (2 if chroma == 1 else 1) * (2 - frames_only)
        width -= unit_x * (bits.golomb() + bits.golomb())
        height -= unit_y * (bits.golomb() + bits.golomb())
    if not (0 < width <= 16_384 and 0 < height <= 16_384):
        raise ValueError(f"an SPS of {width}x{height}")
    return width, height


class _Bits:
    """Reads bits from the front, as H.264 codes them."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the SPS ends too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise ValueError("the SPS is damaged")
        return (1 << zeros) - 1 + self.take(zeros)
