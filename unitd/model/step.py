"""`step(state, event, now_ns, settings) -> state`: every transition of the unit, pure and total.

An event that makes no sense in a state changes nothing; `refusal` says why, in words, for the sender of a command.
"""

from collections.abc import Callable

import msgspec

from unitd.model import events as ev
from unitd.model.incident import (
    STAGES,
    DomeGoal,
    Incident,
    Lock,
    Press,
    Settings,
    Stage,
    State,
    UploadGoal,
    WarningGoal,
)

KEPT_PRESSES = 64
"""Presses of one incident that are kept and sent one by one; beyond them only the count rises."""

KEPT_UPLOADS = 16
KEPT_LOCKS = 256


def step(state: State, event: ev.Event, now_ns: int, settings: Settings) -> State:
    """The state after `event` at `now_ns`. Total: never raises, whatever the order of events."""
    match event:
        case ev.Pressed():
            state = _pressed(state, event, now_ns, settings)
        case ev.Raised():
            state = _raise(state, event, event.kind, now_ns)
        case ev.BrokerAcked(press_id):
            state = _mark(state, (press_id,), now_ns, "sent")
        case ev.AlarmReceived(press_ids):
            state = msgspec.structs.replace(_mark(state, press_ids, now_ns, "received"), heard_mono_ns=now_ns)
        case ev.Heard():
            state = msgspec.structs.replace(state, heard_mono_ns=now_ns)
        case ev.Accepted(incident_id, by):
            state = _advance(state, incident_id, "accepted", now_ns, accepted_by=by)
        case ev.Answered(incident_id, by):
            state = _advance(state, incident_id, "answered", now_ns, answered_by=by)
        case ev.Closed():
            state = _closing(state, event, now_ns)
        case ev.DomeMoved():
            limit_ns = min(event.duration_ns, settings.dome_move_limit_ns)
            goal = DomeGoal(state.dome.number + 1, None, event.pan, event.tilt, event.zoom, now_ns + limit_ns)
            state = msgspec.structs.replace(state, dome=goal)
        case ev.DomeStopped():
            state = msgspec.structs.replace(state, dome=DomeGoal(state.dome.number + 1))
        case ev.DomeSent(preset):
            state = _dome_to(state, preset)
        case ev.WarningOrdered(name):
            number = state.warning.number + 1 if state.warning else 1
            state = msgspec.structs.replace(state, warning=WarningGoal(number, name, now_ns))
        case ev.UploadOrdered():
            state = _upload(state, event)
        case ev.UploadEnded(upload_id):
            left = tuple(each for each in state.uploads if each.upload_id != upload_id)
            state = msgspec.structs.replace(state, uploads=left)
        case ev.LockWritten(incident_id):
            owed = tuple(each for each in state.closed_locks if each.incident_id != incident_id)
            state = msgspec.structs.replace(state, closed_locks=owed)
        case ev.ButtonState(watched, stuck):
            state = msgspec.structs.replace(state, button_watched=watched, button_stuck=stuck)
        case ev.Tick():
            pass
    return _time_passed(state, now_ns, settings)


def refusal(state: State, event: ev.Event) -> str | None:
    """Why a command's event would change nothing now, in words for the operator; None when it is good."""
    match event:
        case ev.Accepted(incident_id) | ev.Answered(incident_id) | ev.Closed(incident_id):
            incident = state.incident(incident_id)
            if incident is None:
                return "no such open incident"
            if not incident.active:
                return f"the incident is {incident.stage} already"
    return None


def _pressed(state: State, event: ev.Pressed, now_ns: int, settings: Settings) -> State:
    if any(press.press_id == event.press_id for each in state.incidents for press in each.presses):
        return state  # a latch served twice
    joined = next((each for each in state.incidents if each.kind == "panic" and each.active), None)
    if joined is None:
        state = _raise(state, event, "panic", now_ns)
        return _dome_to(state, settings.panel_preset) if settings.panel_preset is not None else state
    presses = joined.presses
    if len(presses) < KEPT_PRESSES:
        presses = (*presses, Press(event.press_id, event.mono_ns, event.utc_us, event.clock))
    return _put(
        state,
        msgspec.structs.replace(
            joined, presses=presses, count=joined.count + 1, last_press_mono_ns=max(joined.last_press_mono_ns, now_ns)
        ),
    )


def _raise(state: State, event: ev.Pressed | ev.Raised, kind: str, now_ns: int) -> State:
    if state.incident(event.incident_id) is not None:
        return state
    boot = state.boot if event.boot is None else event.boot
    incident = Incident(
        incident_id=event.incident_id,
        kind=kind,  # type: ignore[arg-type]
        stage="raised",
        raised_mono_ns=event.mono_ns,
        raised_utc_us=event.utc_us,
        clock=event.clock,
        stage_mono_ns=now_ns,
        last_press_mono_ns=now_ns,
        since_mono_ns=event.mono_ns if boot == state.boot else now_ns,
        presses=(Press(event.press_id, event.mono_ns, event.utc_us, event.clock),),
        boot=boot,
    )
    return msgspec.structs.replace(state, incidents=(*state.incidents, incident), ended_mono_ns=None)


