import itertools

from unitd.model.timetable import REDIAL_LONGEST_S, REDIAL_SPREAD, redial_s


def test_a_crowd_that_lost_its_broker_in_one_instant_does_not_return_in_one() -> None:
    firsts = sorted(redial_s(0, chance / 1000)[0] for chance in range(1000))
    assert firsts[0] == 1 - REDIAL_SPREAD and firsts[-1] > 1.49
    assert max(later - earlier for earlier, later in itertools.pairwise(firsts)) < 0.01


def test_connections_that_do_not_hold_make_the_first_pause_longer_up_to_the_longest() -> None:
    assert [redial_s(short, 0.5)[0] for short in range(7)] == [1, 1, 2, 4, 8, 10, 10]
    for short in (0, 3, 1000):
        first_s, longest_s = redial_s(short, 1.0)
        assert 0 < first_s <= longest_s <= REDIAL_LONGEST_S * (1 + REDIAL_SPREAD)
