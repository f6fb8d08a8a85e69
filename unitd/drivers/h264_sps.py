"""What an H.264 sequence parameter set says (ITU-T H.264, 7.3.2.1.1 and E.1.1). Pure."""

from dataclasses import dataclass

from unitd.drivers.bits import Bits

MAX_SIDE = 16_384
MAX_REORDER = 16
_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
_EXTENDED_ASPECT = 255


@dataclass(frozen=True)
class Sps:
    """`reorder`: how many pictures at most come before one that is shown earlier; None when it is not said.
    `interlaced`: a picture may come as two fields."""

    width: int
    height: int
    reorder: int | None
    interlaced: bool = False


def picture_size(sps: bytes) -> tuple[int, int]:
    """(width, height). Raises ValueError when the set is damaged."""
    read = read_sps(sps)
    return read.width, read.height


def read_sps(sps: bytes) -> Sps:
    """A sequence parameter set with its head. Raises ValueError when it is damaged."""
    bits = Bits(sps[1:])
    profile = bits.take(8)
    bits.skip(16)
    bits.golomb()
    chroma = _high_profile(bits) if profile in _HIGH else 1
    bits.golomb()
    order = _picture_order(bits)
    bits.golomb()
    bits.skip(1)
    width, height = 16 * (bits.golomb() + 1), 16 * (bits.golomb() + 1)
    interlaced = not bits.take(1)  # else frame_mbs_only_flag
    if interlaced:
        height *= 2
        bits.skip(1)
    bits.skip(1)
    if bits.take(1):
        unit_x = 1 if chroma in (0, 3) else 2
        unit_y = (2 if chroma == 1 else 1) << interlaced
        width -= unit_x * (bits.golomb() + bits.golomb())
        height -= unit_y * (bits.golomb() + bits.golomb())
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"an SPS of {width}x{height}")
    if profile == 66 or order == 2:
        return Sps(width, height, 0, interlaced)
    try:
        return Sps(width, height, _reorder(bits) if bits.take(1) else None, interlaced)
    except ValueError:
        return Sps(width, height, None, interlaced)


def _high_profile(bits: Bits) -> int:
    """Returns chroma_format_idc."""
    chroma = bits.golomb()
    if chroma == 3:
        bits.skip(1)
    bits.golomb()
    bits.golomb()
    bits.skip(1)
    if bits.take(1):
        for number in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _scaling_list(bits, 16 if number < 6 else 64)
    return chroma


def _scaling_list(bits: Bits, size: int) -> None:
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_golomb()) % 256
        last = following or last


def _picture_order(bits: Bits) -> int:
    """Returns pic_order_cnt_type."""
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.skip(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    return order


def _reorder(bits: Bits) -> int | None:
    """max_num_reorder_frames out of the VUI parameters (E.1.1)."""
    if bits.take(1) and bits.take(8) == _EXTENDED_ASPECT:
        bits.skip(32)
    if bits.take(1):
        bits.skip(1)
    if bits.take(1):
        bits.skip(4)
        if bits.take(1):
            bits.skip(24)
    if bits.take(1):
        bits.golomb()
        bits.golomb()
    if bits.take(1):
        bits.skip(65)
    rates = [bits.take(1) and _hypothetical_decoder(bits) for _ in range(2)]
    if any(rates):
        bits.skip(1)
    bits.skip(1)
    if not bits.take(1):
        return None
    bits.skip(1)
    for _ in range(4):
        bits.golomb()
    return min(bits.golomb(), MAX_REORDER)


def _hypothetical_decoder(bits: Bits) -> bool:
    count = bits.golomb() + 1
    bits.skip(8)
    for _ in range(min(count, 32)):
        bits.golomb()
        bits.golomb()
        bits.skip(1)
    bits.skip(20)
    return True
