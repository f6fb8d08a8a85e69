"""What keeps a flapping link from flooding: the pace of telling, and a fault with hysteresis."""

from hypothesis import given
from hypothesis import strategies as st

from unitd.model.hysteresis import BACK_AFTER_NS, LOST_AFTER_NS, LinkFault
from unitd.model.pace import Pace

S = 1_000_000_000


@given(st.lists(st.integers(0, 30 * S), max_size=200), st.integers(1, 8))
def test_never_more_than_the_burst_and_the_rate(gaps: list[int], burst: int) -> None:
    pace, now_ns, told = Pace(burst, 10 * S), 0, 0
    for gap_ns in gaps:
        now_ns += gap_ns
        wait_ns = pace.wait_ns(now_ns)
        pace, may = pace.take(now_ns)
        assert may is (wait_ns == 0)
        told += may
        assert told <= burst + now_ns // (10 * S)


def test_a_whole_burst_is_told_at_once_and_the_next_when_it_said() -> None:
    pace = Pace(3, 10 * S)
    for expected in (True, True, True, False):
        pace, may = pace.take(5 * S)
        assert may is expected
    wait_ns = pace.wait_ns(5 * S)
    assert not pace.take(5 * S + wait_ns - 1)[1]
    assert pace.take(5 * S + wait_ns)[1]


def test_a_short_break_is_no_fault_and_a_short_return_heals_none() -> None:
    link = LinkFault().seen(True, 0)
    assert not link.seen(False, S).seen(True, S + LOST_AFTER_NS - 1).at(20 * S).lost
    link = link.seen(False, 100 * S)
    assert link.at(100 * S + LOST_AFTER_NS).lost
    back = link.seen(True, 200 * S)
    assert back.at(200 * S + BACK_AFTER_NS - 1).lost
    assert not back.at(200 * S + BACK_AFTER_NS).lost


@given(st.lists(st.integers(1, LOST_AFTER_NS - 1), min_size=2, max_size=100))
def test_a_link_that_flaps_faster_changes_nothing(gaps: list[int]) -> None:
    for lost in (False, True):
        link, now_ns = LinkFault(True, 0, lost), 0
        for number, gap_ns in enumerate(gaps):
            now_ns += gap_ns
            link = link.seen(bool(number % 2), now_ns)
            assert link.lost is lost
