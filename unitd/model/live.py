"""What operators order of an incident's live call: sound, lines of text, dialling, handing over, pictures. Pure.

Each order is for one incident and ends with it; nothing but another order of an operator undoes it before.
"""

from msgspec.structs import replace

from unitd.model import events as ev
from unitd.model.call_goals import HandOver, NamedEndpoint, SnapshotGoal, TextLine
from unitd.model.incident import Incident, Settings, State
from unitd.model.microphone import OPEN_IN
from unitd.model.stages import put

KEPT_TEXTS = 16
KEPT_NAMED = 4
SNAPSHOT_APART_NS = 3_000_000_000
"""Each costs a process that decodes for a second, and half a megabyte of the link."""

Order = ev.DialledBack | ev.HandedOver | ev.SoundSet | ev.TextSent | ev.SnapshotOrdered


def ordered(state: State, event: Order, now_ns: int, settings: Settings) -> State:
    """The state after the order; the same when `refusal` has something against it."""
    incident = state.incident(event.incident_id)
    if incident is None or refusal(state, event, now_ns) is not None:
        return state
    match event:
        case ev.DialledBack():
            return put(state, _dialled(incident, event))
        case ev.HandedOver():
            return put(state, _handed_over(incident, event, now_ns)) if event.room in settings.routes.rooms else state
        case ev.SoundSet(_, by, mute_microphone, mute_horn, quiet):
            levels = {"mute_microphone": mute_microphone, "mute_horn": mute_horn, "quiet": quiet}
            return put(state, replace(incident, orders=replace(incident.orders, **levels, sound_by=by)))
        case ev.TextSent(_, by, text):
            number = incident.orders.text_number + 1
            texts = (*incident.orders.texts, TextLine(number, by, text))[-KEPT_TEXTS:]
            return put(state, replace(incident, orders=replace(incident.orders, texts=texts, text_number=number)))
        case ev.SnapshotOrdered():
            number = state.snapshot.number + 1 if state.snapshot is not None else 1
            return replace(state, snapshot=SnapshotGoal(number, event.incident_id, now_ns))


def refusal(state: State, event: Order, now_ns: int | None = None) -> str | None:
    """Why the order would change nothing now, in words for the operator; None when it is good."""
    incident = state.incident(event.incident_id)
    if incident is None:
        return "no such open incident"
    if not incident.active:
        return f"the incident is {incident.stage} already"
    if isinstance(event, ev.SnapshotOrdered | ev.TextSent) and state.served is not incident:
        return "another incident comes first now"
    if isinstance(event, ev.TextSent) and incident.kind not in OPEN_IN:
        return "nobody reads it: no person has started this incident"
    if isinstance(event, ev.SnapshotOrdered):
        last = state.snapshot
        if now_ns is not None and last is not None and 0 <= now_ns - last.ordered_mono_ns < SNAPSHOT_APART_NS:
            return "pictures are being taken: wait a moment"
    return None


def answered(incident: Incident, room: str) -> Incident:
    """An operator of `room` has answered: a hand-over to it has come to its end; "" where nobody can tell the room."""
    done = incident.handed_over
    if done is None or done.answered or room not in ("", done.room):
        return incident
    return replace(incident, handed_over=replace(done, answered=True))


def unanswered_ns(incident: Incident, settings: Settings) -> int | None:
    """When the control rooms are told that nobody has taken a hand-over up; None when there is nothing to tell."""
    done = incident.handed_over
    if done is None or done.answered or done.told or not incident.active:
        return None
    return done.mono_ns + settings.routes.unanswered_ask_next_ns


def told(incident: Incident, now_ns: int, settings: Settings) -> Incident:
    """The incident, with a hand-over that nobody has taken up marked as told."""
    at_ns = unanswered_ns(incident, settings)
    if at_ns is None or now_ns < at_ns or incident.handed_over is None:
        return incident
    return replace(incident, handed_over=replace(incident.handed_over, told=True))


def _dialled(incident: Incident, event: ev.DialledBack) -> Incident:
    orders = incident.orders
    named = orders.named
    if event.url:
        others = (each for each in named if each.url != event.url)
        named = (NamedEndpoint(event.url, event.whep_url, event.token), *others)[:KEPT_NAMED]
    return replace(incident, orders=replace(orders, dial=orders.dial + 1, named=named))


def _handed_over(incident: Incident, event: ev.HandedOver, now_ns: int) -> Incident:
    """The room is asked, and the call goes there. The alarm goes out once more, until a system has confirmed that it
    holds it: one that joins now may never have seen it."""
    number = incident.handed_over.number + 1 if incident.handed_over is not None else 1
    presses = incident.presses
    if presses:
        presses = (replace(presses[0], sent=False, received=False), *presses[1:])
    return replace(
        incident,
        asked=(*(each for each in incident.asked if each != event.room), event.room),
        asked_mono_ns=now_ns,
        taken_by=event.room,
        presses=presses,
        handed_over=HandOver(number, event.by, event.room, event.note, now_ns),
    )
