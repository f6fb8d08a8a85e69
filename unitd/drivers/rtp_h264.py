"""H.264 out of RTP (RFC 6184, non-interleaved mode): packets in, access units out as soon as they are whole.

FFmpeg waits for the next picture to know that one is whole; the marker bit says so at once, which is one picture
interval earlier (50 ms at 20 fps). A camera that sets the bit in the middle of a picture is not believed again: then
its pictures are whole when the next one begins. Pure: no sockets, no clock.
"""

import struct

from unitd.messages.media import AccessUnit

START_CODE = b"\x00\x00\x00\x01"
SLICE, IDR, SPS, PPS = 1, 5, 7, 8
_STAP_A, _FU_A = 24, 28
_RTP = struct.Struct(">BBHII")
_WRAP = 1 << 32
MAX_UNIT_BYTES = 8 * 1024 * 1024
MAX_PARAMETER_SETS = 16
JUMP_90KHZ = 10 * 90_000
"""A step of the camera's clock beyond this, either way, is a new clock: time then goes on by that of arrival."""

ORDERLY_UNITS = 50
"""A step back within these first pictures means B-frames; later a single one is a clock that was set."""


class ReorderedError(ValueError):
    """The camera sends pictures out of display order (B-frames): RTP does not tell their decoding times."""


class Depacketizer:
    """One stream, in order of sequence number. A unit with a lost packet is dropped and counted, and with it all up to
    the next one that starts afresh is kept: the decoder conceals, and evidence with a flaw is better than none.

    `parameter_sets` are the newest of each number; `sps_changes` counts how often an SPS became another.
    """

    def __init__(self, payload_type: int, parameter_sets: list[bytes]) -> None:
        self._payload_type = payload_type
        self._sets: dict[tuple[int, int], bytes] = {}
        self.sps_changes = 0
        for unit in parameter_sets:
            self._remember(unit[0] & 0x1F, unit)
        self._parts: list[bytes] = []
        self._size = 0
        self._kinds: set[int] = set()
        self._in_fragment = False
        self._timestamp: int | None = None
        self._arrival_ns = 0
        self._extended = 0
        self._last_pts = -1
        self._next_sequence: int | None = None
        self._damaged = False
        self._whole = 0
        self._stepped_back_at: int | None = None
        self._flushed_timestamp: int | None = None
        self.marker_believed = True
        self.lost_packets = 0
        self.damaged_units = 0
        self.mended_times = 0

    @property
    def parameter_sets(self) -> list[bytes]:
        """SPS first."""
        return [self._sets[key] for key in sorted(self._sets)]

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
        units: list[AccessUnit] = []
        self._follow(sequence)
        if timestamp != self._timestamp:
            units += self._flush()  # its marker was lost, or is not believed
            self._advance(timestamp, arrival_ns)
        self._arrival_ns = arrival_ns
        if start < end:
            units += self._take(bytes(packet[start:end]))
        if second & 0x80 and self.marker_believed:
            units += self._flush()
        return units

    def _follow(self, sequence: int) -> None:
        if self._next_sequence is not None and sequence != self._next_sequence:
            self.lost_packets += (sequence - self._next_sequence) & 0xFFFF
            self._damaged = True
        self._next_sequence = (sequence + 1) & 0xFFFF

    def _advance(self, timestamp: int, arrival_ns: int) -> None:
        if self._timestamp is not None:
            step = (timestamp - self._timestamp + _WRAP // 2) % _WRAP - _WRAP // 2
            if abs(step) > JUMP_90KHZ:
                self.mended_times += 1
                step = (arrival_ns - self._arrival_ns) * 9 // 100_000
            elif step < 0:
                self._step_back()
            self._extended += max(step, 1)
        self._timestamp = timestamp

    def _step_back(self) -> None:
        before, self._stepped_back_at = self._stepped_back_at, self._whole
        if self._whole < ORDERLY_UNITS or (before is not None and self._whole - before < ORDERLY_UNITS):
            raise ReorderedError("pictures out of order")
        self.mended_times += 1

    def _take(self, payload: bytes) -> list[AccessUnit]:
        kind = payload[0] & 0x1F
        if kind == _FU_A and len(payload) > 2:
            if payload[1] & 0x80:
                whole = self._add(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]) + payload[2:], whole=False)
                self._in_fragment = not payload[1] & 0x40
                return whole
            if self._in_fragment:
                self._parts.append(payload[2:])
                self._grow(len(payload))
            else:
                self._damaged = True
            if payload[1] & 0x40:
                self._in_fragment = False
        elif kind == _STAP_A:
            at, found = 1, []
            while at + 2 < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                found += self._add(payload[at + 2 : at + 2 + size])
                at += 2 + size
            return found
        elif 0 < kind < _STAP_A:
            return self._add(payload)
        else:
            self._damaged = True
        return []

    def _add(self, unit: bytes, *, whole: bool = True) -> list[AccessUnit]:
        """Append a NAL unit, or the first piece of one; returns the unit before when this begins another picture."""
        if not unit:
            return []
        kind = unit[0] & 0x1F
        before: list[AccessUnit] = []
        if kind in (SLICE, IDR) and len(unit) > 1:
            begins = bool(unit[1] & 0x80)  # first_mb_in_slice is 0
            if begins and self._kinds & {SLICE, IDR}:
                before = self._flush()  # a clock that stands still
            elif not begins and not self._kinds & {SLICE, IDR} and self._flushed_timestamp == self._timestamp:
                self.marker_believed = False
        self._kinds.add(kind)
        self._in_fragment = False
        if kind in (SPS, PPS) and whole:
            self._remember(kind, unit)
        self._parts += (START_CODE, unit)
        self._grow(len(unit) + 4)
        return before

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_UNIT_BYTES:
            self._parts.clear()
            self._size, self._damaged = 0, True

    def _remember(self, kind: int, unit: bytes) -> None:
        """Parameter sets may change in the stream, and a stream may have several of each."""
        key = (kind, _set_number(kind, unit))
        before = self._sets.get(key)
        if before == unit or (before is None and len(self._sets) >= MAX_PARAMETER_SETS):
            return
        self._sets[key] = unit
        if kind == SPS and before is not None:
            self.sps_changes += 1

    def _flush(self) -> list[AccessUnit]:
        parts, kinds, damaged = self._parts, self._kinds, self._damaged
        if not damaged and not kinds & {SLICE, IDR}:
            return []  # parameter sets with a time or a marker of their own: they go before the next picture
        self._parts, self._kinds, self._damaged, self._in_fragment, self._size = [], set(), False, False, 0
        if damaged:
            self.damaged_units += 1
            return []
        keyframe = IDR in kinds
        if keyframe and not {SPS, PPS} <= kinds:
            parts = [piece for unit in self.parameter_sets for piece in (START_CODE, unit)] + parts
        pts = self._extended
        if pts <= self._last_pts:
            self.mended_times += 1
            pts = self._last_pts + 1
        self._last_pts = pts
        self._whole += 1
        self._flushed_timestamp = self._timestamp
        return [AccessUnit(b"".join(parts), keyframe, pts, pts, self._arrival_ns)]


def _set_number(kind: int, unit: bytes) -> int:
    """The number of a parameter set: an Exp-Golomb code after its head. A damaged one counts as number 0."""
    bits = int.from_bytes(unit[4:8] if kind == SPS else unit[1:5], "big")
    width = 8 * len(unit[4:8] if kind == SPS else unit[1:5])
    zeros = width - bits.bit_length()
    if zeros > 8 or width < 2 * zeros + 1:
        return 0
    return (bits >> (width - 2 * zeros - 1)) - 1
