"""The voice's share, taken before the picture's. Pure."""

RATES_BIT_S = ((400_000.0, 32_000), (200_000.0, 28_000), (150_000.0, 24_000), (0.0, 16_000))
"""From which capacity on which rate (RFC 6716: 16 kbit/s is wide band speech, 24 and more is hardly told from the
original)."""
UP_FACTOR = 1.2
PACKETS_PER_S = 50
LOSSY_S, FIRST_S = 30.0, 5.0
"""For so long after a packet was lost, and at the beginning, a link counts as one that loses."""
PACKET_BYTES = 58
"""Of each packet beside Opus: RTP 12, transport-wide number 8, and the 38 of the wire."""


class VoicePlan:
    def __init__(self) -> None:
        self.bit_s = RATES_BIT_S[0][1]
        self.is_lossy = True
        self._lossy_until_s: float | None = None

    @property
    def cost_bit_s(self) -> float:
        """On the wire."""
        return self.bit_s + 8 * PACKETS_PER_S * PACKET_BYTES

    def follow(self, capacity_bit_s: float | None, loss: float, now_s: float) -> None:
        """Take the rate for this capacity; up again only when it is well above the threshold. `loss` is the share lost
        just now."""
        if loss > 0 or self._lossy_until_s is None:
            self._lossy_until_s = now_s + (LOSSY_S if loss > 0 else FIRST_S)
        self.is_lossy = now_s < self._lossy_until_s
        capacity_bit_s = RATES_BIT_S[0][0] * UP_FACTOR if capacity_bit_s is None else capacity_bit_s
        wanted = next(rate for least, rate in RATES_BIT_S if capacity_bit_s >= least)
        if wanted > self.bit_s:
            above = [rate for least, rate in RATES_BIT_S if rate > self.bit_s and capacity_bit_s >= UP_FACTOR * least]
            wanted = above[0] if above else self.bit_s
        self.bit_s = wanted
