"""`step(state, event, now_ns, settings) -> state`: every transition of the unit, pure and total.

An event that makes no sense in a state changes nothing; `refusal` says why, in words, for the sender of a command.
"""

import msgspec

from unitd.model import events as ev
from unitd.model import guard, live, periodic_test, routes, watch
from unitd.model.call_goals import Guard
from unitd.model.incident import (
    DomeGoal,
    Incident,
    Isolation,
    Origin,
    Press,
    Release,
    Settings,
    Stage,
    State,
    UploadGoal,
    WarningGoal,
)
from unitd.model.passing import time_passed
from unitd.model.past import remembered
from unitd.model.stages import closing, further, put

KEPT_PRESSES = 64
"""Presses of one incident that are kept and sent one by one; beyond them only the count rises."""

KEPT_UPLOADS = 16
KEPT_RELEASES = 16
KEPT_RAISED = 8
"""Incidents of one kind that no press started: what trembles in the wind must not crowd out a person."""
LONGEST_ISOLATION_NS = 8 * 3_600_000_000_000
LONGEST_EXTENSION_NS = 24 * 3_600_000_000_000
RESTS_IN_ISOLATION = ("intrusion", "tamper")


def step(state: State, event: ev.Event, now_ns: int, settings: Settings) -> State:
    """The state after `event` at `now_ns`. Total: never raises, whatever the order of events."""
    match event:
        case ev.Pressed():
            state = _pressed(state, event, now_ns, settings)
        case ev.Raised():
            state = _raised(state, event, now_ns)
        case ev.BrokerAcked(press_id):
            state = _mark(state, (press_id,), now_ns, "sent")
        case ev.AlarmReceived(press_ids):
            state = msgspec.structs.replace(_mark(state, press_ids, now_ns, "received"), heard_mono_ns=now_ns)
        case ev.Heard():
            state = msgspec.structs.replace(state, heard_mono_ns=now_ns)
        case ev.Accepted(incident_id, by, room):
            state = _advance(state, incident_id, "accepted", now_ns, room, accepted_by=by)
        case ev.Answered(incident_id, by, room):
            state = _advance(state, incident_id, "answered", now_ns, room, answered_by=by)
        case ev.Closed():
            incident = state.incident(event.incident_id)
            if incident is not None and incident.active:
                if incident.origin == "periodic":
                    state = msgspec.structs.replace(state, test_unanswered=False)
                known = further(incident, "received", now_ns)  # by who closes it, if by nobody else
                state = closing(state, known, now_ns, by=event.by, outcome=event.outcome, note=event.note)
        case ev.Extended(incident_id, _, for_ns):
            incident = state.incident(incident_id)
            if incident is not None and incident.active:
                until_ns = now_ns + min(for_ns, LONGEST_EXTENSION_NS)
                state = put(state, guard.extended(incident, until_ns, now_ns))
        case ev.Isolated(by, reason, for_ns):
            until_ns = now_ns + min(for_ns, LONGEST_ISOLATION_NS)
            state = msgspec.structs.replace(state, isolation=Isolation(by, reason, until_ns))
        case ev.IsolationEnded():
            state = msgspec.structs.replace(state, isolation=None)
        case ev.DutyKnown(on_duty):
            state = msgspec.structs.replace(state, on_duty=on_duty)
        case ev.ClockKnown(offset_us):
            state = _clock_known(state, offset_us)
        case ev.SmsSent(sms_id):
            state = routes.sms_sent(state, sms_id)
        case ev.DomeMoved():
            limit_ns = min(event.duration_ns, settings.dome_move_limit_ns)
            goal = DomeGoal(state.dome.number + 1, None, event.pan, event.tilt, event.zoom, now_ns + limit_ns)
            state = msgspec.structs.replace(state, dome=goal)
        case ev.DomeStopped():
            state = msgspec.structs.replace(state, dome=DomeGoal(state.dome.number + 1))
        case ev.DomeSent(preset):
            state = _dome_to(state, preset)
        case ev.WarningOrdered(name):
            state = _warn(state, name, now_ns)
        case ev.SpeechOrdered(text, language):
            state = _warn(state, "", now_ns, text, language)
        case ev.DialledBack() | ev.HandedOver() | ev.SoundSet() | ev.TextSent() | ev.SnapshotOrdered():
            state = live.ordered(state, event, now_ns, settings)
        case ev.OnLine(incident_id, connected):
            incident = state.incident(incident_id)
            if incident is not None and incident.active:
                state = put(state, guard.on_line(incident, connected, now_ns))
        case ev.WatchOrdered():
            state = watch.begun(state, event, now_ns)
        case ev.WatchEnded(by):
            state = watch.ended(state, by, "", now_ns)
        case ev.UploadOrdered():
            state = _upload(state, event)
        case ev.UploadEnded(upload_id):
            left = tuple(each for each in state.uploads if each.upload_id != upload_id)
            state = msgspec.structs.replace(state, uploads=left)
        case ev.LockWritten(incident_id):
            owed = tuple(each for each in state.closed_locks if each.incident_id != incident_id)
            state = msgspec.structs.replace(state, closed_locks=owed)
        case ev.LockReleased(incident_id, by, reason):
            if refusal(state, event) is None:
                wanted = (*state.releases, Release(incident_id, by, reason))
                state = msgspec.structs.replace(state, releases=wanted)
        case ev.LockGone(incident_id):
            left_over = tuple(each for each in state.releases if each.incident_id != incident_id)
            state = msgspec.structs.replace(state, releases=left_over)
        case ev.ButtonState(watched, stuck, fault):
            state = msgspec.structs.replace(state, button_watched=watched, button_stuck=stuck, button_fault=fault)
        case ev.Tick():
            pass
    return time_passed(state, now_ns, settings)


