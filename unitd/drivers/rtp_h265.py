"""H.265 out of RTP (RFC 7798): single NAL units, aggregation packets and fragments, in order of decoding. Pure."""

from typing import ClassVar

from unitd.drivers import h265_sps
from unitd.drivers.bits import Bits
from unitd.drivers.h264_sps import Sps
from unitd.drivers.rtp_pictures import PictureAssembler
from unitd.messages.media import AccessUnit

VPS, SPS, PPS = 32, 33, 34
_AGGREGATE, _FRAGMENT = 48, 49
_FIRST_VCL_BEYOND = 32
_KEYFRAMES = frozenset(range(16, 22))
"""BLA, IDR and CRA pictures (ITU-T H.265, table 7-1)."""


class H265Depacketizer(PictureAssembler):
    codec: ClassVar[str] = "hevc"
    fragment_mask, fragment_kind, fragment_at = 0x7E, _FRAGMENT << 1, 14
    set_kinds: ClassVar[frozenset[int]] = frozenset((VPS, SPS, PPS))
    sps_kind = SPS

    @staticmethod
    def kind_of(unit: bytes) -> int:
        return unit[0] >> 1 & 0x3F

    @staticmethod
    def is_slice(kind: int) -> bool:
        return kind < _FIRST_VCL_BEYOND

    @staticmethod
    def begins_picture(unit: bytes) -> bool:
        return len(unit) < 3 or bool(unit[2] & 0x80)  # first_slice_segment_in_pic_flag

    def take(self, payload: bytes) -> list[AccessUnit]:
        kind = payload[0] >> 1 & 0x3F
        if kind == _FRAGMENT and len(payload) > 3:
            head = payload[2]
            if head & 0x80:
                first = bytes([payload[0] & 0x81 | (head & 0x3F) << 1, payload[1]])
                return self.add(first + payload[3:], whole=False)
            self.add_more(payload[3:], last=bool(head & 0x40))
        elif kind == _AGGREGATE:
            at, found = 2, []
            while at + 2 < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                found += self.add(payload[at + 2 : at + 2 + size])
                at += 2 + size
            return found
        elif kind < _AGGREGATE and len(payload) > 2:
            return self.add(payload)
        else:
            self.spoil()
        return []

    def is_keyframe(self, kinds: set[int], parts: list[bytes]) -> bool:
        return not _KEYFRAMES.isdisjoint(kinds)

    @staticmethod
    def set_number(kind: int, unit: bytes) -> int:
        try:
            if kind == SPS:
                return h265_sps.read_sps(unit).number
            return unit[2] >> 4 if kind == VPS and len(unit) > 2 else Bits(unit[2:10]).golomb() & 0xFF
        except ValueError:
            return 0

    @staticmethod
    def read_sps(unit: bytes) -> Sps:
        return h265_sps.read_sps(unit)
