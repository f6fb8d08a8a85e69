"""Bits of a parameter set, as H.264 and H.265 code them (ITU-T H.264, 7.2 and 9.1; H.265, 7.2 and 9.2). Pure."""

_EMULATION = b"\x00\x00\x03"


class Bits:
    """Reads from the front of a NAL unit's payload, emulation prevention taken out. Raises ValueError at its end."""

    def __init__(self, payload: bytes) -> None:
        data = payload.replace(_EMULATION, b"\x00\x00")
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("a parameter set ends too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        self.take(count)

    def golomb(self) -> int:
        """ue(v)"""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise ValueError("a parameter set is damaged")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        """se(v)"""
        code = self.golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)
