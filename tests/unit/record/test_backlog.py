"""The bounded queue: what comes out can always be decoded, and every drop is counted."""

from tests.unit.record.samples import FPS, INFO, units
from unitd.record.backlog import Backlog, SessionUnit


def test_an_overflow_drops_to_the_next_keyframe() -> None:
    stream = [SessionUnit(1, INFO, unit) for unit in units(3 * FPS)]
    limit = sum(len(item.unit.data) for item in stream[:25])
    backlog = Backlog(limit)
    for item in stream[: 2 * FPS]:
        backlog.put(item)
    assert len(backlog) == 25
    assert backlog.dropped == 2 * FPS - 25
    assert backlog.drops == 1
    taken = [backlog.take(0) for _ in range(25)]
    assert taken == stream[:25]
    for item in stream[2 * FPS :]:
        backlog.put(item)
    first = backlog.take(0)
    assert first is not None
    assert first.unit.keyframe


def test_taking_waits_no_longer_than_told_and_a_poke_ends_the_wait() -> None:
    backlog = Backlog(1000)
    assert backlog.take(0.01) is None
    backlog.poke()
    assert backlog.take(60.0) is None
