"""Who is asked to answer, and when: two timetables, until an alarm is received and until it is answered. Pure.

Every broker is given every alarm at once; this is about whom the unit *asks* besides: further control rooms, in the
order of the configuration and those on duty first, and duty numbers by text message. It goes on for ever, with longer
and longer pauses, until an operator has answered or the incident has ended.
"""

import uuid

import msgspec

from unitd.model.incident import Incident, Routes, Settings, SmsGoal, State

URGENT = ("panic", "voice")
"""Incidents of a person. A test or a machine's own alarm wakes nobody by text message."""


def escalated(state: State, now_ns: int, settings: Settings) -> State:
    """The state with every rung of the ladder that is due at `now_ns`; the same state when none is."""
    if not state.incidents:
        return state
    climbed = tuple(_climb(each, state.on_duty, now_ns, settings.routes) for each in state.incidents)
    if all(new is old for new, old in zip(climbed, state.incidents, strict=True)):
        return state
    return msgspec.structs.replace(state, incidents=climbed)


def next_rung_ns(incident: Incident, routes: Routes) -> int | None:
    """When time alone climbs further; None when nothing is left to climb."""
    if not incident.unanswered:
        return None
    instants = []
    if _not_asked(incident, routes):
        instants.append(_ask_due_ns(incident, routes))
    if routes.numbers and incident.kind in URGENT:
        instants.append(_sms_due_ns(incident, routes))
    return min(instants, default=None)


def sms_sent(state: State, sms_id: str) -> State:
    """The modem has handed this message over."""
    for incident in state.incidents:
        left = tuple(each for each in incident.sms if each.sms_id != sms_id)
        if len(left) != len(incident.sms):
            incidents = tuple(
                msgspec.structs.replace(each, sms=left) if each is incident else each for each in state.incidents
            )
            return msgspec.structs.replace(state, incidents=incidents)
    return state


def _climb(incident: Incident, on_duty: tuple[str, ...] | None, now_ns: int, routes: Routes) -> Incident:
    if not incident.unanswered:
        return msgspec.structs.replace(incident, sms=()) if incident.sms else incident
    if incident.sms and incident.reached("received") and not incident.sms[0].received:
        incident = msgspec.structs.replace(incident, sms=())  # it said "not received", which is no longer so
    while _not_asked(incident, routes) and now_ns >= _ask_due_ns(incident, routes):
        rung_ns = _ask_due_ns(incident, routes)
        asked = (*incident.asked, _next_room(incident, on_duty, routes))
        incident = msgspec.structs.replace(incident, asked=asked, asked_mono_ns=rung_ns)
    if routes.numbers and incident.kind in URGENT and now_ns >= _sms_due_ns(incident, routes):
        incident = _text(incident, on_duty, now_ns, routes)
    return incident


def _ask_due_ns(incident: Incident, routes: Routes) -> int:
    if not incident.asked:
        return incident.since_mono_ns
    if incident.reached("received"):
        return _waited_from(incident) + routes.unanswered_ask_next_ns
    return incident.asked_mono_ns + routes.unreceived_ask_next_ns


def _waited_from(incident: Incident) -> int:
    """From when an answer is waited for: the last room's asking, or the word that the alarm was received."""
    return max(incident.asked_mono_ns, incident.received_mono_ns or 0)


def _sms_due_ns(incident: Incident, routes: Routes) -> int:
    """The first message of a timetable after its limit, the others with doubling pauses."""
    if incident.sms_rounds == 0 or (incident.reached("received") and not incident.sms_received):
        if incident.received_mono_ns is None:
            return incident.since_mono_ns + routes.unreceived_sms_ns
        return incident.received_mono_ns + routes.unanswered_sms_ns
    pause_ns = routes.sms_again_ns << min(incident.sms_rounds - 1, 16)
    return incident.sms_mono_ns + min(pause_ns, routes.sms_longest_pause_ns)


def _not_asked(incident: Incident, routes: Routes) -> list[str]:
    """By name, not by number: rooms may have been renamed while core was restarted."""
    return [room for room in routes.rooms if room not in incident.asked]


def _next_room(incident: Incident, on_duty: tuple[str, ...] | None, routes: Routes) -> str:
    left = _not_asked(incident, routes)
    return next((room for room in left if on_duty is None or room in on_duty), left[0])


def _text(incident: Incident, on_duty: tuple[str, ...] | None, now_ns: int, routes: Routes) -> Incident:
    """One more round: a message to every number on duty (all of them when none is, or when nobody knows the hour) but
    to one whose last message has not left yet."""
    received = incident.reached("received")
    first = received and not incident.sms_received
    rounds = 1 if first else incident.sms_rounds + 1
    due = [each for each in routes.numbers if on_duty is None or each.name in on_duty] or list(routes.numbers)
    waiting = {each.number for each in incident.sms}
    fresh = tuple(
        SmsGoal(_sms_id(incident.incident_id, each.number, rounds, received), each.number, received)
        for each in due
        if each.number not in waiting
    )
    return msgspec.structs.replace(
        incident, sms=(*incident.sms, *fresh), sms_rounds=rounds, sms_mono_ns=now_ns, sms_received=received
    )


def _sms_id(incident_id: str, number: str, rounds: int, received: bool) -> str:
    """The same message has the same id after a restart, so that it is not sent twice."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sms/{incident_id}/{number}/{rounds}/{received}"))
