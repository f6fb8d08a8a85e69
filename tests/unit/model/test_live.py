"""What operators order of a call: one incident's own, bounded, and undone by nothing but another order or its end."""

import dataclasses

import pytest
from msgspec.structs import replace

from tests.unit.model.worlds import (
    INCIDENT,
    ORDERS,
    OTHER,
    PRESS,
    SECOND,
    SETTINGS,
    S,
    at,
    every_event,
    every_state,
    idle,
    pressed,
    raised,
)  # fmt: skip
from unitd.model import events as ev
from unitd.model.incident import Incident, State
from unitd.model.live import KEPT_NAMED, KEPT_TEXTS, SNAPSHOT_APART_NS
from unitd.model.outputs import SNAPSHOT_NS, next_change_ns, outputs
from unitd.model.step import rebooted, refusal, step

NOW = 8 * S
EVERY = list(every_state())


def only(state: State) -> Incident:
    [incident] = state.incidents
    return incident


def ordered(state: State, *events: ev.Event, now: int = NOW) -> State:
    for event in events:
        state = step(state, event, now, SETTINGS)
    return state


@pytest.mark.parametrize(("name", "state"), EVERY, ids=[name for name, _ in EVERY])
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_what_is_refused_changes_nothing_and_says_why(name: str, state: State, order: ev.Event) -> None:
    state = step(state, ev.Tick(), NOW, SETTINGS)
    why = refusal(state, order, NOW)
    incident = state.incident(INCIDENT)
    if incident is None:
        assert why == "no such open incident"
    elif not incident.active:
        assert why == f"the incident is {incident.stage} already"
    if why is not None:
        assert step(state, order, NOW, SETTINGS) == state


# --- sound ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", list(every_event()), ids=lambda event: type(event).__name__)
def test_nothing_but_an_order_unmutes(event: ev.Event) -> None:
    """Not a further press either: somebody who hides presses again because nobody answers aloud."""
    muted = ordered(at("answered"), ev.SoundSet(INCIDENT, "Ann", True, True, True))
    after = step(muted, event, NOW, SETTINGS)
    incident = after.incident(INCIDENT)
    if isinstance(event, ev.SoundSet) or incident is None or not incident.active or after.served is not incident:
        return
    levels = outputs(after, NOW, SETTINGS)
    assert levels.call is not None
    assert not levels.microphone
    assert not levels.call.microphone
    assert not levels.call.voices
    assert levels.quiet
    assert levels.call.orders.quiet
    assert levels.prompt is None
    assert not levels.sounder


def test_a_quiet_call_says_nothing_to_its_end_and_nothing_after() -> None:
    state = ordered(at("received"), ev.SoundSet(INCIDENT, "Ann", quiet=True))
    for now in (NOW, 70 * S):
        assert outputs(state, now, SETTINGS).prompt is None
    state = step(state, ev.Closed(INCIDENT, "Ann", "genuine"), 71 * S, SETTINGS)
    for now in (71 * S, 75 * S, 102 * S, 109 * S):
        state = step(state, ev.Tick(), now, SETTINGS)
        assert outputs(state, now, SETTINGS).prompt is None
    loud = step(at("received"), ev.Closed(INCIDENT, "Ann", "genuine"), 71 * S, SETTINGS)
    assert outputs(loud, 71 * S, SETTINGS).prompt == "ended"


def test_a_quiet_call_s_end_is_not_said_where_it_ends_at_once() -> None:
    at_once = replace(SETTINGS, post_roll_ns=0)
    state = step(ordered(at("received"), ev.SoundSet(INCIDENT, "Ann", quiet=True)), ev.Tick(), NOW, at_once)
    state = step(state, ev.Closed(INCIDENT, "Ann", "genuine"), NOW, at_once)
    assert state.served is None
    assert outputs(state, NOW, at_once).prompt is None


def test_a_new_person_s_press_is_heard_although_the_test_was_muted() -> None:
    state = ordered(at("answered", "test"), ev.SoundSet(INCIDENT, "Ann", True, True, True))
    assert not outputs(state, NOW, SETTINGS).microphone
    state = step(state, pressed(SECOND, OTHER, NOW), NOW, SETTINGS)
    levels = outputs(state, NOW, SETTINGS)
    assert levels.microphone
    assert levels.sounder
    assert levels.prompt == "calling"


def test_the_sound_of_one_incident_ends_with_it() -> None:
    state = ordered(at("answered"), ev.SoundSet(INCIDENT, "Ann", True, True, True), ev.Closed(INCIDENT, "Ann", "hoax"))
    assert not outputs(state, NOW, SETTINGS).microphone
    state = step(state, pressed(SECOND, OTHER, 60 * S), 60 * S, SETTINGS)
    levels = outputs(state, 60 * S, SETTINGS)
    assert levels.microphone
    assert not levels.quiet


def test_sound_is_whole_and_survives_a_restart() -> None:
    state = ordered(
        at("answered"), ev.SoundSet(INCIDENT, "Ann", mute_horn=True), ev.SoundSet(INCIDENT, "Bob", quiet=True)
    )
    orders = only(rebooted(state, 9, NOW)).orders
    assert (orders.mute_microphone, orders.mute_horn, orders.quiet, orders.sound_by) == (False, False, True, "Bob")


# --- dialling, text, pictures -----------------------------------------------------------------------------------------


def test_dialling_back_counts_and_names_the_newest_endpoint_first() -> None:
    state = ordered(at("accepted"), ev.DialledBack(INCIDENT))
    assert (only(state).orders.dial, only(state).orders.named) == (1, ())
    for number in range(6):
        state = ordered(state, ev.DialledBack(INCIDENT, f"https://m/{number}", token="t"))
    state = ordered(state, ev.DialledBack(INCIDENT, "https://m/4", token="new"), ev.DialledBack(INCIDENT))
    orders = only(state).orders
    assert orders.dial == 9
    assert len(orders.named) == KEPT_NAMED
    assert [(each.url, each.token) for each in orders.named[:2]] == [("https://m/4", "new"), ("https://m/5", "t")]


