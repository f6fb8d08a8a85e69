"""Pictures out of RTP, whatever their codec: packets in, access units out as soon as they are whole.

FFmpeg waits for the next picture to know that one is whole; the marker bit says so at once, which is one picture
interval earlier (50 ms at 20 fps). A camera that sets the bit in the middle of a picture is not believed again: then
its pictures are whole when the next one begins. Pure: no sockets, no clock of its own.
"""

import struct
from abc import ABC, abstractmethod
from typing import ClassVar

from unitd.drivers.h264_sps import Sps
from unitd.drivers.rtp_clock import RtpClock
from unitd.messages.media import AccessUnit

START_CODE = b"\x00\x00\x00\x01"
_RTP = struct.Struct(">BBHII")
MAX_UNIT_BYTES = 8 * 1024 * 1024
MAX_PARAMETER_SETS = 16
_HEADER_BYTES = 12
_PLAIN = 0x80
"""A header without padding, extension and contributing sources."""

_EDGES = 0xC0
"""Start and end bit of a fragmentation unit's header."""


class PictureAssembler(ABC):
    """One stream, in order of sequence number. A unit with a lost packet is dropped and counted, and with it all up to
    the next one that starts afresh is kept: the decoder conceals, and evidence with a flaw is better than none.

    `parameter_sets` are the newest of each number, `set_changes` counts how often one came new or became another.
    `reorder` is what an earlier session found out about B-frames. `pictures` counts what had a slice, keyframe or not.
    """

    codec: ClassVar[str]
    fragment_mask: ClassVar[int]
    fragment_kind: ClassVar[int]
    fragment_at: ClassVar[int]
    """How a fragmentation unit is known by its payload's first byte, and where in the packet its header stands."""

    set_kinds: ClassVar[frozenset[int]]
    """Kinds of parameter sets; all of them stand before a keyframe."""

    def __init__(self, payload_type: int, parameter_sets: list[bytes], reorder: int = 0) -> None:
        self._payload_type = payload_type
        self._sets: dict[tuple[int, int], bytes] = {}
        self._known: set[bytes] = set()
        self._reorder_learnt = reorder
        self.clock = RtpClock(reorder)
        self.set_changes = 0
        self._interlaced = False
        """Then all that has one time is one picture, both fields of it, however many marker bits are in between."""
        for unit in parameter_sets:
            if unit:
                self._remember(self.kind_of(unit), unit)
        self._parts: list[bytes] = []
        self._size = 0
        self._kinds: set[int] = set()
        self._slices = False
        self._recovery = False
        self._in_fragment = False
        self._timestamp: int | None = None
        self.ssrc: int | None = None
        self._arrival_ns = 0
        self._next_sequence: int | None = None
        self._damaged = False
        self._hole = False
        self._flushed_timestamp: int | None = None
        self.marker_believed = True
        self.lost_packets = 0
        self.damaged_units = 0
        self.pictures = 0

    @property
    def parameter_sets(self) -> list[bytes]:
        """In the order in which a decoder wants them."""
        return [self._sets[key] for key in sorted(self._sets)]

    @property
    def mended_times(self) -> int:
        return self.clock.mended_times

    def sps(self) -> Sps:
        """What the newest sequence parameter set says. Raises ValueError when there is none or it is damaged."""
        return self.read_sps(
            next((unit for (kind, _), unit in sorted(self._sets.items()) if kind == self.sps_kind), b"")
        )

    def push(self, packet: bytes | memoryview, arrival_ns: int) -> list[AccessUnit]:
        """Take one RTP packet; returns the units that are whole now (mostly none, sometimes one).

        What is no RTP packet of this stream is ignored. Raises ReorderedError.
        """
        if len(packet) < 13:
            return []
        first, second, sequence, timestamp, ssrc = _RTP.unpack_from(packet)
        if (
            self._in_fragment
            and first == _PLAIN
            and second == self._payload_type
            and sequence == self._next_sequence
            and timestamp == self._timestamp
            and ssrc == self.ssrc
            and len(packet) > _HEADER_BYTES + 3
            and packet[_HEADER_BYTES] & self.fragment_mask == self.fragment_kind
            and packet[self.fragment_at] & _EDGES == 0
        ):
            # nine packets in ten, in a fifth of the time: in the middle of a fragmented unit, and just as expected
            self._next_sequence = (sequence + 1) & 0xFFFF
            self._arrival_ns = arrival_ns
            piece = bytes(packet[self.fragment_at + 1 :])
            self._parts.append(piece)
            self._grow(len(piece))
            return []
        if first >> 6 != 2 or second & 0x7F != self._payload_type:
            return []
        start, end = 12 + 4 * (first & 0x0F), len(packet)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        if first & 0x20:
            end -= packet[-1]
        units: list[AccessUnit] = []
        if ssrc != self.ssrc:
            units += self._another_source(ssrc)
        if sequence != self._next_sequence and self._next_sequence is not None:
            self.lost_packets += (sequence - self._next_sequence) & 0xFFFF
            self._hole = True
            self._damaged = self._damaged or bool(self._parts)
        self._next_sequence = (sequence + 1) & 0xFFFF
        if timestamp != self._timestamp:
            units += self._flush()  # its marker was lost, or is not believed
            self._timestamp = timestamp
        self._arrival_ns = arrival_ns
        if start < end:
            units += self.take(bytes(packet[start:end]))
        if second & 0x80 and self.marker_believed and not self._interlaced:
            units += self._flush()
        return units

    @staticmethod
    @abstractmethod
    def kind_of(unit: bytes) -> int:
        """The type of a NAL unit, which is not empty."""

    @staticmethod
    @abstractmethod
    def is_slice(kind: int) -> bool: ...

    @staticmethod
    @abstractmethod
    def begins_picture(unit: bytes) -> bool:
        """Whether a slice is the first of its picture."""

    @abstractmethod
    def take(self, payload: bytes) -> list[AccessUnit]:
        """An RTP payload taken apart into `add` and `add_more`; returns the units that became whole."""

    @abstractmethod
    def is_keyframe(self, kinds: set[int], parts: list[bytes]) -> bool:
        """Whether a decoder may begin with the unit of these NAL units."""

    @staticmethod
    @abstractmethod
    def set_number(kind: int, unit: bytes) -> int:
        """The number of a parameter set; 0 when it is damaged."""

    @staticmethod
    @abstractmethod
    def read_sps(unit: bytes) -> Sps: ...

    @property
    @abstractmethod
    def sps_kind(self) -> int: ...

    def add(self, unit: bytes, *, whole: bool = True) -> list[AccessUnit]:
        """Append a NAL unit, or the first piece of one; returns the unit before when this begins another picture."""
        if not unit:
            return []
        kind = self.kind_of(unit)
        before: list[AccessUnit] = []
        if self.is_slice(kind):
            if self.begins_picture(unit):
                if self._slices and not self._interlaced:
                    before = self._flush()  # a clock that stands still
            elif not self._slices:
                if self._flushed_timestamp == self._timestamp and not self._hole:
                    self.marker_believed = False
                self._damaged = self._damaged or self._hole
            self._slices, self._hole = True, False
        self._kinds.add(kind)
        self._in_fragment = not whole
        if whole and kind in self.set_kinds and unit not in self._known:
            self._remember(kind, unit)
        self._parts += (START_CODE, unit)
        self._grow(len(unit) + 4)
        return before

    def add_more(self, piece: bytes, *, last: bool) -> None:
        """Append a further piece of the NAL unit that `add` began; without one the picture is damaged."""
        if self._in_fragment:
            self._parts.append(piece)
            self._grow(len(piece))
        else:
            self._damaged = True
        self._in_fragment = self._in_fragment and not last

    def spoil(self) -> None:
        """Something of this picture cannot be understood."""
        self._damaged = True

    def _another_source(self, ssrc: int) -> list[AccessUnit]:
        """The camera began anew within the session: numbers and times of another origin."""
        if self.ssrc is None:
            self.ssrc = ssrc
            return []
        units = self._flush()
        self.ssrc, self._next_sequence, self._timestamp = ssrc, None, None
        self.clock.renew()
        return units

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_UNIT_BYTES:
            self._parts.clear()
            self._size, self._damaged = 0, True

    def _remember(self, kind: int, unit: bytes) -> None:
        """Parameter sets may change in the stream, and a stream may have several of each."""
        key = (kind, self.set_number(kind, unit))
        before = self._sets.get(key)
        if before == unit or (before is None and len(self._sets) >= MAX_PARAMETER_SETS):
            return
        self._sets[key] = unit
        self._known = set(self._sets.values())
        self.set_changes += 1
        if kind == self.sps_kind:
            try:
                sps = self.read_sps(unit)
            except ValueError:
                return  # said where the size is wanted
            self.clock.reorder = max(sps.reorder or 0, self._reorder_learnt)
            self._interlaced = sps.interlaced

    def _flush(self) -> list[AccessUnit]:
        parts, kinds, damaged = self._parts, self._kinds, self._damaged
        if not damaged and not self._slices:
            return []  # parameter sets with a time or a marker of their own: they go before the next picture
        self._parts, self._kinds, self._damaged, self._in_fragment, self._size = [], set(), False, False, 0
        self._slices = False
        self.pictures += 1
        if damaged:
            self.damaged_units += 1
            return []
        keyframe = self.is_keyframe(kinds, parts)
        if keyframe and not self.set_kinds <= kinds:
            parts = [piece for unit in self.parameter_sets for piece in (START_CODE, unit)] + parts
        self._flushed_timestamp = self._timestamp
        pts, dts = self.clock.stamp(self._timestamp or 0, self._arrival_ns)
        return [AccessUnit(b"".join(parts), keyframe, pts, dts, self._arrival_ns)]
