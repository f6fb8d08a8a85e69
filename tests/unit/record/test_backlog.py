"""The bounded queue: what comes out can always be decoded, and every drop is counted."""

import threading
import time

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
    assert backlog.take(0) == stream[:25]
    for item in stream[2 * FPS :]:
        backlog.put(item)
    taken = backlog.take(0)
    assert taken == stream[2 * FPS :]
    assert [backlog.was_dropped_before(item) for item in taken[:3]] == [True, False, False]


def test_a_picture_above_the_limit_passes_when_nothing_else_waits() -> None:
    keyframe, *rest = [SessionUnit(1, INFO, unit) for unit in units(FPS)]
    backlog = Backlog(len(keyframe.unit.data) - 1)
    backlog.put(keyframe)
    assert backlog.take(0) == [keyframe]
    backlog.put(rest[0])
    assert backlog.take(0) == rest[:1]
    assert backlog.dropped == 0


def test_taking_waits_no_longer_than_told_and_a_poke_ends_the_wait() -> None:
    backlog = Backlog(1000)
    assert backlog.take(0.01) == []
    backlog.poke()
    assert backlog.take(60.0) == []


def test_who_waits_for_a_fragment_is_not_woken_for_less() -> None:
    stream = [SessionUnit(1, INFO, unit) for unit in units(FPS)]
    due = (1, stream[10].unit.pts_90khz)
    backlog = Backlog(1 << 30)
    for item in stream[:10]:
        backlog.put(item)
    started = time.monotonic()
    feeder = threading.Timer(0.2, lambda: backlog.put(stream[10]))
    feeder.start()
    assert backlog.take(60.0, due) == stream[:11]
    assert time.monotonic() - started > 0.15
    backlog.put(SessionUnit(2, INFO, stream[0].unit))
    assert len(backlog.take(60.0, due)) == 1, "another session cannot be gathered with this one"
