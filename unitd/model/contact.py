"""The contact of the button, of one line or of two: from edges to presses and to faults of its cable. Pure.

`no`: a contact that closes when pressed. A cut cable is not found by it.
`nc`: a contact that opens when pressed. A cut cable is a press that stays: one alarm and a stuck button.
`no+nc`: both on one actuator, each on a line of its own; each line passes the glitch filter (`model/press.py`):

| NO | NC | is |
|---|---|---|
| closes | opens, or not | a press. NC never opens: `button_disagrees` (one of the two lines is shorted) |
| stays open | opens, closes again within CUT_AFTER_NS | a press, told then; `button_disagrees` (NO's wire is broken) |
| stays open | stays open longer | `button_cable`: the cable is probably cut; no press |
| stays open | closes again within LEAN_NS | a press after all: somebody leaned on a button whose NO wire is broken |
| stays closed (shorted) | opens | a press: NC alone is judged then |

`button_cable` ends when NC is closed again. `button_disagrees` is kept until a press moves both lines: a line that does
not follow looks sound at rest.
"""

from dataclasses import dataclass, replace
from typing import Literal

from unitd.model import press
from unitd.model.press import Accepted, Filter

Kind = Literal["no", "nc", "no+nc"]
Line = Literal["no", "nc"]
Fault = Literal["", "button_cable", "button_disagrees"]

CUT_AFTER_NS = 3_000_000_000
"""NC open alone for this long is a cut cable: longer than the 2 s for which the recommended pulse stretcher holds."""

LEAN_NS = 10_000_000_000
"""NC that closes after more than this was a loose or a mended cable, not a person who leaned on the button."""

APART_NS = 500_000_000
"""Both lines closed for this long disagree: longer than a slow finger takes from one contact to the other."""

UNTOUCHED = Filter()


@dataclass(frozen=True)
class Contact:
    """`no` and `nc` are the filters of the lines; "closed" in them means touched: NO closed, NC open.

    The rest is for two lines. `served`: the present opening of NC has had its press, or is no press. `followed`: NC has
    moved since NO closed; `stirred`: NO has moved since NC opened. `alone_ns`: since when NC is open with NO open;
    `both_ns`: since when NO is closed with NC closed; `deaf`: that has lasted, NO's word is worth nothing now.
    """

    kind: Kind = "no"
    no: Filter = UNTOUCHED
    nc: Filter = UNTOUCHED
    served: bool = False
    followed: bool = False
    stirred: bool = False
    opened_ns: int | None = None
    alone_ns: int | None = None
    both_ns: int | None = None
    deaf: bool = False
    cut: bool = False
    disagrees: bool = False

    @property
    def fault(self) -> Fault:
        """What is wrong with the cable, the worse first."""
        if self.cut:
            return "button_cable"
        return "button_disagrees" if self.disagrees else ""

    @property
    def main(self) -> Filter:
        """The line that a press is known by when all is well."""
        return self.nc if self.kind == "nc" else self.no


def begin(kind: Kind, before: str = "") -> Contact:
    """An untouched contact. `before` is the fault that a predecessor knew: a cable cut already is no new press."""
    two = kind == "no+nc"
    return Contact(kind, cut=two and before == "button_cable", disagrees=two and before == "button_disagrees")


def at_start(state: Contact, no_closed: bool, nc_closed: bool, now_ns: int) -> Contact:
    """What two lines look like when they begin to be watched; a touched line is told by `on_edge` as well."""
    if state.kind != "no+nc" or nc_closed:
        return replace(state, cut=False)
    if not state.cut:
        return state
    opened = Filter(closed=True, edge_ns=now_ns, fired=True)
    return replace(state, nc=opened, opened_ns=now_ns, served=True, alone_ns=None if no_closed else now_ns)


def known_held(state: Contact, since_ns: int) -> Contact:
    """The contact with its main line touched since `since_ns` by a press that was served long ago."""
    held = Filter(closed=True, edge_ns=since_ns, fired=True)
    return replace(state, nc=held) if state.kind == "nc" else replace(state, no=held)


def closed(state: Contact, line: Line) -> bool:
    """Whether the line is closed, going by the edges so far."""
    return state.no.closed if line == "no" else not state.nc.closed


def fresh(state: Contact, line: Line, closed: bool) -> bool:
    """Whether an edge may begin a press, and so is owed a light and a latch."""
    if line == "nc":
        return not closed and not state.nc.fired and (not state.no.fired or state.deaf)
    return closed and not state.no.fired


