"""Watching outside an incident: the microphone stays shut whatever happens, and any incident ends it."""

from dataclasses import replace

import pytest

from tests.unit.model.worlds import (
    ANNOUNCE,
    INCIDENT,
    SETTINGS,
    WATCH,
    S,
    at,
    every_event,
    every_state,
    idle,
    pressed,
    raised,
)
from unitd.model import events as ev
from unitd.model.incident import PRECEDENCE, State
from unitd.model.microphone import microphone_open
from unitd.model.outputs import next_change_ns, outputs
from unitd.model.step import rebooted, refusal, step

EVERY = list(every_state())


@pytest.mark.parametrize(("name", "state"), EVERY, ids=[name for name, _ in EVERY])
@pytest.mark.parametrize("order", [WATCH, ANNOUNCE], ids=["watch", "announce"])
def test_no_watch_ever_opens_the_microphone_from_any_state(name: str, state: State, order: ev.WatchOrdered) -> None:
    """Not by itself, and not by anything that happens in it."""
    now = 8 * S
    was_open = microphone_open(step(state, ev.Tick(), now, SETTINGS))
    watched = step(state, order, now, SETTINGS)
    assert microphone_open(watched) is was_open
    for event in every_event():
        after = step(watched, event, now, SETTINGS)
        levels = outputs(after, now, SETTINGS)
        assert (after.watch is None) or not any(each.open for each in after.incidents)
        if levels.call is not None and levels.call.watch is not None:
            assert not levels.call.microphone, event
            assert not levels.microphone
            assert levels.prompt is None or levels.prompt == "ended"
            assert not levels.sounder


def test_a_watch_is_a_call_with_the_picture_alone() -> None:
    call = outputs(step(idle(), WATCH, 0, SETTINGS), 0, SETTINGS).call
    assert call is not None
    assert (call.incident_id, call.microphone, call.voices) == ("w1", False, False)
    call = outputs(step(idle(), ANNOUNCE, 0, SETTINGS), 0, SETTINGS).call
    assert call is not None
    assert (call.incident_id, call.microphone, call.voices) == ("w2", False, True)


@pytest.mark.parametrize("kind", PRECEDENCE)
def test_an_incident_of_any_kind_ends_it_and_is_served(kind: str) -> None:
    state = step(idle(), ANNOUNCE, 0, SETTINGS)
    event = pressed(at_ns=5 * S) if kind == "panic" else raised(kind, at_ns=5 * S)  # type: ignore[arg-type]
    state = step(state, event, 5 * S, SETTINGS)
    assert state.watch is None
    assert state.watched is not None
    assert (state.watched.by, state.watched.reason, state.watched.seconds) == ("unit", "an incident began", 5)
    call = outputs(state, 5 * S, SETTINGS).call
    assert call is not None
    assert (call.incident_id, call.watch, call.voices) == (INCIDENT, None, False)


def test_it_ends_by_itself_and_says_when() -> None:
    state = step(idle(), WATCH, 0, SETTINGS)
    assert next_change_ns(state, 100 * S, SETTINGS) == 300 * S
    assert step(state, ev.Tick(), 300 * S - 1, SETTINGS).watch is not None
    after = step(state, ev.Tick(), 300 * S, SETTINGS)
    assert after.watch is None
    assert after.watched is not None
    assert (after.watched.watch_id, after.watched.watcher, after.watched.by) == ("w1", "Ann", "unit")
    assert (after.watched.reason, after.watched.seconds) == ("its time was over", 300)


def test_nobody_watches_for_longer_than_an_hour() -> None:
    state = step(idle(), ev.WatchOrdered("w", "Ann", "why", 10**18), 0, SETTINGS)
    assert step(state, ev.Tick(), 3600 * S, SETTINGS).watch is None


def test_one_person_at_a_time_who_may_go_on() -> None:
    state = step(idle(), WATCH, 0, SETTINGS)
    bob = ev.WatchOrdered("w3", "Bob", "me too", S)
    assert refusal(state, bob) == "Ann is watching already"
    assert step(state, bob, S, SETTINGS) == state
    longer = step(state, ev.WatchOrdered("w4", "Ann", "still there", 600 * S, announce=True), 100 * S, SETTINGS)
    assert longer.watch is not None
    assert (longer.watch.watch_id, longer.watch.until_mono_ns, longer.watch.announce) == ("w1", 700 * S, True)
    assert longer.watched is None


def test_two_rooms_may_each_have_an_ann() -> None:
    state = step(idle(), replace(WATCH, room="council"), 0, SETTINGS)
    other = replace(WATCH, watch_id="w3", room="police")
    assert refusal(state, other) == "Ann is watching already"
    assert step(state, other, S, SETTINGS) == state
    assert refusal(state, replace(other, room="council")) is None


def test_anybody_may_end_it_and_who_did_is_kept() -> None:
    state = step(step(idle(), WATCH, 0, SETTINGS), ev.WatchEnded("Bob"), 7 * S, SETTINGS)
    assert state.watch is None
    assert state.watched is not None
    assert (state.watched.watcher, state.watched.by, state.watched.seconds) == ("Ann", "Bob", 7)
    assert refusal(state, ev.WatchEnded("Bob")) == "nobody is watching"


@pytest.mark.parametrize("stage", ["raised", "sent", "received", "accepted", "answered"])
def test_inside_an_incident_it_says_what_to_do_instead(stage: str) -> None:
    state = at(stage)  # type: ignore[arg-type]
    assert refusal(state, WATCH) == "the call shows it"
    assert refusal(state, ANNOUNCE) == "answer opens the voices"
    assert step(state, ANNOUNCE, 8 * S, SETTINGS).watch is None


def test_while_an_incident_closes_its_microphone_is_open_and_no_watch_begins() -> None:
    assert refusal(at("closing"), WATCH) == "an incident is closing: try again in a moment"
    assert step(at("closing"), WATCH, 8 * S, SETTINGS).watch is None
    assert refusal(at("closed"), WATCH) is None


def test_a_restart_of_the_machine_ends_it_and_it_is_told() -> None:
    state = rebooted(step(State(boot=3), WATCH, 0, SETTINGS), 4, 9 * S)
    state = step(state, ev.Tick(), 9 * S, SETTINGS)
    assert state.watch is None
    assert state.watched is not None
    assert (state.watched.reason, state.watched.seconds) == ("the machine was restarted", None)
