"""The lamp table and the microphone gate of the protocol, row by row and over every state."""

from dataclasses import replace as replace_event

import pytest
from msgspec.structs import replace

from tests.unit.model.worlds import INCIDENT, OTHER, PRESS, SECOND, SETTINGS, S, at, every_state, idle, pressed, raised
from unitd.model import events as ev
from unitd.model.incident import PRECEDENCE, STAGES, State
from unitd.model.lamps import lamps
from unitd.model.microphone import microphone_open
from unitd.model.outputs import WARNING_NS, next_change_ns, outputs
from unitd.model.step import rebooted, step

EVERY = list(every_state())
NOW = 7 * S

TABLE = [
    ("raised", ("flashing", "off", "steady"), "calling"),
    ("sent", ("flashing", "off", "steady"), "calling"),
    ("received", ("steady", "off", "steady"), "received"),
    ("accepted", ("steady", "off", "steady"), "received"),
    ("answered", ("steady", "steady", "steady"), None),
    ("closing", ("steady", "off", "steady"), "ended"),
    ("closed", ("off", "off", "steady"), None),
]


@pytest.mark.parametrize(("stage", "shown", "words"), TABLE)
def test_lamp_table(stage: str, shown: tuple[str, str, str], words: str | None) -> None:
    state = at(stage)  # type: ignore[arg-type]
    now = NOW if stage != "closed" else 60 * S
    assert lamps(state, now, SETTINGS) == shown
    assert outputs(state, now, SETTINGS).prompt == words


def test_a_limit_that_closes_what_nobody_received_says_so() -> None:
    limited = replace(SETTINGS, close_after_ns=100 * S)
    state = step(at("sent"), ev.Tick(), 200 * S, limited)
    assert [each.stage for each in state.incidents] == ["closing"]
    assert lamps(state, 200 * S, limited).yellow == "flashing"
    state = step(state, ev.AlarmReceived((PRESS,)), 201 * S, limited)
    assert lamps(state, 201 * S, limited).yellow == "steady"
    state = step(at("sent"), ev.Closed(INCIDENT, "Ann", "genuine"), 9 * S, limited)
    assert lamps(state, 9 * S, limited).yellow == "steady"


def test_idle_locator_is_lit_only_while_armed_and_heard() -> None:
    assert lamps(idle(), 89 * S, SETTINGS).locator == "steady"
    assert lamps(idle(), 90 * S, SETTINGS).locator == "off"
    assert lamps(step(idle(), ev.ButtonState(True, True), 0, SETTINGS), S, SETTINGS).locator == "off"
    assert lamps(State(), S, SETTINGS).locator == "off"


@pytest.mark.parametrize("stage", ["raised", "sent", "received", "accepted"])
def test_after_a_minute_the_caller_is_told_the_truth(stage: str) -> None:
    state = at(stage)  # type: ignore[arg-type]
    assert outputs(state, 59 * S, SETTINGS).prompt in ("calling", "received")
    assert outputs(state, 60 * S, SETTINGS).prompt == "still_trying"
    assert lamps(state, 60 * S, SETTINGS) == lamps(state, 5 * S, SETTINGS)


def test_a_press_sounds_at_once_and_each_again() -> None:
    state = at("answered")
    assert not outputs(state, NOW, SETTINGS).sounder
    state = step(state, pressed("x", "y", NOW), NOW, SETTINGS)
    assert outputs(state, NOW, SETTINGS).sounder
    assert not outputs(state, NOW + S, SETTINGS).sounder


@pytest.mark.parametrize("kind", PRECEDENCE)
@pytest.mark.parametrize("stage", STAGES)
def test_microphone_gate(kind: str, stage: str) -> None:
    expected = kind in ("panic", "voice", "test") and stage != "closed"
    assert microphone_open(at(stage, kind)) is expected  # type: ignore[arg-type]


def test_a_test_that_nobody_has_asked_for_is_heard_once_somebody_answers() -> None:
    state = step(idle(), replace_event(raised("test"), origin="periodic"), 0, SETTINGS)
    for second, event in enumerate(
        (ev.BrokerAcked(PRESS), ev.AlarmReceived((PRESS,)), ev.Accepted(INCIDENT, "Ann")), 1
    ):
        assert not microphone_open(state)
        state = step(state, event, second * S, SETTINGS)
    assert not microphone_open(state)
    state = step(state, ev.Answered(INCIDENT, "Ann"), 5 * S, SETTINGS)
    assert microphone_open(state)
    assert not microphone_open(step(state, ev.Closed(INCIDENT, "Ann", "test"), 6 * S, SETTINGS))


@pytest.mark.parametrize("kind", ["intrusion", "tamper"])
@pytest.mark.parametrize("muted", [False, True])
def test_a_machine_s_alarm_gets_no_voice_while_a_person_s_call_closes(kind: str, muted: bool) -> None:
    """The person's incident is open still, but the call that goes out is the machine's, to whoever answers that."""
    state = step(at("answered"), ev.SoundSet(INCIDENT, "Ann", mute_microphone=muted), 6 * S, SETTINGS)
    state = step(state, raised(kind, SECOND, OTHER, 7 * S), 7 * S, SETTINGS)  # type: ignore[arg-type]
    assert outputs(state, 7 * S, SETTINGS).microphone is not muted
    state = step(state, ev.Closed(INCIDENT, "Ann", "genuine"), 8 * S, SETTINGS)
    levels = outputs(state, 8 * S, SETTINGS)
    assert levels.call is not None
    assert levels.call.incident_id == OTHER
    assert not levels.call.microphone
    assert not levels.microphone


@pytest.mark.parametrize(("name", "state"), EVERY, ids=[name for name, _ in EVERY])
def test_no_call_and_no_microphone_outside_an_incident(name: str, state: State) -> None:
    levels = outputs(state, NOW, SETTINGS)
    if not any(each.open for each in state.incidents):
        assert not levels.microphone
        assert (levels.call is None) == (state.watch is None)
        assert not levels.in_incident
    if levels.call is not None and levels.served is not None:
        answered = levels.served.stage == "answered"
        assert levels.call.voices == (answered and not levels.served.orders.mute_horn)


def test_an_ordered_warning_is_not_wanted_for_ever() -> None:
    """Or a call process that starts an hour later would shout it into an empty street."""
    state = step(idle(), ev.WarningOrdered("cctv"), NOW, SETTINGS)
    assert outputs(state, NOW, SETTINGS).warning is not None
    due_ns = NOW + WARNING_NS
    assert next_change_ns(state, NOW, SETTINGS) == due_ns
    assert outputs(state, due_ns, SETTINGS).warning is None
    again = outputs(step(state, ev.WarningOrdered("cctv"), due_ns, SETTINGS), due_ns, SETTINGS).warning
    assert again is not None
    assert again.number == 2
    assert rebooted(state, 9, 0).warning is None


def test_an_alarm_of_an_older_boot_locks_from_that_boot_and_waits_from_now() -> None:
    event = ev.Pressed(PRESS, INCIDENT, 10**16, 0, "synced", boot=3)
    state = step(State(boot=4), event, NOW, SETTINGS)
    [lock] = outputs(state, NOW, SETTINGS).locks
    assert lock.from_boot == 3
    later_ns = NOW + SETTINGS.still_trying_after_ns
    assert outputs(state, later_ns, SETTINGS).prompt == "still_trying"
