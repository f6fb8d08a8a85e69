"""The dome never turns longer than it may: the policy, from every state."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitd.model.dome import (
    MOVE_REPEAT_MS,
    PRESET_AFTER_MS,
    SETTLE_MS,
    STOP_AFTER_MS,
    AtPreset,
    DomePolicy,
    Goal,
    GoPreset,
    Move,
    Stop,
    Stopped,
)

MS = 1_000_000
LIMIT_S = 2.0
FAR = 10**15


def run(policy: DomePolicy, from_ms: int, to_ms: int) -> list[tuple[int, Any]]:
    """Every order with its time in ms, `due` being called exactly when the policy asks for it."""
    out, now = [], from_ms * MS
    while now <= to_ms * MS:
        out += [(now // MS, order) for order in policy.due(now)]
        following = policy.next_ns()
        if following is None:
            break
        assert following > now, "due has been called and wants to be called again at once: a busy loop"
        now = following
    return out


def move(number: int, until_ms: int = FAR // MS, pan: float = 0.5) -> Goal:
    return Goal(session=1, number=number, pan=pan, until_ns=until_ms * MS)


def idle(_policy: DomePolicy) -> None:
    return


def moving(policy: DomePolicy) -> None:
    policy.want(move(1), 0)
    policy.due(0)


def move_unsent(policy: DomePolicy) -> None:
    policy.want(move(1), 0)


def stopping(policy: DomePolicy) -> None:
    moving(policy)
    policy.want(Goal(session=1, number=2), 0)
    policy.due(0)


def to_preset(policy: DomePolicy) -> None:
    policy.want(Goal(session=1, number=1, preset=4), 0)
    policy.due(0)


def to_preset_while_moving(policy: DomePolicy) -> None:
    moving(policy)
    policy.want(Goal(session=1, number=2, preset=4), 0)


def reopened(policy: DomePolicy) -> None:
    moving(policy)
    policy.opened(0)


STATES = [idle, moving, move_unsent, stopping, to_preset, to_preset_while_moving, reopened]
states = pytest.mark.parametrize("state", STATES, ids=[state.__name__ for state in STATES])


def made(state: Any) -> DomePolicy:
    policy = DomePolicy(LIMIT_S)
    state(policy)
    return policy


@states
def test_a_move_is_sent_repeated_and_ended_by_its_limit(state: Any) -> None:
    policy = made(state)
    policy.want(move(10, pan=-1.0), 10 * MS)
    orders = run(policy, 10, 60_000)
    moves = [at for at, order in orders if order == Move(-1.0, 0.0, 0.0)]
    assert moves == list(range(10, 2010, MOVE_REPEAT_MS))
    stops = [at for at, order in orders if order == Stop() and at >= 2010]
    assert stops == [2010 + after for after in STOP_AFTER_MS]
    assert (2010, Stopped()) in orders
    assert not policy.turning


@states
def test_a_move_ends_at_its_own_end(state: Any) -> None:
    policy = made(state)
    policy.want(move(10, until_ms=510), 10 * MS)
    orders = run(policy, 10, 60_000)
    assert max(at for at, order in orders if isinstance(order, Move)) < 510
    assert (510, Stop()) in orders


@states
@pytest.mark.parametrize(
    "goal", [Goal(session=1, number=10), move(10, until_ms=5), move(10, pan=0.0)], ids=["none", "past", "zero"]
)
def test_stop_is_sent_at_once_and_repeated(state: Any, goal: Goal) -> None:
    policy = made(state)
    policy.want(goal, 10 * MS)
    orders = run(policy, 10, 60_000)
    assert [at for at, order in orders if order == Stop()] == [10 + after for after in STOP_AFTER_MS]
    assert not [order for _, order in orders if isinstance(order, Move | GoPreset | AtPreset)]


@states
def test_a_preset_is_called_twice_after_one_stop_and_never_stopped_on_its_way(state: Any) -> None:
    policy = made(state)
    policy.want(Goal(session=1, number=10, preset=7), 10 * MS)
    orders = [(at, order) for at, order in run(policy, 10, 60_000) if order != Stopped()]
    calls = [(10 + after, GoPreset(7)) for after in PRESET_AFTER_MS]
    assert orders == [(10, Stop()), *calls, (10 + SETTLE_MS, AtPreset(7))]


@states
def test_losing_core_ends_a_move_and_nothing_else(state: Any) -> None:
    policy = made(state)
    turning = policy.turning
    policy.core_lost(10 * MS)
    first = policy.due(10 * MS)
    assert (Stop() in first) or not turning
    assert not policy.turning
    assert not [order for _, order in run(policy, 11, 60_000) if isinstance(order, Move)]


@states
def test_an_opened_line_begins_with_a_stop(state: Any) -> None:
    policy = made(state)
    policy.opened(10 * MS)
    assert policy.due(10 * MS)[0] == Stop()
    assert not [order for _, order in run(policy, 11, 60_000) if isinstance(order, Move)]


@states
def test_a_late_call_after_the_end_gives_no_move(state: Any) -> None:
    policy = made(state)
    orders = policy.due(int(LIMIT_S * 1e9) + 1)
    assert not [order for order in orders if isinstance(order, Move)]
    assert not policy.turning


@states
def test_the_last_orders_leave_nothing_turning(state: Any) -> None:
    policy = made(state)
    if policy.turning:
        assert policy.last_orders() == [Stop()] * 3


def test_old_numbers_do_nothing() -> None:
    policy = made(moving)
    policy.want(move(1, pan=1.0), 100 * MS)
    policy.want(Goal(session=1, number=0, preset=3), 100 * MS)
    assert {order for _, order in run(policy, 100, 1900)} == {Move(0.5, 0.0, 0.0)}


def test_a_restarted_core_that_is_where_it_was_does_not_twitch_the_dome() -> None:
    policy = made(to_preset)
    run(policy, 0, 60_000)
    policy.want(Goal(session=2, number=1, preset=4), 60_000 * MS)
    assert run(policy, 60_000, 70_000) == []
    policy.want(Goal(session=2, number=2, preset=4), 70_000 * MS)
    assert (70_000, GoPreset(4)) in run(policy, 70_000, 80_000)


def test_a_restarted_core_that_counts_from_the_start_is_obeyed() -> None:
    policy = made(idle)
    policy.want(Goal(session=1, number=9, preset=4), 0)
    run(policy, 0, 60_000)
    policy.want(Goal(session=2, number=0), 60_000 * MS)
    assert run(policy, 60_000, 61_000) == []
    policy.want(Goal(session=2, number=1, preset=1), 61_000 * MS)
    assert (61_000, GoPreset(1)) in run(policy, 61_000, 62_000)


def test_a_wanted_preset_is_called_again_on_a_line_that_is_back() -> None:
    policy = made(to_preset)
    run(policy, 0, 60_000)
    policy.opened(60_000 * MS)
    assert [order for _, order in run(policy, 60_000, 60_001)] == [Stop(), GoPreset(4)]


speeds = st.sampled_from([0.0, -1.0, 0.3, 1.0])
deeds = st.one_of(
    st.tuples(st.just("move"), speeds, st.integers(0, 20_000)),
    st.tuples(st.just("stop")),
    st.tuples(st.just("preset"), st.integers(1, 3)),
    st.tuples(st.just("again")),
    st.tuples(st.just("core_lost")),
    st.tuples(st.just("opened")),
    st.tuples(st.just("new_core"), st.integers(0, 3)),
)


@settings(max_examples=1000)
@given(st.lists(st.tuples(deeds, st.integers(0, 3_000), st.integers(0, 150)), max_size=25))
def test_no_sequence_leaves_it_turning_longer_than_the_limit(steps: list[Any]) -> None:
    """A dome that turns until it is stopped, driven by any sequence, with `due` called up to 150 ms late."""
    policy = DomePolicy(LIMIT_S)
    limit_ms, late_ms = LIMIT_S * 1000, 150
    session, number, now = 1, 0, 0
    last = Goal()
    turning_since_goal: int | None = None
    turns = False

    def feel(at_ms: int) -> None:
        nonlocal turns
        for order in policy.due(at_ms * MS):
            if isinstance(order, Move):
                assert turning_since_goal is not None
                assert at_ms - turning_since_goal < limit_ms
                turns = True
            elif isinstance(order, Stop | GoPreset):
                turns = False
        if turns:
            assert turning_since_goal is not None
            assert at_ms - turning_since_goal <= limit_ms + late_ms

    for deed, wait_ms, lag_ms in steps:
        match deed:
            case ("move", pan, length_ms):
                number += 1
                last = Goal(session, number, None, pan, 0.0, 0.0, (now + length_ms) * MS)
                policy.want(last, now * MS)
                turning_since_goal = now
            case ("stop",):
                number += 1
                last = Goal(session, number)
                policy.want(last, now * MS)
            case ("preset", preset):
                number += 1
                last = Goal(session, number, preset)
                policy.want(last, now * MS)
            case ("again",):
                policy.want(last, now * MS)
            case ("core_lost",):
                policy.core_lost(now * MS)
            case ("opened",):
                policy.opened(now * MS)
            case ("new_core", first):
                session, number = session + 1, first
                last = Goal(session, number)  # nothing of the old core's can come after the new one's
                policy.want(last, now * MS)
        feel(now)
        end = now + wait_ms
        while (following := policy.next_ns()) is not None and following // MS + 1 + lag_ms <= end:
            now = max(now, following // MS + 1) + lag_ms
            feel(now)
        now = max(now, end)
        feel(now)
    while (following := policy.next_ns()) is not None:
        now = max(now, following // MS + 1)
        feel(now)
        assert policy.next_ns() is None or policy.next_ns() > now * MS
    assert not turns
    assert not policy.turning
