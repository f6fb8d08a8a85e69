"""What the passing of time alone does to the unit. Pure, and the same however often it is asked."""

import msgspec

from unitd.model import guard, live, periodic_test, routes, watch
from unitd.model.incident import Incident, Settings, State
from unitd.model.stages import closing, lock_of, put

KEPT_LOCKS = 256
KEPT_UNRECEIVED = 1024
"""Presses of ended incidents that wait to be received; beyond them the oldest keep one press each, and their count."""
UNIT = "unit"
"""Who closes an incident at its limit."""


def time_passed(state: State, now_ns: int, settings: Settings) -> State:
    """Everything that is due at `now_ns`: limits and the words before them, the end of closing, the ladder of routes,
    the end of an isolation or a watch."""
    if state.isolation is not None and now_ns >= state.isolation.until_mono_ns:
        state = msgspec.structs.replace(state, isolation=None)
    state = watch.passed(state, now_ns)
    if not state.incidents:
        return state
    for incident in state.incidents:
        state = _ended(state, incident, now_ns, settings)
    return routes.escalated(_left(state, now_ns, settings), now_ns, settings)


def next_ns(state: State, settings: Settings) -> list[int]:
    """The instants at which `time_passed` will do something, some of them perhaps past."""
    found = [each.until_mono_ns for each in (state.isolation, state.watch) if each is not None]
    for incident in state.incidents:
        if incident.stage == "closing":
            found.append(incident.stage_mono_ns + settings.post_roll_ns)
        rungs = (
            guard.closes_ns(incident, settings),
            guard.tells_ns(incident, settings),
            live.unanswered_ns(incident, settings),
            periodic_test.ends_ns(incident, settings),
            routes.next_rung_ns(incident, settings.routes),
        )
        found += [each for each in rungs if each is not None]
    return found


def _ended(state: State, incident: Incident, now_ns: int, settings: Settings) -> State:
    at_ns = periodic_test.ends_ns(incident, settings)
    if at_ns is not None and now_ns >= at_ns:
        if incident.reached("accepted"):
            return closing(state, incident, now_ns, by=UNIT, outcome="test", note="the test alarm was answered")
        state = msgspec.structs.replace(state, test_unanswered=True)
        return closing(state, incident, now_ns, by=UNIT, outcome="fault", note="nobody answered the test alarm")
    at_ns = guard.closes_ns(incident, settings)
    if at_ns is not None and now_ns >= at_ns:
        return closing(state, incident, now_ns, by=UNIT, outcome="unknown", note="the configured closing limit")
    told = live.told(guard.told(incident, now_ns, settings), now_ns, settings)
    return state if told is incident else put(state, told)


def _left(state: State, now_ns: int, settings: Settings) -> State:
    """Closing becomes closed after the post-roll; a closed incident leaves once all its alarms were received,
    where there is anybody to receive them."""
    kept: list[Incident] = []
    for incident in state.incidents:
        if incident.stage == "closing" and now_ns - incident.stage_mono_ns >= settings.post_roll_ns:
            end_ns = incident.stage_mono_ns + settings.post_roll_ns
            incident = msgspec.structs.replace(incident, stage="closed", stage_mono_ns=end_ns)
            lock = lock_of(incident, settings, state.boot, state.utc_offset_us)
            state = msgspec.structs.replace(state, closed_locks=(*state.closed_locks, lock)[-KEPT_LOCKS:])
        if incident.open or not (settings.alone or all(press.received for press in incident.presses)):
            kept.append(incident)
    kept = _thinned(kept)
    if len(kept) != len(state.incidents) or any(a is not b for a, b in zip(kept, state.incidents, strict=True)):
        state = msgspec.structs.replace(state, incidents=tuple(kept))
    return state


def _thinned(incidents: list[Incident]) -> list[Incident]:
    """A month without a control room must not fill the memory: each ended incident still tells of itself."""
    excess = sum(len(each.presses) for each in incidents if not each.open) - KEPT_UNRECEIVED
    if excess <= 0:
        return incidents
    thinned: list[Incident] = []
    for incident in incidents:
        if excess > 0 and not incident.open and len(incident.presses) > 1:
            excess -= len(incident.presses) - 1
            first = next((press for press in incident.presses if not press.received), incident.presses[0])
            incident = msgspec.structs.replace(incident, presses=(first,))
        thinned.append(incident)
    return thinned
