"""A camera's times: kept to the tick while they can be, and mended by arrival when they cannot."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.drivers.rtp_clock import ReorderedError, RtpClock

FRAME = 4500
FRAME_NS = 50_000_000
WRAP = 1 << 32


def coded_order(count: int, between: int) -> list[int]:
    """Numbers of pictures as they are sent, with so many B-frames between two others."""
    order = [0]
    for last in range(between + 1, count, between + 1):
        order += [last, *range(last - between, last)]
    return order


@pytest.mark.parametrize(("between", "reorder"), [(1, 1), (2, 1), (3, 1), (2, 2), (7, 3)])
def test_b_frames_keep_their_times_across_the_wrap(between: int, reorder: int) -> None:
    clock = RtpClock(reorder)
    order = coded_order(200, between)
    times = [clock.stamp((WRAP - 90 * FRAME + number * FRAME) % WRAP, n * FRAME_NS) for n, number in enumerate(order)]
    first = times[0][0]
    assert [pts - first for pts, _ in times] == [number * FRAME for number in order]
    assert all(after > before for (_, before), (_, after) in itertools.pairwise(times))
    assert all(dts <= pts for pts, dts in times)
    assert clock.mended_times == 0


def test_more_reordering_than_was_said_is_found_out_and_then_understood() -> None:
    pyramid = [0, 8, 4, 2, 1, 3, 6, 5, 7]
    order = pyramid + [8 * turn + number for turn in range(1, 20) for number in pyramid[1:]]
    reorder = 0
    while True:
        clock = RtpClock(reorder)
        try:
            times = [clock.stamp(number * FRAME, n * FRAME_NS) for n, number in enumerate(order)]
            break
        except ReorderedError as error:
            assert error.reorder > reorder
            reorder = error.reorder
    assert reorder <= 6
    assert [pts - times[0][0] for pts, _ in times] == [number * FRAME for number in order]


@pytest.mark.parametrize("reorder", [0, 1])
@pytest.mark.parametrize("burst", [1, 8])
def test_a_clock_that_stands_still_goes_on_by_arrival(reorder: int, burst: int) -> None:
    clock = RtpClock(reorder)
    arrivals = [number // burst * burst * FRAME_NS for number in range(400)]
    stamps = [number * FRAME if number < 100 else 100 * FRAME for number in range(400)]
    times = [clock.stamp(stamp, arrival)[0] for stamp, arrival in zip(stamps, arrivals, strict=True)]
    assert 399 * FRAME - 60_000 < times[-1] - times[0] < 399 * FRAME + 60_000
    steps = sorted(after - before for before, after in itertools.pairwise(times))
    assert steps[10] > FRAME // 2
    assert steps[-10] < 2 * FRAME


def test_a_clock_of_another_rate_is_found_out() -> None:
    clock = RtpClock()
    times = [clock.stamp(number * 50, number * FRAME_NS)[0] for number in range(1000)]
    steps = [after - before for before, after in itertools.pairwise(times[400:])]
    assert all(abs(step - FRAME) < 100 for step in steps)


@pytest.mark.parametrize("step", [3600 * 90_000, -5 * 90_000, 5 * 90_000, 2**31])
@pytest.mark.parametrize("reorder", [0, 2])
def test_a_clock_that_was_set_costs_no_time(step: int, reorder: int) -> None:
    clock = RtpClock(reorder)
    times = [
        clock.stamp((number * FRAME + (step if number > 70 else 0)) % WRAP, number * FRAME_NS)[0]
        for number in range(200)
    ]
    assert {after - before for before, after in itertools.pairwise(times)} == {FRAME}
    assert clock.mended_times == 1


def test_another_source_goes_on_where_the_first_ended() -> None:
    clock = RtpClock()
    times = [clock.stamp(number * FRAME, number * FRAME_NS)[0] for number in range(20)]
    clock.renew()
    times += [clock.stamp((7_000_000 + number * FRAME) % WRAP, number * FRAME_NS)[0] for number in range(20, 40)]
    assert {after - before for before, after in itertools.pairwise(times)} == {FRAME}


@given(st.integers(0, 4), st.lists(st.tuples(st.integers(0, WRAP - 1), st.integers(0, 10**9)), max_size=60))
def test_whatever_comes_times_of_decoding_rise_and_come_before_those_of_showing(
    reorder: int, steps: list[tuple[int, int]]
) -> None:
    clock, arrival_ns, last = RtpClock(reorder), 0, -(1 << 62)
    for timestamp, wait_ns in steps:
        arrival_ns += wait_ns
        try:
            pts, dts = clock.stamp(timestamp, arrival_ns)
        except ReorderedError:
            return
        assert last < dts <= pts
        last = dts


def test_lost_pictures_do_not_upset_the_order() -> None:
    chosen = random.Random(5)
    clock = RtpClock(1)
    kept = [(n, number) for n, number in enumerate(coded_order(400, 2)) if n == 0 or chosen.random() > 0.1]
    times = [clock.stamp(number * FRAME, n * FRAME_NS) for n, number in kept]
    assert [pts - times[0][0] for pts, _ in times] == [number * FRAME for _, number in kept]
    assert all(after > before for (_, before), (_, after) in itertools.pairwise(times))


def test_a_clock_of_milliseconds_is_seen_within_a_second() -> None:
    clock = RtpClock()
    times = [clock.stamp(number * 50, number * 50_000_000)[0] for number in range(200)]
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert steps[:19] == [50] * 19
    assert all(4000 < step < 5000 for step in steps[25:])


def test_a_pause_in_the_first_second_is_no_slow_clock() -> None:
    """Ten pictures at once, nothing for 2 s, then a camera whose clock stood still meanwhile goes on."""
    clock = RtpClock()
    for number in range(100):
        clock.stamp(number * 4500, number * 50_000_000 + (2_000_000_000 if number > 9 else 0))
    assert clock.mended_times == 0


def test_a_stream_joined_at_an_open_gop_keeps_its_times() -> None:
    """The first pictures after the keyframe are shown before it; that they have no time of decoding shifts no other."""
    clock = RtpClock(2)
    numbers = [4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11]
    times = [clock.stamp(number * 3600, at * 40_000_000) for at, number in enumerate(numbers)]
    assert [pts - times[0][0] for pts, _ in times[4:]] == [(number - 4) * 3600 for number in numbers[4:]]
    assert all(pts >= dts for pts, dts in times)
