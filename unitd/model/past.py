"""What a unit remembers of earlier calls for help, so that an operator sees how often it was a hoax. Pure.

It is shown, and that is all: no call is delayed, muted or judged by it.
"""

import msgspec

from unitd.model.events import Pressed, Raised
from unitd.model.incident import Incident, Past, State

RECENT_NS = 24 * 3_600_000_000_000
KEPT = 64
TRUSTED = ("synced", "held")


def remembered(state: State, event: Pressed | Raised) -> tuple[State, int, int]:
    """The state with this incident in its memory, and how many of the last day came before it and were hoaxes."""
    recent = [each for each in state.past if _is_recent(each, state.boot, event)]
    boot = state.boot if event.boot is None else event.boot
    one = Past(event.incident_id, boot, event.mono_ns, event.utc_us, event.clock)
    state = msgspec.structs.replace(state, past=(*state.past, one)[-KEPT:])
    return state, len(recent), sum(each.outcome == "hoax" for each in recent)


def judged(state: State, incident: Incident) -> State:
    """The state that knows what the operator called `incident`."""
    past = tuple(
        msgspec.structs.replace(each, outcome=incident.outcome) if each.incident_id == incident.incident_id else each
        for each in state.past
    )
    return msgspec.structs.replace(state, past=past)


def _is_recent(past: Past, boot_now: int, event: Pressed | Raised) -> bool:
    boot = boot_now if event.boot is None else event.boot
    if past.boot == boot:
        return event.mono_ns - past.mono_ns < RECENT_NS
    if past.clock in TRUSTED and event.clock in TRUSTED:
        return 0 <= event.utc_us - past.utc_us < RECENT_NS // 1000
    return False  # nobody knows how long the unit was without power