def refusal(state: State, event: ev.Event, now_ns: int | None = None) -> str | None:
    """Why a command's event would change nothing now, in words for the operator; None when it is good."""
    match event:
        case ev.DialledBack() | ev.HandedOver() | ev.SoundSet() | ev.TextSent() | ev.SnapshotOrdered():
            return live.refusal(state, event, now_ns)
        case ev.WatchOrdered() | ev.WatchEnded():
            return watch.refusal(state, event)
        case ev.Accepted(incident_id) | ev.Answered(incident_id) | ev.Closed(incident_id) | ev.Extended(incident_id):
            incident = state.incident(incident_id)
            if incident is None:
                return "no such open incident"
            if not incident.active:
                return f"the incident is {incident.stage} already"
            if isinstance(event, ev.Extended) and incident.origin == "periodic":
                return "a periodic test ends by itself"
        case ev.LockReleased(incident_id):
            incident = state.incident(incident_id)
            if incident is not None and incident.open:
                return "the incident is open still: close it first"
            if any(each.incident_id == incident_id for each in state.releases):
                return "the lock is being released already"
            if len(state.releases) >= KEPT_RELEASES:
                return f"{KEPT_RELEASES} releases wait for the disk already"
        case ev.IsolationEnded() if state.isolation is None:
            return "the unit is not isolated"
        case ev.Raised() if _too_many(state, event):
            return f"{KEPT_RAISED} incidents of this kind wait already"
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
        boot = state.boot if event.boot is None else event.boot
        presses = (*presses, Press(event.press_id, event.mono_ns, event.utc_us, event.clock, boot=boot))
    return put(
        state,
        msgspec.structs.replace(
            joined, presses=presses, count=joined.count + 1, last_press_mono_ns=max(joined.last_press_mono_ns, now_ns)
        ),
    )


def _raised(state: State, event: ev.Raised, now_ns: int) -> State:
    """An alarm that no press started."""
    if event.kind in RESTS_IN_ISOLATION and state.isolation is not None:
        return msgspec.structs.replace(state, suppressed=state.suppressed + 1)
    if _too_many(state, event):
        return msgspec.structs.replace(state, suppressed=state.suppressed + 1)
    if event.origin == "periodic":
        state = periodic_test.raised(state, now_ns)
    return _raise(state, event, event.kind, now_ns, event.origin)


