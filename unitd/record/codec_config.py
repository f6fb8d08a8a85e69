"""H.264 and H.265 as MP4 wants them: units with lengths instead of start codes, and the configuration record
(ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1). Pure."""

import struct
from collections.abc import Sequence

_START = b"\x00\x00\x01"
_SPS, _PPS = 7, 8
_SETS_265 = _VPS_265, _SPS_265, _PPS_265 = 32, 33, 34
_HIGH_PROFILES = (100, 110, 122, 144, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


def split(data: bytes) -> list[bytes]:
    """The NAL units of Annex B, with start codes of three bytes and of four."""
    first = data.find(_START)
    if first < 0:
        return []
    found = data[first + 3 :].split(_START)
    last = found.pop()
    units = [unit.rstrip(b"\x00") for unit in found]
    units.append(last)
    return [unit for unit in units if unit]


def _is_parameter_set(codec: str, unit: bytes) -> bool:
    if codec == "h264":
        return unit[0] & 0x1F in (_SPS, _PPS)
    return _VPS_265 <= unit[0] >> 1 & 0x3F <= _PPS_265


def parameter_sets(codec: str, units: Sequence[bytes]) -> tuple[bytes, ...]:
    """The parameter sets among `units`, in order, each once."""
    return tuple(dict.fromkeys(unit for unit in units if _is_parameter_set(codec, unit)))


def avcc(sets: Sequence[bytes]) -> bytes:
    """The payload of `avcC`. Raises ValueError when there is no whole SPS."""
    sps = [unit for unit in sets if unit[0] & 0x1F == _SPS]
    pps = [unit for unit in sets if unit[0] & 0x1F == _PPS]
    if not sps or len(sps[0]) < 5:
        raise ValueError("no sequence parameter set")
    body = bytes((1, sps[0][1], sps[0][2], sps[0][3], 0xFF, 0xE0 | len(sps[:31])))
    body += b"".join(struct.pack(">H", len(unit)) + unit for unit in sps[:31])
    body += bytes((len(pps[:255]),)) + b"".join(struct.pack(">H", len(unit)) + unit for unit in pps[:255])
    if sps[0][1] in _HIGH_PROFILES:
        bits = _Bits(_plain(sps[0][4:]))
        bits.golomb()
        chroma = bits.golomb()
        if chroma == 3:
            bits.take(1)
        body += bytes((0xFC | chroma & 3, 0xF8 | bits.golomb() & 7, 0xF8 | bits.golomb() & 7, 0))
    return body


def hvcc(sets: Sequence[bytes]) -> bytes:
    """The payload of `hvcC`. Raises ValueError when there is no whole SPS."""
    sps = next((unit for unit in sets if unit[0] >> 1 & 0x3F == _SPS_265), b"")
    if len(sps) < 16:
        raise ValueError("no sequence parameter set")
    plain = _plain(sps[2:])
    layers, nested = plain[0] >> 1 & 7, plain[0] & 1
    chroma, luma_depth, chroma_depth = _format_265(_Bits(plain[13:]), layers)
    body = bytes((1,)) + plain[1:13]
    arrays = [(kind, [unit for unit in sets if unit[0] >> 1 & 0x3F == kind]) for kind in _SETS_265]
    body += struct.pack(
        ">HBBBBHBB",
        0xF000,
        0xFC,
        0xFC | chroma & 3,
        0xF8 | luma_depth & 7,
        0xF8 | chroma_depth & 7,
        0,
        (layers + 1) << 3 | nested << 2 | 3,
        sum(bool(units) for _, units in arrays),
    )
    for kind, units in arrays:
        if not units:
            continue
        body += struct.pack(">BH", 0x80 | kind, len(units))
        body += b"".join(struct.pack(">H", len(unit)) + unit for unit in units)
    return body


def _plain(data: bytes) -> bytes:
    """Without the bytes that keep start codes out of a unit (emulation_prevention_three_byte)."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


def _format_265(bits: "_Bits", layers: int) -> tuple[int, int, int]:
    """(chroma_format_idc, luma and chroma depth less 8) after the general profile and level (H.265, 7.3.2.2)."""
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    bits.golomb()
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.golomb()
    bits.golomb()
    if bits.take(1):
        for _ in range(4):
            bits.golomb()
    return chroma, bits.golomb(), bits.golomb()


class _Bits:
    """Reads bits from the front, Exp-Golomb codes among them. Raises ValueError past the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the parameter set ends too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise ValueError("the parameter set is damaged")
        return (1 << zeros) - 1 + self.take(zeros)
