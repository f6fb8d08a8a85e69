"""H.264 out of RTP (RFC 6184, non-interleaved mode). Pure."""

import itertools
from typing import ClassVar

from unitd.drivers import h264_sps
from unitd.drivers.bits import Bits
from unitd.drivers.h264_sps import Sps
from unitd.drivers.rtp_pictures import MAX_PARAMETER_SETS, MAX_UNIT_BYTES, START_CODE, PictureAssembler
from unitd.messages.media import AccessUnit

__all__ = ["MAX_PARAMETER_SETS", "MAX_UNIT_BYTES", "PPS", "SPS", "Depacketizer"]

SLICE, IDR, SEI, SPS, PPS = 1, 5, 6, 7, 8
_STAP_A, _FU_A = 24, 28
_RECOVERY_POINT = 6
_INTRA = (2, 4, 7, 9)
_FIRST_MACROBLOCK = 0x80
_HEAD_BYTES = 16


class Depacketizer(PictureAssembler):
    """A keyframe is an IDR picture, one with a recovery point (D.2.8: open GOPs, intra refresh), or an I picture with
    an SPS before it, as some cameras send."""

    codec: ClassVar[str] = "h264"
    fragment_mask, fragment_kind, fragment_at = 0x1F, _FU_A, 13
    set_kinds: ClassVar[frozenset[int]] = frozenset((SPS, PPS))
    sps_kind = SPS

    @staticmethod
    def kind_of(unit: bytes) -> int:
        return unit[0] & 0x1F

    @staticmethod
    def is_slice(kind: int) -> bool:
        return kind in (SLICE, IDR)

    @staticmethod
    def begins_picture(unit: bytes) -> bool:
        return len(unit) < 2 or bool(unit[1] & _FIRST_MACROBLOCK)  # first_mb_in_slice is 0

    def take(self, payload: bytes) -> list[AccessUnit]:
        kind = payload[0] & 0x1F
        if kind == _FU_A and len(payload) > 2:
            head, last = payload[1], bool(payload[1] & 0x40)
            if head & 0x80:
                return self.add(bytes([payload[0] & 0xE0 | head & 0x1F]) + payload[2:], whole=False)
            self.add_more(payload[2:], last=last)
        elif kind == _STAP_A:
            at, found = 1, []
            while at + 2 < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                found += self.add(payload[at + 2 : at + 2 + size])
                at += 2 + size
            return found
        elif 0 < kind < _STAP_A:
            return self.add(payload)
        else:
            self.spoil()
        return []

    def is_keyframe(self, kinds: set[int], parts: list[bytes]) -> bool:
        if IDR in kinds:
            return True
        if SEI not in kinds and SPS not in kinds:
            return False
        heads = [unit for code, unit in itertools.pairwise(parts) if code is START_CODE]
        if any(unit[0] & 0x1F == SEI and _has_recovery_point(unit) for unit in heads):
            return True
        return SPS in kinds and any(unit[0] & 0x1F == SLICE and _is_intra(unit) for unit in heads)

    @staticmethod
    def set_number(kind: int, unit: bytes) -> int:
        """An Exp-Golomb code after its head."""
        try:
            return Bits(unit[4:12] if kind == SPS else unit[1:9]).golomb() & 0xFF
        except ValueError:
            return 0

    @staticmethod
    def read_sps(unit: bytes) -> Sps:
        return h264_sps.read_sps(unit)


def _is_intra(slice_unit: bytes) -> bool:
    """By its slice_type (7.3.3)."""
    try:
        bits = Bits(slice_unit[1:_HEAD_BYTES])
        bits.golomb()
        return bits.golomb() in _INTRA
    except ValueError:
        return False


def _has_recovery_point(sei: bytes) -> bool:
    """Whether one of the messages (7.3.2.3.1) is that; emulation prevention does not occur in so short ones."""
    at = 1
    while at + 2 < len(sei):
        kind = size = 0
        while at < len(sei) and sei[at] == 0xFF:
            kind, at = kind + 255, at + 1
        if at >= len(sei):
            return False
        kind, at = kind + sei[at], at + 1
        while at < len(sei) and sei[at] == 0xFF:
            size, at = size + 255, at + 1
        if at >= len(sei):
            return False
        size, at = size + sei[at], at + 1
        if kind == _RECOVERY_POINT:
            return True
        at += size
    return False
