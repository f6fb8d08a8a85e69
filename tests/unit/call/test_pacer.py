"""Packets leave at a pace: a backlog shrinks, nothing waits for long, and the clean case is left alone."""

from itertools import pairwise

import pytest

from unitd.call.congestion.pacer import (
    CLEAN_LEAST_BIT_S,
    LEAST_BIT_S,
    LONGEST_WAIT_S,
    START_FACTOR,
    BitRate,
    pace_bit_s,
)
from unitd.call.rtc.packets import Pacer

PACKET = 1200


def leaving_times(pacer: Pacer, count: int) -> list[float]:
    """When `count` packets that are all there at once leave."""
    now_s, times = 10.0, []
    for _ in range(count):
        now_s += pacer.wait_s(PACKET, now_s)
        times.append(now_s)
    return times


def test_a_burst_leaves_at_the_pace() -> None:
    pacer = Pacer(2_000_000)
    times = leaving_times(pacer, 200)
    assert times[0] == 10.0, "the first never waits"
    assert times[-1] - times[0] == pytest.approx(200 * PACKET * 8 / 2_000_000, rel=0.05)
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.006
    assert pacer.sent == 200


def test_a_stream_below_the_pace_never_waits() -> None:
    pacer = Pacer(2_000_000)
    assert [pacer.wait_s(PACKET, 10 + at * 0.01) for at in range(500)] == [0.0] * 500


def test_an_idle_time_is_not_saved_up_for_a_burst() -> None:
    pacer = Pacer(1_000_000)
    pacer.wait_s(PACKET, 1.0)
    times = leaving_times(pacer, 100)
    assert times[-1] - times[0] > 0.9 * 100 * PACKET * 8 / 1_000_000


def test_the_pace_is_above_the_stream_and_bounded_in_what_waits() -> None:
    assert pace_bit_s(1_000_000, False, 0) == START_FACTOR * 1_000_000
    assert pace_bit_s(10_000, False, 0) == LEAST_BIT_S
    assert pace_bit_s(1_000_000, True, 0) == CLEAN_LEAST_BIT_S
    waiting = 3_000_000
    assert waiting * 8 / pace_bit_s(1_000_000, False, waiting) <= LONGEST_WAIT_S


def test_the_rate_is_the_streams_own_after_a_moment_and_a_guess_before() -> None:
    rate = BitRate(5e6)
    assert rate.bit_s == 5e6
    for at in range(200):
        rate.add(at * 50_000_000, 5000)
    assert rate.bit_s == pytest.approx(800_000, rel=0.05)
    rate.add(0, 100)
    assert rate.bit_s == 5e6, "a time line of its own begins"
