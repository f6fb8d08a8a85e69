"""Output times always rise, keep the camera's spacing, and follow the clock."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from unitd.call.rtc.timeline import REBASE_NS, STEP_NS, Timeline

MS = 1_000_000


def test_the_cameras_spacing_is_kept_against_jitter_of_arrival() -> None:
    line = Timeline()
    times = [line.live(n * 50 * MS, n * 50 * MS + jitter * MS) for n, jitter in enumerate((0, 20, -10, 40, 5))]
    assert [b - a for a, b in itertools.pairwise(times)] == [50 * MS] * 4


def test_a_source_that_starts_again_is_laid_on_the_clock() -> None:
    line = Timeline()
    line.live(10_000 * MS, 1_000 * MS)
    assert line.live(0, 1_050 * MS) == 1_050 * MS


def test_a_backlog_ends_now_and_the_live_picture_goes_on_after_it() -> None:
    line = Timeline()
    times = line.backlog(20, 5_000 * MS)
    assert times[-1] == 5_000 * MS
    assert all(b - a == STEP_NS for a, b in itertools.pairwise(times))
    assert line.live(123, 5_050 * MS) == 5_050 * MS


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**9), st.integers(0, 40)), max_size=50))
def test_times_always_rise(steps: list[tuple[int, int, int]]) -> None:
    line, now_ns, last_ns = Timeline(), 0, -1
    for source_ns, passed_ns, backlog in steps:
        now_ns += passed_ns
        times = line.backlog(backlog, now_ns) if backlog > 20 else [line.live(source_ns, now_ns)]
        for time_ns in times:
            assert time_ns > last_ns
            last_ns = time_ns


@given(st.integers(-(10**12), 10**12), st.integers(10**9, 10**12))
def test_a_first_live_picture_is_now(source_ns: int, now_ns: int) -> None:
    assert abs(Timeline().live(source_ns, now_ns) - now_ns) <= REBASE_NS


def test_another_source_with_a_clock_of_its_own_is_laid_on_its_arrival() -> None:
    line = Timeline()
    assert line.live(1_000 * MS, 5_000 * MS) == 5_000 * MS
    line.anew()
    assert line.live(1_250 * MS, 5_050 * MS) == 5_050 * MS, "not 200 ms into the future"
    line.anew()
    assert line.live(1_000 * MS, 5_100 * MS) == 5_100 * MS, "nor into the past"
