"""What ends by itself: incidents at the closing limit, isolations, periodic tests. And what never does."""

import msgspec
import pytest

from tests.unit.model.test_routes import Life
from unitd.model import events as ev
from unitd.model.incident import TEST_HOURS, Settings, State
from unitd.model.microphone import microphone_open
from unitd.model.outputs import outputs
from unitd.model.passing import KEPT_UNRECEIVED
from unitd.model.step import KEPT_RAISED, LONGEST_ISOLATION_NS, rebooted, refusal

S = 1_000_000_000
HOUR_S = 3600
LIMITED = Settings(close_after_ns=4 * HOUR_S * S, post_roll_ns=30 * S)
TESTED = Settings(test_every_ns=72 * HOUR_S * S, test_answer_within_ns=900 * S, post_roll_ns=30 * S)
PRESS = ev.Pressed("p1", "i1", 0, 0, "unknown")


def raised(kind: str, press_id: str = "t1", incident_id: str = "j1", origin: str = "sensor") -> ev.Raised:
    return ev.Raised(press_id, incident_id, kind, 0, 0, "unknown", origin=origin)  # type: ignore[arg-type]


def test_without_a_limit_only_an_operator_closes() -> None:
    life = Life(Settings()).apply(PRESS).until(30 * 24 * HOUR_S)
    assert life.incident.active


def test_the_limit_counts_from_the_last_press_or_step() -> None:
    life = Life(LIMITED).apply(PRESS).until(3 * HOUR_S)
    life.apply(ev.Pressed("p2", "x", life.now_ns, 0, "unknown")).until(6 * HOUR_S).apply(ev.Accepted("i1", "Ann"))
    assert life.until(10 * HOUR_S - 1).incident.active
    assert not life.until(10 * HOUR_S).incident.active
    assert (life.incident.closed_by, life.incident.outcome) == ("unit", "unknown")


def test_an_operator_can_extend_it() -> None:
    life = Life(LIMITED).apply(PRESS).until(3 * HOUR_S).apply(ev.Extended("i1", "Ann", 10 * HOUR_S * S))
    assert life.until(13 * HOUR_S - 1).incident.active
    assert not life.until(13 * HOUR_S).incident.active


def test_an_extension_never_shortens() -> None:
    life = Life(LIMITED).apply(PRESS).apply(ev.Extended("i1", "Ann", 60 * S))
    assert life.until(4 * HOUR_S - 1).incident.active


def test_a_limit_that_closes_loses_no_alarm() -> None:
    """Unreceived: the person's alarm still goes out, though nobody is expected at the pole any more."""
    life = Life(LIMITED).apply(PRESS).until(5 * HOUR_S)
    assert life.incident.stage == "closed"
    assert [press.press_id for _, press in outputs(life.state, life.now_ns, LIMITED).alarms] == ["p1"]
    assert not microphone_open(life.state)
    life.apply(ev.AlarmReceived(("p1",)))
    assert life.state.incidents == ()


@pytest.mark.parametrize("event", [ev.Extended("nobody", "Ann", S), ev.IsolationEnded("Ann")])
def test_commands_without_sense_are_refused_in_words(event: ev.Event) -> None:
    assert refusal(State(), event)


def test_isolation_rests_machines_and_never_a_press() -> None:
    life = Life(LIMITED).apply(ev.Isolated("Max", "new lamp", HOUR_S * S))
    life.apply(raised("tamper")).apply(raised("intrusion", "t2", "j2"))
    assert life.state.incidents == () and life.state.suppressed == 2
    life.apply(PRESS)
    assert life.incident.kind == "panic"


def test_isolation_ends_by_itself() -> None:
    life = Life(LIMITED).apply(ev.Isolated("Max", "new lamp", HOUR_S * S))
    assert life.until(HOUR_S - 1).state.isolation is not None
    assert life.until(HOUR_S).state.isolation is None
    assert life.apply(raised("tamper")).incident.kind == "tamper"


def test_isolation_is_never_longer_than_a_shift_and_ends_with_the_power() -> None:
    life = Life(LIMITED).apply(ev.Isolated("Max", "", 10**18))
    assert life.state.isolation is not None and life.state.isolation.until_mono_ns == LONGEST_ISOLATION_NS
    assert rebooted(life.state, 2, 0).isolation is None


def test_trembling_machines_are_bounded() -> None:
    life = Life(LIMITED)
    for number in range(100):
        life.apply(raised("tamper", f"t{number}", f"j{number}"))
    assert len(life.state.incidents) == KEPT_RAISED
    assert refusal(life.state, raised("tamper"))
    assert life.apply(PRESS).state.served is not None and life.state.served.kind == "panic"  # type: ignore[union-attr]


def due(life: Life) -> bool:
    return outputs(life.state, life.now_ns, life.settings).test_due


def periodic(life: Life) -> Life:
    number = life.now_ns
    return life.apply(ev.Raised(f"t{number}", f"j{number}", "test", life.now_ns, 0, "unknown", origin="periodic"))


