"""The guard over a call's time: it tells and never ends what an operator has not ended."""

import pytest
from msgspec.structs import replace

from tests.unit.model.worlds import INCIDENT, SETTINGS, S, at, pressed
from unitd.model import events as ev
from unitd.model.guard import AWAY_NS, closes_ns, tells_ns
from unitd.model.incident import Incident, Settings, State
from unitd.model.outputs import next_change_ns
from unitd.model.step import rebooted, step

LIMIT = 4000 * S
ANSWERED = 5 * S - S
GUARDED = replace(SETTINGS, close_after_ns=LIMIT, warn_after_ns=1800 * S, warn_before_close_ns=300 * S)


def only(state: State) -> Incident:
    [incident] = state.incidents
    return incident


def warnings(state: State, until_ns: int, settings: Settings = GUARDED) -> list[int]:
    """The instants (s) at which something is told, by time alone."""
    now_ns, found, told = 10 * S, [], only(state).guard.told
    while True:
        next_ns = next_change_ns(state, now_ns, settings)
        if next_ns is None or next_ns > until_ns:
            return found
        now_ns = next_ns
        state = step(state, ev.Tick(), now_ns, settings)
        if not state.incidents or not only(state).active:
            return found
        if only(state).guard.told > told:
            told = only(state).guard.told
            found.append(now_ns // S)


def test_the_operator_is_told_again_and_again_and_before_the_limit() -> None:
    state = step(at("answered"), ev.OnLine(INCIDENT, True), 10 * S, GUARDED)
    assert warnings(state, 8000 * S) == [1804, 3604, 3704, 5404, 7204]


def test_extending_counts_afresh_and_tells_of_the_new_limit() -> None:
    state = step(at("answered"), ev.OnLine(INCIDENT, True), 10 * S, GUARDED)
    state = step(state, ev.Extended(INCIDENT, "Ann", 9000 * S), 1000 * S, GUARDED)
    assert warnings(state, 10_000 * S) == [2800, 4600, 6400, 8200, 9700, 10_000]


def test_without_the_keys_nobody_is_told() -> None:
    quiet = replace(GUARDED, warn_after_ns=None, close_after_ns=None)
    assert tells_ns(only(at("answered")), quiet) is None


@pytest.mark.parametrize("stage", ["raised", "sent", "received", "accepted"])
def test_before_an_answer_only_the_limit_is_told_of(stage: str) -> None:
    assert len(warnings(at(stage), LIMIT * 2)) == 1  # type: ignore[arg-type]


def test_the_limit_does_not_close_while_an_answered_operator_is_on_the_line() -> None:
    state = step(at("answered"), ev.OnLine(INCIDENT, True), 10 * S, GUARDED)
    for now in (LIMIT, 10 * LIMIT):
        state = step(state, ev.Tick(), now, GUARDED)
        assert only(state).stage == "answered"
    left_ns = 10 * LIMIT + S
    state = step(state, ev.OnLine(INCIDENT, False), left_ns, GUARDED)
    assert only(step(state, ev.Tick(), left_ns + AWAY_NS - 1, GUARDED)).stage == "answered"
    assert next_change_ns(state, left_ns + 2 * S, replace(GUARDED, warn_after_ns=None)) == left_ns + AWAY_NS
    assert only(step(state, ev.Tick(), left_ns + AWAY_NS, GUARDED)).stage == "closing"
    back = step(state, ev.OnLine(INCIDENT, True), left_ns + S, GUARDED)
    assert only(step(back, ev.Tick(), left_ns + 9 * AWAY_NS, GUARDED)).stage == "answered"


def test_a_console_that_shows_the_picture_of_an_unanswered_call_holds_nothing_open() -> None:
    state = step(at("accepted"), ev.OnLine(INCIDENT, True), 10 * S, GUARDED)
    assert closes_ns(only(state), GUARDED) == LIMIT + 3 * S


def test_a_unit_that_stands_alone_keeps_its_limit() -> None:
    alone = replace(GUARDED, alone=True)
    state = step(at("answered"), ev.OnLine(INCIDENT, True), 10 * S, alone)
    assert step(state, ev.Tick(), LIMIT + 4 * S, alone).incidents[0].stage == "closing"
    assert only(state).guard.told == 0


def test_a_short_break_of_the_line_does_not_move_the_limit() -> None:
    state = step(at("answered"), ev.OnLine(INCIDENT, True), 10 * S, GUARDED)
    state = step(state, ev.OnLine(INCIDENT, False), 20 * S, GUARDED)
    assert closes_ns(only(state), GUARDED) == LIMIT + ANSWERED


def test_a_press_moves_the_limit_and_it_is_told_of_again() -> None:
    state = step(at("answered"), ev.Tick(), 3704 * S, GUARDED)
    told = only(state).guard.told
    state = step(state, pressed("another", at_ns=3800 * S), 3800 * S, GUARDED)
    assert only(step(state, ev.Tick(), 7499 * S, GUARDED)).guard.limit_told_ns == LIMIT + ANSWERED
    later = step(state, ev.Tick(), 7500 * S, GUARDED)
    assert only(later).guard.limit_told_ns == LIMIT + 3800 * S
    assert only(later).guard.told > told


def test_after_a_restart_the_count_begins_afresh_and_nobody_is_on_the_line() -> None:
    state = step(at("answered"), ev.OnLine(INCIDENT, True), 10 * S, GUARDED)
    state = rebooted(state, 9, 2 * S)
    assert not only(state).guard.on_line
    assert closes_ns(only(state), GUARDED) == LIMIT + 2 * S