def _too_many(state: State, event: ev.Raised) -> bool:
    return sum(each.kind == event.kind for each in state.incidents) >= KEPT_RAISED


def _raise(state: State, event: ev.Pressed | ev.Raised, kind: str, now_ns: int, origin: Origin = "press") -> State:
    if state.incident(event.incident_id) is not None:
        return state
    recent = hoaxes = 0
    if kind in ("panic", "voice"):
        state, recent, hoaxes = remembered(state, event)
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
        presses=(Press(event.press_id, event.mono_ns, event.utc_us, event.clock, boot=boot),),
        boot=boot,
        origin=origin,
        recent=recent,
        recent_hoaxes=hoaxes,
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
        incident = further(msgspec.structs.replace(incident, presses=presses), stage, now_ns)
        state = put(state, incident)
    return state


def _advance(state: State, incident_id: str, stage: Stage, now_ns: int, room: str, **who: str) -> State:
    """An operator of `room` has gone so far; the call goes there, but not away from somebody who talks already."""
    incident = state.incident(incident_id)
    if incident is None or not incident.active:
        return state
    if room and not (stage == "accepted" and incident.stage == "answered"):
        who["taken_by"] = room
    if incident.origin == "periodic":
        state = msgspec.structs.replace(state, test_unanswered=False)
    if stage == "answered":
        incident = live.answered(incident, room)
    return put(state, further(msgspec.structs.replace(incident, **who), stage, now_ns))


def _warn(state: State, name: str, now_ns: int, speak: str = "", language: str = "") -> State:
    number = state.warning.number + 1 if state.warning else 1
    return msgspec.structs.replace(state, warning=WarningGoal(number, name, now_ns, speak, language))


def _clock_known(state: State, offset_us: int) -> State:
    """A test that was made before anybody knew the date gets its date."""
    tested_us = state.tested_utc_us
    if state.tested_mono_ns is not None:
        tested_us = state.tested_mono_ns // 1000 + offset_us
    return msgspec.structs.replace(state, utc_offset_us=offset_us, tested_utc_us=tested_us)


def _dome_to(state: State, preset: int) -> State:
    return msgspec.structs.replace(state, dome=DomeGoal(state.dome.number + 1, preset))


def _upload(state: State, event: ev.UploadOrdered) -> State:
    if any(each.upload_id == event.upload_id for each in state.uploads):
        return state
    goal = UploadGoal(event.upload_id, event.incident_id, event.url, event.token, event.camera)
    return msgspec.structs.replace(state, uploads=(*state.uploads, goal)[-KEPT_UPLOADS:])


def rebooted(state: State, boot: int, now_ns: int) -> State:
    """The state as a new boot finds it: monotonic instants of the old boot mean nothing now and start afresh."""
    if state.boot == boot:
        return state
    renew = {
        "stage_mono_ns": now_ns,
        "since_mono_ns": now_ns,
        "last_press_mono_ns": 0,
        "asked_mono_ns": now_ns,
        "sms_mono_ns": now_ns,
        "extended_mono_ns": 0,
        "guard": Guard(),
    }
    return msgspec.structs.replace(
        state,
        boot=boot,
        incidents=tuple(
            msgspec.structs.replace(
                each,
                **renew,
                received_mono_ns=None if each.received_mono_ns is None else now_ns,
                handed_over=None
                if each.handed_over is None
                else msgspec.structs.replace(each.handed_over, mono_ns=now_ns),
            )
            for each in state.incidents
        ),
        button_watched=False,
        button_stuck=False,
        button_fault="",
        heard_mono_ns=None,
        dome=DomeGoal(state.dome.number + 1, state.dome.preset),
        warning=None,
        watched=None,
        snapshot=None,
        ended_mono_ns=None,
        on_duty=None,
        isolation=None,
        utc_offset_us=None,
        tested_mono_ns=None,
    )
