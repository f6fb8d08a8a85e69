"""Stills at the rate that is left: how large and how good each may be, and when the next is due. Pure."""

from dataclasses import dataclass

from unitd.messages.duplex import MAX_STILL_BYTES

PERIOD_S = 1.0
"""One a second at most."""
LONGEST_S = 1.5
"""That one still may take on its way: a picture at least every two seconds, while the link carries the smallest."""
LEAST_BIT_S = 16_000.0
SHARE = 0.9
"""Of the rate: packets have headers, and the last still must be gone when the next is made."""


@dataclass(frozen=True, slots=True)
class StillSize:
    """A still: its short side at most, and JPEG's quality."""

    short_side: int
    quality: int
    bit_per_pixel: float
    """What a street scene takes; learnt anew from every still that is made."""


SIZES = (
    StillSize(720, 60, 0.75),
    StillSize(540, 60, 0.75),
    StillSize(360, 65, 0.80),
    StillSize(360, 45, 0.62),
    StillSize(270, 45, 0.75),
    StillSize(270, 30, 0.60),
    StillSize(180, 40, 0.95),
    StillSize(180, 25, 0.75),
    StillSize(120, 25, 1.15),
)
"""Best first."""


def budget_bytes(bit_s: float) -> int:
    """What one still may take, so that one a second goes."""
    return min(MAX_STILL_BYTES, int(max(bit_s, LEAST_BIT_S) * SHARE * PERIOD_S / 8))


def most_bytes(bit_s: float) -> int:
    """What one that has turned out larger may take, before it is made again smaller."""
    return min(MAX_STILL_BYTES, int(max(bit_s, LEAST_BIT_S) * SHARE * LONGEST_S / 8))


def period_s(size_bytes: int, bit_s: float) -> float:
    """How long after a still of this size the next may begin."""
    return max(PERIOD_S, size_bytes * 8 / (SHARE * max(bit_s, LEAST_BIT_S)))


class StillChooser:
    """Remembers what this scene's stills took for each size, and says which fits."""

    def __init__(self) -> None:
        self._scene = 1.0
        """How much more than a street scene this one takes."""

    def choose(self, bit_s: float, shape: tuple[int, int], below: StillSize | None = None) -> StillSize:
        """The best size that fits the rate (and is worse than `below`); the smallest when none does."""
        first = SIZES.index(below) + 1 if below is not None else 0
        budget = budget_bytes(bit_s)
        for size in SIZES[first:]:
            if size.short_side > min(shape) and size is not SIZES[-1]:
                continue
            if self._expected_bytes(size, shape) <= budget:
                return size
        return SIZES[-1]

    def learn(self, size: StillSize, shape: tuple[int, int], made_bytes: int) -> None:
        """One has been made."""
        self._scene = min(8.0, max(0.1, self._scene * made_bytes / max(1.0, self._expected_bytes(size, shape))))

    def _expected_bytes(self, size: StillSize, shape: tuple[int, int]) -> float:
        factor = min(1.0, size.short_side / min(shape))
        return shape[0] * shape[1] * factor * factor * size.bit_per_pixel * self._scene / 8