def test_a_test_is_due_a_day_after_the_first_start_and_then_every_period() -> None:
    life = Life(TESTED)
    assert not due(life.until(24 * HOUR_S - 1))
    assert due(life.until(24 * HOUR_S))
    periodic(life)
    assert not due(life)
    assert not due(life.until(96 * HOUR_S - 1))


def test_nobody_answers_a_test() -> None:
    life = periodic(Life(TESTED).until(24 * HOUR_S))
    assert life.until(24 * HOUR_S + 899).incident.active
    life.until(24 * HOUR_S + 900)
    assert (life.incident.outcome, life.incident.closed_by) == ("fault", "unit")
    assert life.state.test_unanswered


@pytest.mark.parametrize("event", [ev.Accepted, ev.Answered])
def test_an_answered_test_ends_by_itself_and_heals_the_fault(event: type[ev.Accepted]) -> None:
    state = msgspec.structs.replace(State(boot=1), test_unanswered=True)
    life = periodic(Life(TESTED, state).until(24 * HOUR_S))
    life.apply(event(life.incident.incident_id, "Ann"))
    assert not life.state.test_unanswered
    life.until(24 * HOUR_S + 60)
    assert (life.incident.outcome, life.incident.closed_by) == ("test", "unit")


def test_closing_a_test_answers_it() -> None:
    state = msgspec.structs.replace(State(boot=1), test_unanswered=True)
    life = periodic(Life(TESTED, state).until(24 * HOUR_S))
    life.apply(ev.Closed(life.incident.incident_id, "Ann", "test"))
    assert not life.state.test_unanswered


def test_a_press_during_a_test_is_a_panic_of_its_own_and_is_served_first() -> None:
    life = periodic(Life(TESTED).until(24 * HOUR_S))
    life.apply(ev.Pressed("p1", "i1", life.now_ns, 0, "unknown"))
    assert [each.kind for each in life.state.incidents] == ["test", "panic"]
    assert life.state.served is not None and life.state.served.kind == "panic"
    life.until(48 * HOUR_S)  # the test ends by itself, the person does not
    assert [each.kind for each in life.state.incidents if each.active] == ["panic"]


@pytest.mark.parametrize("event", [PRESS, ev.Isolated("Max", "", 8 * HOUR_S * S)])
def test_a_test_waits_for_incidents_and_engineers(event: ev.Event) -> None:
    life = Life(TESTED).until(24 * HOUR_S - 60).apply(event)
    assert not due(life.until(24 * HOUR_S))


def test_a_unit_that_is_switched_off_each_night_is_still_tested() -> None:
    """By the wall clock, once it is known; without it, within a day of a start."""
    day_us = 24 * HOUR_S * 1_000_000
    life = Life(TESTED).apply(ev.ClockKnown(0)).until(24 * HOUR_S)
    assert due(life)
    life = periodic(life)
    life.apply(ev.AlarmReceived((life.incident.presses[0].press_id,))).until(25 * HOUR_S)
    state = rebooted(life.state, 2, 0)
    after = Life(TESTED, state).apply(ev.ClockKnown(3 * day_us))  # this boot began three days after the first
    assert not due(after.until(24 * HOUR_S - 1))
    assert due(after.until(24 * HOUR_S))


def test_a_test_without_a_clock_gets_its_date_later() -> None:
    life = periodic(Life(TESTED).until(24 * HOUR_S)).until(25 * HOUR_S).apply(ev.ClockKnown(10**15))
    assert life.state.tested_utc_us == 24 * HOUR_S * 1_000_000 + 10**15


def test_a_test_keeps_its_hours_and_is_silent_on_the_street() -> None:
    settings = msgspec.structs.replace(TESTED, test_hours=True)
    life = Life(settings).apply(ev.DutyKnown(())).until(30 * HOUR_S)
    assert not due(life)
    assert due(life.apply(ev.DutyKnown((TEST_HOURS,))))
    assert due(life.apply(ev.DutyKnown(None)))  # nobody knows the hour: better at night than never
    periodic(life)
    for seconds in (0, 1, 61, 901):
        life.until(30 * HOUR_S + seconds)
        levels = outputs(life.state, life.now_ns, settings)
        assert (levels.sounder, levels.prompt) == (False, None), seconds


def test_a_unit_without_tests_makes_none() -> None:
    assert not due(Life(Settings()).until(400 * HOUR_S))


def test_a_month_of_abuse_without_a_control_room_is_bounded_and_every_incident_still_tells_of_itself() -> None:
    life = Life(Settings(close_after_ns=600 * S, post_roll_ns=30 * S))
    for number in range(100):
        for press in range(40):
            life.apply(ev.Pressed(f"p-{number}-{press}", f"i-{number}", life.now_ns, 0, "unknown"))
        life.until(life.now_ns / S + 700)
    kept = [press.press_id for _, press in outputs(life.state, life.now_ns, life.settings).alarms]
    assert len(kept) <= KEPT_UNRECEIVED + 40
    assert {each.split("-")[1] for each in kept} == {str(number) for number in range(100)}
    assert all(incident.count == 40 for incident in life.state.incidents)
