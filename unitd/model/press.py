"""The glitch filter: from raw edges of a contact to accepted presses, by timestamps alone.

It latches and never averages: once the contact has been closed without a break for ACCEPT_NS a press is accepted, and
the next can come only after the contact was open without a break for REARM_NS. So bounce of up to 10 ms followed by
20 ms closed fires once, isolated closures under 5 ms never fire, and a contact that is leaned on fires once.
"""

from dataclasses import dataclass, replace

ACCEPT_NS = 8_000_000
"""Closed this long without a break = a press: longer than a spark or a cable's crosstalk, shorter than any finger."""

REARM_NS = 50_000_000
"""Open this long without a break before the next press can be accepted; release bounce is shorter."""


@dataclass(frozen=True)
class Filter:
    """`edge_ns` is the last edge; `first_edge_ns` the first closing edge of the press in the making."""

    closed: bool = False
    edge_ns: int = 0
    first_edge_ns: int | None = None
    fired: bool = False


@dataclass(frozen=True)
class Accepted:
    """A press: when the finger first touched, and when the filter was sure."""

    edge_ns: int
    accepted_ns: int


def on_edge(state: Filter, closed: bool, at_ns: int) -> tuple[Filter, Accepted | None]:
    """Take one edge. What had to be accepted or re-armed before it is settled first. Repeated levels are ignored."""
    state, accepted = on_time(state, at_ns)
    if closed == state.closed:
        return state, accepted
    first = state.first_edge_ns
    if closed and not state.fired and first is None:
        first = at_ns
    return replace(state, closed=closed, edge_ns=at_ns, first_edge_ns=first), accepted


def on_time(state: Filter, now_ns: int) -> tuple[Filter, Accepted | None]:
    """Settle what the passing of time alone decides at `now_ns`."""
    held_ns = now_ns - state.edge_ns
    if state.closed and not state.fired and held_ns >= ACCEPT_NS:
        first = state.first_edge_ns if state.first_edge_ns is not None else state.edge_ns
        return replace(state, fired=True, first_edge_ns=None), Accepted(first, state.edge_ns + ACCEPT_NS)
    if not state.closed and held_ns >= REARM_NS and (state.fired or state.first_edge_ns is not None):
        return replace(state, fired=False, first_edge_ns=None), None
    return state, None


def deadline_ns(state: Filter) -> int | None:
    """When `on_time` has something to decide, if no edge comes first."""
    if state.closed:
        return None if state.fired else state.edge_ns + ACCEPT_NS
    pending = state.fired or state.first_edge_ns is not None
    return state.edge_ns + REARM_NS if pending else None
