"""What a link does to packets, one way and over time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Shape:
    """One way of a link. `kbit_s` None: no limit. `queue_ms`: what waits for more than this is dropped, as the time it
    takes at the present rate. `delay_ms` is for one way. `jitter_ms`: up to so much is added, evenly spread, drawn
    anew every JITTER_SLOT_S for all packets of that slot, in order (a scheduler's way); with `reorder`, for each packet
    by itself, which may overtake. `loss`: share, each packet by itself. `cut`: nothing passes."""

    kbit_s: float | None = None
    queue_ms: float = 300.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    reorder: bool = False
    loss: float = 0.0
    cut: bool = False


@dataclass(frozen=True)
class Moment:
    """From `at_s` of the case on: the link both ways, and what else happens then."""

    at_s: float
    up: Shape
    down: Shape
    upload: bool = False
    """A greedy TCP flow from the unit's side, through the same bottleneck."""
    way: int = 0
    """Which of the unit's two interfaces is up: a change is a change of address."""
    address: int = 0
    """Which address that interface has."""


def both(at_s: float, shape: Shape, *, upload: bool = False, way: int = 0, address: int = 0) -> Moment:
    """The same both ways."""
    return Moment(at_s, shape, shape, upload=upload, way=way, address=address)


def scaled(moments: tuple[Moment, ...], factor: float) -> tuple[Moment, ...]:
    """The same in a shorter or longer case."""
    return tuple(replace(each, at_s=each.at_s * factor) for each in moments)