def on_edge(state: Contact, line: Line, closed: bool, at_ns: int) -> tuple[Contact, list[Accepted]]:
    """Take one edge of one line: what time alone had decided before it comes first. Raises on nothing."""
    state, accepted = on_time(state, at_ns)
    first = closed if line == "no" else not closed
    if line == "no":
        if first and not state.no.closed:
            state = replace(state, stirred=True, followed=state.followed or state.nc.closed)
        no, _ = press.on_edge(state.no, first, at_ns)
        state = replace(state, no=no)
    else:
        if first and not state.nc.closed:
            state = _opens(state, at_ns)
        nc, _ = press.on_edge(state.nc, first, at_ns)
        state = replace(state, nc=nc)
    return _compared(state, at_ns), accepted


def on_time(state: Contact, now_ns: int) -> tuple[Contact, list[Accepted]]:
    """Settle what the passing of time alone decides at `now_ns`."""
    if state.kind != "no+nc":
        return _one_line(state, now_ns)
    told: list[Accepted] = []
    no_held, nc_held = state.no.fired, state.nc.fired
    no, by_no = press.on_time(state.no, now_ns)
    nc, by_nc = press.on_time(state.nc, now_ns)
    state = replace(state, no=no, nc=nc)
    if by_no is not None:
        told.append(_since_first(state, by_no))
    if by_nc is not None and state.deaf:
        told.append(by_nc)
        state = replace(state, served=True)
    if no.fired and not state.deaf:
        state = replace(state, served=True, disagrees=state.disagrees and (state.cut or not nc.fired))
    if state.opened_ns is not None and not nc.closed and press.deadline_ns(nc) is None:  # NC is closed again, for good
        lean = _lean(state) if nc_held else None
        if lean is not None:
            told.append(lean)
            state = replace(state, disagrees=state.disagrees or not state.stirred)
        state = replace(state, cut=False, opened_ns=None, followed=state.followed and no_held)
    if no_held and not no.fired:  # NO is open again, for good
        state = replace(state, disagrees=state.disagrees or not state.followed, followed=nc.closed, deaf=False)
    return _compared(state, now_ns), told


def deadline_ns(state: Contact) -> int | None:
    """When `on_time` has something to decide, if no edge comes first."""
    due = [press.deadline_ns(state.no), press.deadline_ns(state.nc)]
    if state.alone_ns is not None and not state.cut:
        due.append(state.alone_ns + CUT_AFTER_NS)
    if state.both_ns is not None and not state.deaf:
        due.append(state.both_ns + APART_NS)
    return min((each for each in due if each is not None), default=None)


def at_rest(state: Contact) -> bool:
    """Nothing that was touched can still become a press."""
    no_idle = press.deadline_ns(state.no) is None and not state.no.closed
    nc_idle = press.deadline_ns(state.nc) is None and not state.nc.closed
    if state.kind != "no+nc":
        return no_idle and nc_idle
    no_idle = no_idle or (state.deaf and state.no.fired)
    return no_idle and (nc_idle or state.cut or (state.nc.fired and state.served))


def held_ns(state: Contact, now_ns: int) -> int:
    """For how long the button has been held, 0 when it is not."""
    return now_ns - state.main.edge_ns if state.main.closed else 0


def _one_line(state: Contact, now_ns: int) -> tuple[Contact, list[Accepted]]:
    line, accepted = press.on_time(state.main, now_ns)
    state = replace(state, nc=line) if state.kind == "nc" else replace(state, no=line)
    return state, [] if accepted is None else [accepted]


def _opens(state: Contact, at_ns: int) -> Contact:
    if state.opened_ns is not None:  # bounce
        return state
    return replace(state, opened_ns=at_ns, stirred=state.no.closed, served=False, followed=True)


def _since_first(state: Contact, accepted: Accepted) -> Accepted:
    """A press by NO was felt when the first of the two lines moved."""
    if state.opened_ns is None or state.served or state.cut:
        return accepted
    return Accepted(min(accepted.edge_ns, state.opened_ns), accepted.accepted_ns)


def _lean(state: Contact) -> Accepted | None:
    """The press that NC alone tells when it closes again."""
    opened_ns, closed_ns = state.opened_ns, state.nc.edge_ns
    if state.served or opened_ns is None or closed_ns - opened_ns > LEAN_NS:
        return None
    return Accepted(opened_ns, closed_ns + press.REARM_NS)


def _compared(state: Contact, now_ns: int) -> Contact:
    """Both lines side by side: how long they have been saying different things."""
    if state.kind != "no+nc":
        return state
    alone = state.nc.fired and state.nc.closed and not state.no.closed
    both = state.no.fired and state.no.closed and not state.nc.closed
    alone_ns = None if not alone else state.alone_ns if state.alone_ns is not None else now_ns
    both_ns = None if not both else state.both_ns if state.both_ns is not None else now_ns
    cut = state.cut or (alone_ns is not None and now_ns - alone_ns >= CUT_AFTER_NS)
    deaf = state.deaf or (both_ns is not None and now_ns - both_ns >= APART_NS)
    return replace(
        state, alone_ns=alone_ns, both_ns=both_ns, cut=cut, deaf=deaf, disagrees=state.disagrees or (deaf and both)
    )
