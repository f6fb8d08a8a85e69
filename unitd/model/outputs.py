"""`outputs(state, now_ns, settings)`: what everything should be now, as levels that drivers reconcile. Pure."""

from typing import NamedTuple

from unitd.model import passing, periodic_test
from unitd.model.call_goals import CallOrders, SnapshotGoal, WatchGoal
from unitd.model.incident import (
    DomeGoal,
    Incident,
    Isolation,
    Lock,
    Press,
    Release,
    Settings,
    SmsGoal,
    State,
    UploadGoal,
    WarningGoal,
)
from unitd.model.lamps import Lamps, control_room_heard, lamps
from unitd.model.microphone import microphone_open
from unitd.model.stages import lock_of

TONE_NS = 700_000_000
"""How long the sounder answers a press."""

ENDED_WORDS_NS = 8_000_000_000
"""How long after an operator's close "the call has ended" may be heard."""


WARNING_NS = 30_000_000_000
"""How long an ordered warning is wanted: a call process that starts later does not shout an old one into the street."""


SNAPSHOT_NS = 10_000_000_000
"""How long an ordered picture is wanted: a recorder that starts later does not take it for an order of now."""


class Call(NamedTuple):
    """The call that is wanted; of a watch `incident_id` is the watch's id, and the microphone is shut."""

    incident_id: str
    microphone: bool
    voices: bool
    orders: CallOrders = CallOrders()
    watch: WatchGoal | None = None


class Outputs(NamedTuple):
    """Levels. `alarms` are the presses that the control room's system has not confirmed yet."""

    lamps: Lamps
    sounder: bool
    prompt: str | None
    call: Call | None
    microphone: bool
    in_incident: bool
    warning: WarningGoal | None
    dome: DomeGoal
    uploads: tuple[UploadGoal, ...]
    locks: tuple[Lock, ...]
    releases: tuple[Release, ...]
    alarms: tuple[tuple[Incident, Press], ...]
    heard: bool
    served: Incident | None
    sms: tuple[tuple[Incident, SmsGoal], ...]
    test_due: bool
    isolation: Isolation | None
    quiet: bool
    snapshot: SnapshotGoal | None


def outputs(state: State, now_ns: int, settings: Settings) -> Outputs:
    """What should be, now."""
    incident = state.served
    mic = microphone_open(state)
    return Outputs(
        lamps=lamps(state, now_ns, settings),
        sounder=_tone(incident, now_ns),
        prompt=_prompt(state, incident, now_ns, settings),
        call=_call(state, incident, mic),
        microphone=mic,
        in_incident=incident is not None,
        warning=state.warning if _warning_due(state, now_ns) else None,
        dome=state.dome,
        uploads=state.uploads,
        locks=(*state.closed_locks, *(lock_of(each, settings, state.boot) for each in state.incidents if each.open)),
        releases=state.releases,
        alarms=tuple((each, press) for each in state.incidents for press in each.presses if not press.received),
        heard=control_room_heard(state, now_ns, settings),
        served=incident,
        sms=tuple((each, goal) for each in state.incidents for goal in each.sms),
        test_due=periodic_test.is_due(state, now_ns, settings),
        isolation=state.isolation,
        quiet=incident is not None and incident.orders.quiet,
        snapshot=state.snapshot if _snapshot_due(state, now_ns) else None,
    )


def next_change_ns(state: State, now_ns: int, settings: Settings) -> int | None:
    """The next instant at which time alone changes the state or an output; None when only an event can."""
    instants = passing.next_ns(state, settings)
    if (test_ns := periodic_test.due_ns(state, settings)) is not None:
        instants.append(test_ns)
    if state.heard_mono_ns is not None:
        instants.append(state.heard_mono_ns + settings.silent_after_ns)
    if state.ended_mono_ns is not None:
        instants.append(state.ended_mono_ns + ENDED_WORDS_NS)
    if state.warning is not None:
        instants.append(state.warning.ordered_mono_ns + WARNING_NS)
    if state.snapshot is not None:
        instants.append(state.snapshot.ordered_mono_ns + SNAPSHOT_NS)
    for incident in state.incidents:
        if incident.active:
            instants.append(incident.last_press_mono_ns + TONE_NS)
            instants.append(incident.since_mono_ns + settings.still_trying_after_ns)
    return min((each for each in instants if each > now_ns), default=None)


def _call(state: State, incident: Incident | None, microphone: bool) -> Call | None:
    """An incident's call, or that of who watches; in an incident that is ending there is neither."""
    if incident is not None:
        if not incident.active:
            return None
        voices = incident.stage == "answered" and not incident.orders.mute_horn
        return Call(incident.incident_id, microphone, voices, incident.orders)
    watch = state.watch
    return None if watch is None else Call(watch.watch_id, False, watch.announce, watch=watch)


def _tone(incident: Incident | None, now_ns: int) -> bool:
    """A press is answered by a tone; a test that the unit makes by itself is silent on the street, and everything is
    while an operator keeps the call quiet: the attacker is near."""
    if incident is None or not incident.active or incident.origin == "periodic" or incident.orders.quiet:
        return False
    return now_ns - incident.last_press_mono_ns < TONE_NS


def _warning_due(state: State, now_ns: int) -> bool:
    return state.warning is not None and now_ns - state.warning.ordered_mono_ns < WARNING_NS


def _snapshot_due(state: State, now_ns: int) -> bool:
    return state.snapshot is not None and now_ns - state.snapshot.ordered_mono_ns < SNAPSHOT_NS


def _prompt(state: State, incident: Incident | None, now_ns: int, settings: Settings) -> str | None:
    if incident is not None and incident.orders.quiet:
        return None
    if incident is None or not incident.active:
        ended_ns = state.ended_mono_ns
        return "ended" if ended_ns is not None and now_ns - ended_ns < ENDED_WORDS_NS else None
    if incident.stage == "answered" or incident.origin == "periodic":
        return None
    if now_ns - incident.since_mono_ns >= settings.still_trying_after_ns:
        return "still_trying"
    return "received" if incident.reached("received") else "calling"