def test_the_last_lines_are_kept_with_rising_numbers() -> None:
    state = at("answered")
    for number in range(1, 40):
        state = ordered(state, ev.TextSent(INCIDENT, "Ann", f"line {number}"))
    lines = only(state).orders.texts
    assert [each.number for each in lines] == list(range(40 - KEPT_TEXTS, 40))
    assert lines[-1].text == "line 39"


def test_a_picture_is_ordered_for_a_while_and_not_twice_at_once() -> None:
    state = ordered(at("answered"), ev.SnapshotOrdered(INCIDENT))
    assert refusal(state, ev.SnapshotOrdered(INCIDENT), NOW + 1) == "pictures are being taken: wait a moment"
    assert ordered(state, ev.SnapshotOrdered(INCIDENT), now=NOW + 1).snapshot == state.snapshot
    state = ordered(state, ev.SnapshotOrdered(INCIDENT), now=NOW + SNAPSHOT_APART_NS)
    snapshot = outputs(state, NOW + SNAPSHOT_APART_NS, SETTINGS).snapshot
    assert snapshot is not None
    assert snapshot.number == 2
    due_ns = NOW + SNAPSHOT_APART_NS + SNAPSHOT_NS
    assert next_change_ns(state, due_ns - 1, SETTINGS) == due_ns
    assert outputs(state, due_ns, SETTINGS).snapshot is None


def test_a_spoken_text_is_numbered_as_a_warning_is() -> None:
    state = ordered(idle(), ev.WarningOrdered("cctv"), ev.SpeechOrdered("Stay back.", "pl"), ev.WarningOrdered("cctv"))
    assert state.warning is not None
    assert (state.warning.number, state.warning.name, state.warning.speak) == (3, "cctv", "")
    said = outputs(ordered(idle(), ev.SpeechOrdered("Stay back.", "pl")), NOW, SETTINGS).warning
    assert said is not None
    assert (said.number, said.name, said.speak, said.language) == (1, "", "Stay back.", "pl")


# --- handing over -----------------------------------------------------------------------------------------------------


def test_a_hand_over_asks_the_room_again_by_its_alarm_and_takes_the_call_there() -> None:
    state = step(at("received"), ev.Answered(INCIDENT, "Ann", "council"), NOW, SETTINGS)
    assert outputs(state, NOW, SETTINGS).alarms == ()
    state = ordered(state, ev.HandedOver(INCIDENT, "Ann", "police", "knife"))
    incident = only(state)
    assert incident.asked[-1] == "police"
    assert incident.asked.count("police") == 1
    assert incident.taken_by == "police"
    assert incident.stage == "answered"
    [(_, press)] = outputs(state, NOW, SETTINGS).alarms
    assert press.press_id == PRESS
    state = ordered(state, ev.AlarmReceived((PRESS,)))
    assert outputs(state, NOW, SETTINGS).alarms == ()
    assert outputs(state, NOW, SETTINGS).lamps.yellow == "steady"


def test_an_unknown_room_is_given_nothing() -> None:
    assert ordered(at("answered"), ev.HandedOver(INCIDENT, "Ann", "nobody")) == step(
        at("answered"), ev.Tick(), NOW, SETTINGS
    )


def test_a_hand_over_that_nobody_takes_up_is_told_once() -> None:
    after_ns = SETTINGS.routes.unanswered_ask_next_ns
    state = ordered(at("answered"), ev.HandedOver(INCIDENT, "Ann", "police"))
    assert next_change_ns(state, NOW, SETTINGS) == NOW + after_ns
    told = step(state, ev.Tick(), NOW + after_ns, SETTINGS)
    assert only(told).handed_over is not None
    assert only(told).handed_over.told  # type: ignore[union-attr]
    assert next_change_ns(told, NOW + after_ns, SETTINGS) != NOW + after_ns
    taken = ordered(state, ev.Answered(INCIDENT, "Bob", "police"))
    assert not only(step(taken, ev.Tick(), NOW + after_ns, SETTINGS)).handed_over.told  # type: ignore[union-attr]
    old_room = ordered(state, ev.Answered(INCIDENT, "Ann", "council"))
    assert only(step(old_room, ev.Tick(), NOW + after_ns, SETTINGS)).handed_over.told  # type: ignore[union-attr]


def test_an_incident_that_nobody_has_answered_can_be_handed_over_and_goes_on_asking() -> None:
    state = ordered(at("accepted"), ev.HandedOver(INCIDENT, "Ann", "council"))
    later = step(state, ev.Tick(), NOW + 46 * S, SETTINGS)
    assert only(later).asked[-1] == "police"


def test_a_periodic_test_can_be_talked_about_as_any_call() -> None:
    state = step(idle(), dataclasses.replace(raised("test"), origin="periodic"), 0, SETTINGS)
    assert refusal(state, ev.TextSent(INCIDENT, "Ann", "hello"), NOW) is None


def test_a_line_that_nobody_would_see_is_refused() -> None:
    """Or the record would say that the caller was told."""
    text = ev.TextSent(INCIDENT, "Ann", "I can see you.")
    both = step(at("answered", "test"), pressed(SECOND, OTHER, NOW), NOW, SETTINGS)
    assert refusal(both, text) == "another incident comes first now"
    assert step(both, text, NOW, SETTINGS) == both
    assert refusal(both, ev.TextSent(OTHER, "Ann", "I can see you.")) is None
    assert refusal(at("answered", "tamper"), text) == "nobody reads it: no person has started this incident"
