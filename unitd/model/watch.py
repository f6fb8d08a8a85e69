"""Watching outside an incident: picture alone, or with the operator's voice on the horn. Pure.

One person at a time, for a bounded time, with a reason; the microphone stays shut in all of it (model/microphone.py).
An incident, whatever its kind, ends it: its call shows the picture.
"""

from msgspec.structs import replace

from unitd.model import events as ev
from unitd.model.call_goals import Watched, WatchGoal
from unitd.model.incident import State

LONGEST_NS = 3_600_000_000_000
UNIT = "unit"
"""Who ends a watch when its time is over, an incident begins, or the machine was restarted."""


def begun(state: State, event: ev.WatchOrdered, now_ns: int) -> State:
    """The state in which `event.by` watches; the same when `refusal` has something against it. Who watches already
    goes on, under the same id, for as long as is ordered now."""
    if refusal(state, event) is not None:
        return state
    old = state.watch
    until_ns = now_ns + min(event.for_ns, LONGEST_NS)
    goal = WatchGoal(
        watch_id=old.watch_id if old is not None else event.watch_id,
        by=event.by,
        reason=event.reason,
        began_mono_ns=old.began_mono_ns if old is not None else now_ns,
        until_mono_ns=until_ns,
        announce=event.announce,
        room=event.room,
        boot=state.boot,
    )
    return replace(state, watch=goal)


def ended(state: State, by: str, reason: str, now_ns: int) -> State:
    """The state in which nobody watches any more."""
    old = state.watch
    if old is None:
        return state
    seconds = None if old.boot != state.boot else max(0, now_ns - old.began_mono_ns) // 1_000_000_000
    return replace(state, watch=None, watched=Watched(old.watch_id, old.by, by, reason, seconds))


def passed(state: State, now_ns: int) -> State:
    """What time, an incident or a restart of the machine does to a watch."""
    if state.watch is None:
        return state
    if any(each.open for each in state.incidents):
        return ended(state, UNIT, "an incident began", now_ns)
    if state.watch.boot != state.boot:
        return ended(state, UNIT, "the machine was restarted", now_ns)
    if now_ns >= state.watch.until_mono_ns:
        return ended(state, UNIT, "its time was over", now_ns)
    return state


def _same_person(watch: WatchGoal, event: ev.WatchOrdered) -> bool:
    """By name, and two control rooms that may both have such a one are not taken for one where they are known."""
    return watch.by == event.by and (watch.room == event.room or "" in (watch.room, event.room))


def refusal(state: State, event: ev.WatchOrdered | ev.WatchEnded) -> str | None:
    """Why the order would change nothing now, in words for the operator; None when it is good."""
    if isinstance(event, ev.WatchEnded):
        return "nobody is watching" if state.watch is None else None
    if any(each.active for each in state.incidents):
        return "answer opens the voices" if event.announce else "the call shows it"
    if any(each.open for each in state.incidents):
        return "an incident is closing: try again in a moment"
    if state.watch is not None and not _same_person(state.watch, event):
        return f"{state.watch.by} is watching already"
    return None
