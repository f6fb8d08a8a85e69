"""What an H.265 sequence parameter set says (ITU-T H.265, 7.3.2.2 and 7.3.3). Pure."""

from dataclasses import dataclass

from unitd.drivers.bits import Bits
from unitd.drivers.h264_sps import MAX_REORDER, MAX_SIDE, Sps

_PROFILE_BITS, _LEVEL_BITS = 88, 8


@dataclass(frozen=True)
class H265Sps(Sps):
    number: int = 0


def read_sps(sps: bytes) -> H265Sps:
    """A sequence parameter set with its head of two bytes. Raises ValueError when it is damaged."""
    bits = Bits(sps[2:])
    bits.skip(4)
    layers = bits.take(3)
    bits.skip(1)
    _profile_tier_level(bits, layers)
    number = bits.golomb()
    chroma = bits.golomb()
    if chroma == 3:
        bits.skip(1)
    width, height = bits.golomb(), bits.golomb()
    if bits.take(1):
        unit_x = 2 if chroma in (1, 2) else 1
        unit_y = 2 if chroma == 1 else 1
        width -= unit_x * (bits.golomb() + bits.golomb())
        height -= unit_y * (bits.golomb() + bits.golomb())
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE) or number > 15:
        raise ValueError(f"an SPS of {width}x{height}")
    bits.golomb()
    bits.golomb()
    bits.golomb()
    reorder = 0
    for _ in range(layers + 1 if bits.take(1) else 1):
        bits.golomb()
        reorder = bits.golomb()  # the last is the highest layer's
        bits.golomb()
    return H265Sps(width, height, min(reorder, MAX_REORDER), number=number)


def _profile_tier_level(bits: Bits, layers: int) -> None:
    bits.skip(_PROFILE_BITS + _LEVEL_BITS)
    if not layers:
        return
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    bits.skip(2 * (8 - layers))
    for profile, level in present:
        bits.skip(_PROFILE_BITS * profile + _LEVEL_BITS * level)
