"""The policy of an incident, from every state."""

import dataclasses

import pytest

from tests.unit.model.worlds import (
    INCIDENT,
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
)
from unitd.config import Config
from unitd.core.settings import settings_of
from unitd.model import events as ev
from unitd.model.incident import PRECEDENCE, STAGES, Incident, State
from unitd.model.outputs import next_change_ns, outputs
from unitd.model.step import KEPT_PRESSES, rebooted, refusal, step

EVERY = list(every_state())
NOW = 100 * S
DAY = 86_400 * S


def only(state: State) -> Incident:
    [incident] = state.incidents
    return incident


@pytest.mark.parametrize(("name", "state"), EVERY, ids=[name for name, _ in EVERY])
def test_a_press_always_raises_or_joins_a_panic(name: str, state: State) -> None:
    after = step(state, pressed("99999999-9999-4999-8999-999999999999", OTHER + "x", NOW), NOW, SETTINGS)
    served = after.served
    assert served is not None
    assert served.kind == "panic"
    assert served.active
    assert any(press.press_id.startswith("9999") for press in served.presses)
    assert any(press.press_id.startswith("9999") for _, press in outputs(after, NOW, SETTINGS).alarms)


@pytest.mark.parametrize(("name", "state"), EVERY, ids=[name for name, _ in EVERY])
def test_no_event_raises_or_moves_a_stage_back(name: str, state: State) -> None:
    for event in every_event():
        after = step(state, event, NOW, SETTINGS)
        refusal(state, event)
        for before in state.incidents:
            now = after.incident(before.incident_id)
            if now is not None:
                assert STAGES.index(now.stage) >= STAGES.index(before.stage)
            else:
                assert all(press.received for press in before.presses)


@pytest.mark.parametrize(("name", "state"), EVERY, ids=[name for name, _ in EVERY])
def test_time_alone_never_ends_a_call_that_nobody_closed(name: str, state: State) -> None:
    active = [each.incident_id for each in state.incidents if each.active]
    after = step(state, ev.Tick(), 10**18, SETTINGS)
    assert [each.incident_id for each in after.incidents if each.active] == active


def test_the_whole_way() -> None:
    for stage in STAGES[:-1]:
        assert only(at(stage)).stage == stage
    assert at("closed").incidents == ()


def test_presses_inside_an_incident_join_it_and_are_sent() -> None:
    state = step(at("answered"), pressed(SECOND, OTHER, 9 * S), 9 * S, SETTINGS)
    assert only(state).count == 2
    assert only(state).incident_id == INCIDENT
    assert [press.press_id for _, press in outputs(state, 9 * S, SETTINGS).alarms] == [SECOND]


def test_the_same_latched_press_twice_is_one() -> None:
    state = step(at("raised"), pressed(), S, SETTINGS)
    assert only(state).count == 1


def test_a_press_after_the_close_is_a_new_incident() -> None:
    state = step(at("closing"), pressed(SECOND, OTHER, 6 * S), 6 * S, SETTINGS)
    assert [each.stage for each in state.incidents] == ["closing", "raised"]
    assert state.served is not None
    assert state.served.incident_id == OTHER


def test_ten_thousand_presses_stay_bounded_and_counted() -> None:
    state = at("raised")
    for number in range(10_000):
        state = step(state, pressed(f"{number}", OTHER, S), S, SETTINGS)
    assert len(only(state).presses) == KEPT_PRESSES
    assert only(state).count == 10_001


@pytest.mark.parametrize("kind", [each for each in PRECEDENCE if each != "panic"])
def test_panic_is_served_before_every_other_kind(kind: str) -> None:
    state = step(at("answered", kind), pressed(SECOND, OTHER, 9 * S), 9 * S, SETTINGS)  # type: ignore[arg-type]
    assert state.served is not None
    assert state.served.incident_id == OTHER
    assert len(state.incidents) == 2


def test_a_test_never_hides_a_panic() -> None:
    state = step(at("answered"), raised("test", SECOND, OTHER, 9 * S), 9 * S, SETTINGS)
    assert state.served is not None
    assert state.served.incident_id == INCIDENT


def test_received_alone_empties_the_outbox() -> None:
    state = step(at("raised"), ev.BrokerAcked(PRESS), S, SETTINGS)
    assert len(outputs(state, S, SETTINGS).alarms) == 1
    state = step(state, ev.AlarmReceived((PRESS,)), 2 * S, SETTINGS)
    assert outputs(state, 2 * S, SETTINGS).alarms == ()


