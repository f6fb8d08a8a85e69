"""Rate to size and pictures a second: worse as the rate falls, steady in between, and never larger than the source."""

import itertools

import pytest

from unitd.call.picture.low_plan import LADDER, LEAST_BIT_S, MOST_BIT_S, FrameGate, bounded, plan_for, scaled


@pytest.mark.parametrize(
    ("kbit_s", "short_side", "fps"),
    [(400, 360, 15), (260, 360, 15), (200, 270, 15), (120, 270, 10), (80, 180, 10), (60, 180, 5), (0, 180, 5)],
)
def test_each_rate_has_its_size(kbit_s: int, short_side: int, fps: int) -> None:
    plan = plan_for(kbit_s * 1000)
    assert (plan.short_side, plan.fps) == (short_side, fps)


def test_more_rate_is_never_less_picture() -> None:
    pixels = [plan_for(rate).short_side ** 2 * plan_for(rate).fps for rate in range(0, 600_000, 5_000)]
    assert pixels == sorted(pixels)


@pytest.mark.parametrize("at", range(len(LADDER) - 1))
def test_a_rate_at_a_threshold_does_not_flap(at: int) -> None:
    better, worse = LADDER[at], LADDER[at + 1]
    assert plan_for(better.from_bit_s - 1, better) == worse
    assert plan_for(1.2 * better.from_bit_s, worse) == worse
    assert plan_for(1.26 * better.from_bit_s, worse).from_bit_s >= better.from_bit_s


def test_the_encoder_is_never_given_a_rate_out_of_its_bounds() -> None:
    assert [bounded(rate) for rate in (-5.0, 0.0, 1e5, 1e9)] == [LEAST_BIT_S, LEAST_BIT_S, 100_000, MOST_BIT_S]


@pytest.mark.parametrize(
    ("source", "short_side", "size"),
    [
        ((640, 360), 270, (480, 270)),
        ((640, 360), 180, (320, 180)),
        ((640, 360), 720, (640, 360)),
        ((1920, 1080), 360, (640, 360)),
        ((640, 480), 360, (480, 360)),
        ((360, 640), 180, (180, 320)),
        ((704, 576), 270, (330, 270)),
        ((17, 3), 270, (16, 4)),
        ((1, 1), 180, (2, 2)),
    ],
)
def test_the_size_has_the_sources_shape_and_is_even(
    source: tuple[int, int], short_side: int, size: tuple[int, int]
) -> None:
    assert scaled(*source, short_side) == size


@pytest.mark.parametrize(
    ("source_fps", "fps", "about"), [(15, 15, 15), (20, 15, 15), (25, 10, 10), (10, 15, 10), (30, 5, 5)]
)
def test_the_gate_lets_the_rate_through_evenly(source_fps: int, fps: int, about: int) -> None:
    gate = FrameGate()
    passed = [n for n in range(10 * source_fps) if gate.passes(n * 1_000_000_000 // source_fps, fps)]
    assert abs(len(passed) - 10 * about) <= 2
    gaps = [later - before for before, later in itertools.pairwise(passed)]
    assert max(gaps) - min(gaps) <= 1


def test_a_time_line_that_jumps_begins_anew() -> None:
    gate = FrameGate()
    assert gate.passes(10_000_000_000, 10)
    assert gate.passes(1_000_000_000, 10)
    assert not gate.passes(1_010_000_000, 10)
    assert gate.passes(99_000_000_000, 10)
