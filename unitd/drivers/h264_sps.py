"""The picture's size in an H.264 sequence parameter set (ITU-T H.264, 7.3.2.1.1). Pure."""

MAX_SIDE = 16_384


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
    if not bits.take(1):
        raise ValueError(
            "interlaced pictures in the SPS"
        )  # two units may make one picture; the other driver joins them
    bits.take(1)
    if bits.take(1):
        unit_x = 1 if chroma in (0, 3) else 2
        unit_y = 2 if chroma == 1 else 1
        width -= unit_x * (bits.golomb() + bits.golomb())
        height -= unit_y * (bits.golomb() + bits.golomb())
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
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