def test_a_closed_incident_stays_until_its_alarm_is_received() -> None:
    state = step(at("raised"), ev.Closed(INCIDENT, "Ann", "hoax"), S, SETTINGS)
    state = step(state, ev.Tick(), 100 * S, SETTINGS)
    assert only(state).stage == "closed"
    assert len(outputs(state, 100 * S, SETTINGS).alarms) == 1
    state = step(state, ev.AlarmReceived((PRESS,)), 101 * S, SETTINGS)
    assert state.incidents == ()


def test_a_unit_that_stands_alone_does_not_keep_its_calls_for_ever() -> None:
    alone = settings_of(Config(schema=1))
    state = State()
    for number in range(100):
        state = step(state, pressed(f"p{number}", f"i{number}", number * DAY), number * DAY, alone)
        state = step(state, ev.Tick(), number * DAY + DAY // 2, alone)
        state = step(state, ev.Tick(), number * DAY + DAY // 2 + 60 * S, alone)
        assert state.incidents == ()
    assert len(outputs(state, 100 * DAY, alone).locks) == 100


def test_the_lock_runs_from_pre_roll_to_post_roll() -> None:
    state = step(idle(), pressed(at_ns=500 * S), 500 * S, SETTINGS)
    [lock] = outputs(state, 500 * S, SETTINGS).locks
    assert (lock.from_mono_ns, lock.to_mono_ns) == (440 * S, None)
    state = step(state, ev.Closed(INCIDENT, "Ann", "genuine"), 510 * S, SETTINGS)
    state = step(state, ev.Tick(), 600 * S, SETTINGS)
    [lock] = outputs(state, 600 * S, SETTINGS).locks
    assert (lock.to_mono_ns, lock.outcome) == (540 * S, "genuine")
    state = step(state, ev.LockWritten(INCIDENT), 601 * S, SETTINGS)
    assert outputs(state, 601 * S, SETTINGS).locks == ()


def test_a_press_sends_the_dome_to_the_panel_and_moves_are_bounded() -> None:
    assert at("raised").dome.preset == 1
    state = step(at("answered"), ev.DomeMoved(1.0, 0.0, 0.0, 3600 * S), 9 * S, SETTINGS)
    assert state.dome.until_mono_ns == 9 * S + SETTINGS.dome_move_limit_ns


def test_refusals_say_why() -> None:
    assert refusal(idle(), ev.Answered(INCIDENT, "Ann")) == "no such open incident"
    assert refusal(at("closing"), ev.Answered(INCIDENT, "Ann")) == "the incident is closing already"
    assert refusal(at("raised"), ev.Answered(INCIDENT, "Ann")) is None
    test = step(idle(), dataclasses.replace(raised("test"), origin="periodic"), 0, SETTINGS)
    assert refusal(test, ev.Extended(INCIDENT, "Ann", S)) == "a periodic test ends by itself"


def test_a_call_goes_to_the_room_that_has_taken_it_and_not_away_from_who_talks() -> None:
    state = step(at("received"), ev.Accepted(INCIDENT, "Ann", "council"), 9 * S, SETTINGS)
    state = step(state, ev.Answered(INCIDENT, "Ann", ""), 9 * S, SETTINGS)  # by a broker that belongs to nobody
    assert only(state).taken_by == "council"
    state = step(state, ev.Accepted(INCIDENT, "Bob", "police"), 9 * S, SETTINGS)
    assert (only(state).accepted_by, only(state).taken_by) == ("Bob", "council")
    state = step(state, ev.Answered(INCIDENT, "Bob", "police"), 9 * S, SETTINGS)
    assert only(state).taken_by == "police"


def test_a_reboot_keeps_the_incident_and_forgets_the_instants() -> None:
    after = rebooted(at("answered"), 7, 3 * S)
    assert only(after).stage == "answered"
    assert only(after).boot == 0
    assert only(after).since_mono_ns == 3 * S
    assert after.heard_mono_ns is None
    assert rebooted(after, 7, 9 * S) is after


@pytest.mark.parametrize(("name", "state"), EVERY, ids=[name for name, _ in EVERY])
def test_time_changes_outputs_only_at_the_told_instants(name: str, state: State) -> None:
    now = 36 * S  # past every state's own past
    state = step(state, ev.Tick(), now, SETTINGS)
    for _ in range(20):
        upcoming = next_change_ns(state, now, SETTINGS)
        end = upcoming - 1 if upcoming is not None else now + 10**15
        quiet = step(state, ev.Tick(), end, SETTINGS)
        assert outputs(quiet, end, SETTINGS) == outputs(step(state, ev.Tick(), now, SETTINGS), now, SETTINGS)
        if upcoming is None:
            return
        state, now = step(state, ev.Tick(), upcoming, SETTINGS), upcoming
    pytest.fail("time never comes to rest")