def _mark(state: State, press_ids: tuple[str, ...], now_ns: int, stage: Stage) -> State:
    """Presses have come one stage further; an incident is as far as its furthest press."""
    for incident in state.incidents:
        if not any(press.press_id in press_ids for press in incident.presses):
            continue
        presses = tuple(
            msgspec.structs.replace(press, sent=True, received=press.received or stage == "received")
            if press.press_id in press_ids
            else press
            for press in incident.presses
        )
        incident = _further(msgspec.structs.replace(incident, presses=presses), stage, now_ns)
        state = _put(state, incident)
    return state


def _advance(state: State, incident_id: str, stage: Stage, now_ns: int, **who: str) -> State:
    incident = state.incident(incident_id)
    if incident is None or not incident.active:
        return state
    return _put(state, _further(msgspec.structs.replace(incident, **who), stage, now_ns))


def _further(incident: Incident, stage: Stage, now_ns: int) -> Incident:
    """Stages only ever rise."""
    if STAGES.index(stage) <= STAGES.index(incident.stage):
        return incident
    return msgspec.structs.replace(incident, stage=stage, stage_mono_ns=now_ns)


def _closing(state: State, event: ev.Closed, now_ns: int) -> State:
    incident = state.incident(event.incident_id)
    if incident is None or not incident.active:
        return state
    incident = msgspec.structs.replace(incident, outcome=event.outcome, closed_by=event.by, note=event.note)
    return msgspec.structs.replace(_put(state, _further(incident, "closing", now_ns)), ended_mono_ns=now_ns)


def _dome_to(state: State, preset: int) -> State:
    return msgspec.structs.replace(state, dome=DomeGoal(state.dome.number + 1, preset))


def _upload(state: State, event: ev.UploadOrdered) -> State:
    if any(each.upload_id == event.upload_id for each in state.uploads):
        return state
    goal = UploadGoal(event.upload_id, event.incident_id, event.url, event.token, event.camera)
    return msgspec.structs.replace(state, uploads=(*state.uploads, goal)[-KEPT_UPLOADS:])


def _put(state: State, incident: Incident) -> State:
    put: Callable[[Incident], Incident] = lambda each: incident if each.incident_id == incident.incident_id else each  # noqa: E731
    return msgspec.structs.replace(state, incidents=tuple(map(put, state.incidents)))


def _time_passed(state: State, now_ns: int, settings: Settings) -> State:
    """Closing becomes closed after the post-roll; a closed incident leaves once all its alarms were received."""
    kept: list[Incident] = []
    for incident in state.incidents:
        if incident.stage == "closing" and now_ns - incident.stage_mono_ns >= settings.post_roll_ns:
            end_ns = incident.stage_mono_ns + settings.post_roll_ns
            incident = msgspec.structs.replace(incident, stage="closed", stage_mono_ns=end_ns)
            lock = lock_of(incident, settings, state.boot)
            state = msgspec.structs.replace(state, closed_locks=(*state.closed_locks, lock)[-KEPT_LOCKS:])
        if incident.open or not all(press.received for press in incident.presses):
            kept.append(incident)
    if len(kept) != len(state.incidents) or any(a is not b for a, b in zip(kept, state.incidents, strict=True)):
        state = msgspec.structs.replace(state, incidents=tuple(kept))
    return state


def lock_of(incident: Incident, settings: Settings, boot_now: int) -> Lock:
    """The footage that belongs to an incident: pre-roll to the end of the post-roll, open-ended until that is known."""
    closed = incident.stage == "closed"
    return Lock(
        incident_id=incident.incident_id,
        from_boot=incident.boot,
        from_mono_ns=max(0, incident.raised_mono_ns - settings.pre_roll_ns),
        to_boot=boot_now if closed else None,
        to_mono_ns=incident.stage_mono_ns if closed else None,
        raised_utc_us=incident.raised_utc_us,
        clock=incident.clock,
        kind=incident.kind,
        outcome=incident.outcome,
    )


def rebooted(state: State, boot: int, now_ns: int) -> State:
    """The state as a new boot finds it: monotonic instants of the old boot mean nothing now and start afresh."""
    if state.boot == boot:
        return state
    renew = {"stage_mono_ns": now_ns, "since_mono_ns": now_ns, "last_press_mono_ns": 0}
    return msgspec.structs.replace(
        state,
        boot=boot,
        incidents=tuple(msgspec.structs.replace(each, **renew) for each in state.incidents),
        button_watched=False,
        button_stuck=False,
        heard_mono_ns=None,
        dome=DomeGoal(state.dome.number + 1, state.dome.preset),
        warning=None,
        ended_mono_ns=None,
    )
