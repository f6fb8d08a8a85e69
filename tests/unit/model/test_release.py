"""A lock's release as a level of the state, and the date on which somebody should look at a lock again."""

import pytest
from msgspec.structs import replace

from tests.unit.model.worlds import INCIDENT, SETTINGS, S, at, every_state
from unitd.model import events as ev
from unitd.model.incident import STAGES, Release, State
from unitd.model.outputs import outputs
from unitd.model.step import KEPT_RELEASES, rebooted, refusal, step

RELEASED = ev.LockReleased(INCIDENT, "Ann", "looked at")
DAY_US = 86_400_000_000
OFFSET_US = 1_795_000_000_000_000


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "closed"])
def test_the_lock_of_an_open_incident_is_not_released(stage: str) -> None:
    state = at(stage)  # type: ignore[arg-type]
    assert "close it first" in str(refusal(state, RELEASED))
    assert step(state, RELEASED, 90 * S, SETTINGS).releases == ()


@pytest.mark.parametrize("name,state", list(every_state()), ids=[name for name, _ in every_state()])
def test_from_every_state_a_release_is_wanted_until_it_is_carried_out(name: str, state: State) -> None:
    other = "55555555-5555-4555-8555-555555555555"
    wanted = ev.LockReleased(other, "Ann", "looked at")
    after = step(state, wanted, 90 * S, SETTINGS)
    assert after.releases == (Release(other, "Ann", "looked at"),)
    assert outputs(after, 90 * S, SETTINGS).releases == after.releases
    assert refusal(after, wanted) == "the lock is being released already"
    assert step(after, wanted, 91 * S, SETTINGS).releases == after.releases
    assert rebooted(after, after.boot + 1, 0).releases == after.releases
    assert step(after, ev.LockGone(other), 92 * S, SETTINGS).releases == ()
    assert step(after, ev.LockGone(INCIDENT), 92 * S, SETTINGS).releases == after.releases


def test_releases_that_the_disk_does_not_take_are_bounded() -> None:
    state = State()
    for number in range(KEPT_RELEASES + 5):
        state = step(state, ev.LockReleased(f"incident-{number}", "Ann", "looked at"), 0, SETTINGS)
    assert len(state.releases) == KEPT_RELEASES
    assert "wait for the disk" in str(refusal(state, RELEASED))


@pytest.mark.parametrize(("outcome", "days"), [("genuine", 31), ("hoax", 7), ("unknown", 31), ("test", 31)])
def test_a_complete_lock_says_when_to_look_at_it_again(outcome: str, days: int) -> None:
    state = replace(at("received"), utc_offset_us=OFFSET_US)
    state = step(state, ev.Closed(INCIDENT, "Ann", outcome), 10 * S, SETTINGS)  # type: ignore[arg-type]
    [lock] = outputs(state, 10 * S, SETTINGS).locks
    assert lock.review_utc_us is None
    state = step(state, ev.Tick(), 10 * S + SETTINGS.post_roll_ns, SETTINGS)
    [lock] = state.closed_locks
    ended_us = (10 * S + SETTINGS.post_roll_ns) // 1000 + OFFSET_US
    assert lock.review_utc_us == ended_us + days * DAY_US


def test_without_a_clock_nobody_knows_when() -> None:
    state = step(at("received"), ev.Closed(INCIDENT, "Ann", "hoax"), 10 * S, SETTINGS)
    state = step(state, ev.Tick(), 10 * S + SETTINGS.post_roll_ns, SETTINGS)
    assert state.closed_locks[0].review_utc_us is None
