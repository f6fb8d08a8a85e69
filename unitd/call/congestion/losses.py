"""What losses mean: chance, the way of this link, or too much sent. Pure."""

LIMIT = 0.10
"""Loss up to here is no reason to send less (draft-ietf-rmcat-gcc-02, 6): a radio link loses packets by itself."""
FEW_PACKETS = 8
"""A share of fewer lost packets than this is chance: a small stream's second covers a few dozen packets."""
BAD_SECONDS = 2
FLOOR_SHARE = 0.8


class LossWatch:
    """Takes the loss of one second after another."""

    def __init__(self) -> None:
        self.floor = 0.0
        """What this link loses whatever is sent: learnt when a smaller stream lost no less."""
        self._bad = 0

    def second(self, loss: float, lost: int) -> bool:
        """Whether the losses by themselves are a reason to send less. `lost` in packets."""
        self._bad = self._bad + 1 if loss > LIMIT + self.floor and lost >= FEW_PACKETS else 0
        return self._bad >= BAD_SECONDS

    def stepped_down(self) -> None:
        """What was lost before says nothing about the smaller stream."""
        self._bad = 0

    def not_ours(self, loss: float) -> None:
        """A smaller stream lost as much: it is the link's own."""
        self.floor = max(self.floor, FLOOR_SHARE * loss)

    def forget(self) -> None:
        self._bad = 0
