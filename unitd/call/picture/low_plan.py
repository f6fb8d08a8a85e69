"""The low step: which size and how many pictures a second for which rate. Pure.

Bits for each pixel decide how a re-encoded picture looks: with x264's quick presets a street scene is clean at 0.1 bit
and still readable at 0.07 (the simulator's street, by eye).
"""

from dataclasses import dataclass

LEAST_BIT_S = 60_000
MOST_BIT_S = 600_000
UP_FACTOR = 1.25
"""A larger picture has to be worth its new keyframe: the rate must be this much above its threshold."""


@dataclass(frozen=True, slots=True)
class LowPlan:
    """`short_side` is the lesser of width and height at most; `fps` the pictures a second at most."""

    from_bit_s: int
    short_side: int
    fps: int


LADDER = (
    LowPlan(260_000, 360, 15),
    LowPlan(150_000, 270, 15),
    LowPlan(100_000, 270, 10),
    LowPlan(70_000, 180, 10),
    LowPlan(0, 180, 5),
)
"""Best first."""


def plan_for(bit_s: float, now: LowPlan | None = None) -> LowPlan:
    """The plan for a rate. With `now` in force, a better one is taken only from UP_FACTOR of its threshold on."""
    wanted = next(plan for plan in LADDER if bit_s >= plan.from_bit_s)
    if now is None or wanted.from_bit_s <= now.from_bit_s:
        return wanted
    better = [plan for plan in LADDER if plan.from_bit_s > now.from_bit_s and bit_s >= UP_FACTOR * plan.from_bit_s]
    return better[0] if better else now


def bounded(bit_s: float) -> int:
    """The rate that an encoder is given."""
    return int(min(max(bit_s, LEAST_BIT_S), MOST_BIT_S))


def scaled(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The size to encode: the source's shape, its short side `short_side` at most, never enlarged, both even."""
    factor = min(1.0, short_side / max(1, min(width, height)))
    return max(2, 2 * round(width * factor / 2)), max(2, 2 * round(height * factor / 2))


class FrameGate:
    """Lets `fps` pictures a second through, evenly, by their own times. Half a picture early is in time: a camera's
    clock is not ours."""

    def __init__(self) -> None:
        self._due_ns: int | None = None

    def passes(self, pts_ns: int, fps: int) -> bool:
        """Whether this picture is to be shown; a time line that jumps begins anew."""
        step_ns = 1_000_000_000 // fps
        due_ns = self._due_ns
        if due_ns is None or abs(pts_ns - due_ns) > 4 * step_ns:
            self._due_ns = pts_ns + step_ns
            return True
        if pts_ns < due_ns - step_ns // 4:
            return False
        self._due_ns = max(due_ns, pts_ns - step_ns) + step_ns
        return True
