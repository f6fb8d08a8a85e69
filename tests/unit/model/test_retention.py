"""What must go, from whom and why, over every state of disk, budgets, clock and incident."""

import itertools

import pytest

from unitd.model.retention import (
    LEAST_RATE_BYTES_S,
    MOST_RESERVE,
    US_A_DAY,
    Demand,
    Disk,
    Marks,
    StreamUse,
    demands,
    is_short,
    kept_free_bytes,
    known_utc_us,
    old_before_utc_us,
    reserve_bytes,
)

MARKS = Marks(high_percent=90.0, low_percent=85.0)
RESERVED = MARKS._replace(reserve_bytes=150, fresh_bytes=50)
INCIDENT = pytest.mark.parametrize("incident", [False, True])


def disk(free: int) -> Disk:
    """Of 1,000 bytes."""
    return Disk(1000 - free, free)


@INCIDENT
@pytest.mark.parametrize(("free", "goes"), [(0, 150), (50, 100), (99, 51), (100, None), (149, None), (1000, None)])
def test_below_the_high_mark_nothing_goes_and_above_it_down_to_the_low_one(
    free: int, goes: int | None, incident: bool
) -> None:
    found = demands(disk(free), MARKS, (), incident=incident)
    assert found == ((Demand("room", goes),) if goes is not None else ())


@pytest.mark.parametrize(("free", "goes"), [(149, 51), (150, None), (120, 80)])
def test_outside_an_incident_the_reserve_stays_free(free: int, goes: int | None) -> None:
    found = demands(disk(free), RESERVED, (), incident=False)
    assert found == ((Demand("room", goes),) if goes is not None else ())


def test_inside_an_incident_the_reserve_may_be_used_but_not_what_is_above_the_high_mark() -> None:
    assert demands(disk(120), RESERVED, (), incident=True) == ()
    assert demands(disk(90), RESERVED, (), incident=True) == (Demand("room", 60),)


@INCIDENT
def test_what_ends_the_room_making_does_not_begin_it_again(incident: bool) -> None:
    for reserve, high, low in itertools.product((0, 50, 150, 200), (80.0, 90.0, 99.0), (10.0, 50.0, 79.0)):
        begin, end = kept_free_bytes(disk(0), Marks(high, low, reserve), incident=incident)
        assert begin < end
        assert demands(disk(end), Marks(high, low, reserve), (), incident=incident) == ()


@INCIDENT
@pytest.mark.parametrize(
    ("unlocked", "budget", "goes"), [(1000, 1000, None), (1001, 1000, 21), (2000, 1000, 1020), (9, None, None)]
)
def test_a_stream_above_its_budget_goes_a_little_below_it(
    unlocked: int, budget: int | None, goes: int | None, incident: bool
) -> None:
    found = demands(disk(500), MARKS, (StreamUse("dome", unlocked, budget),), incident=incident)
    assert found == ((Demand("budget", goes, "dome"),) if goes is not None else ())


def test_each_stream_is_held_against_its_own_budget_and_before_the_room() -> None:
    uses = (StreamUse("dome", 500, 100), StreamUse("door", 500, 600), StreamUse("audio", 500), StreamUse("panel", 9, 8))
    found = demands(disk(10), MARKS, uses, incident=False)
    assert [(each.why, each.stream) for each in found] == [("budget", "dome"), ("budget", "panel"), ("room", None)]


def test_a_disk_without_size_is_full() -> None:
    assert Disk(0, 0).used_percent == 100.0
    assert demands(Disk(0, 0), MARKS, (), incident=False) == ()


@pytest.mark.parametrize(
    ("rates", "seconds", "reserve"),
    [
        ((None, None, None), 1800.0, 3 * LEAST_RATE_BYTES_S * 1800),
        ((1_000_000.0, None), 60.0, (1_000_000 + LEAST_RATE_BYTES_S) * 60),
        ((1000.0,), 1800.0, 1_800_000),
        ((), 1800.0, 0),
        ((None,), 0.0, 0),
    ],
)
def test_the_reserve_is_the_time_at_the_present_rates(
    rates: tuple[float | None, ...], seconds: float, reserve: int
) -> None:
    assert reserve_bytes(rates, seconds, 10**12) == reserve


def test_the_reserve_leaves_a_small_card_a_ring() -> None:
    assert reserve_bytes((None,) * 9, 1800.0, 1000) == 1000 * MOST_RESERVE


def test_short_is_when_free_and_what_could_be_freed_do_not_hold_the_next_incident() -> None:
    for free, unlocked in itertools.product(range(0, 301, 50), range(0, 301, 50)):
        assert is_short(False, disk(free), RESERVED, unlocked, incident=False) == (free + unlocked < 200)


def test_the_rings_own_coming_and_going_does_not_change_it() -> None:
    for was in (False, True):
        assert len({is_short(was, disk(free), RESERVED, 240 - free, incident=False) for free in range(0, 240, 20)}) == 1


def test_short_ends_only_with_a_good_deal_more_than_it_began_with() -> None:
    flips, short = 0, False
    for room in [199, 201, 199, 230, 249, 199, 249] * 5:
        now = is_short(short, disk(room), RESERVED, 0, incident=False)
        flips, short = flips + (now != short), now
    assert (flips, short) == (1, True)
    assert not is_short(True, disk(250), RESERVED, 0, incident=False)


@pytest.mark.parametrize("was", [False, True])
def test_inside_an_incident_it_stays_as_it_was(was: bool) -> None:
    assert is_short(was, disk(0), RESERVED, 0, incident=True) is was
    assert is_short(was, disk(1000), RESERVED, 0, incident=True) is was


@pytest.mark.parametrize(
    ("quality", "days", "old_before"),
    [
        ("synced", 31.0, 100 * US_A_DAY - 31 * US_A_DAY),
        ("synced", 0.5, 100 * US_A_DAY - US_A_DAY // 2),
        ("synced", None, None),
        ("held", 31.0, None),
        ("unknown", 31.0, None),
    ],
)
def test_nothing_is_too_old_unless_the_clock_is_synchronised_now(
    quality: str, days: float | None, old_before: int | None
) -> None:
    assert old_before_utc_us(100 * US_A_DAY, quality, days) == old_before


@pytest.mark.parametrize(
    ("quality", "truth", "known"),
    [
        ("synced", None, 77), ("held", None, 77), ("unknown", None, None),
        ("synced", 500, 505), ("held", 500, 505), ("unknown", 500, 505), ("unknown", 0, 5),
    ],
)  # fmt: skip
def test_what_was_found_out_about_a_boot_goes_before_what_its_stamps_say(
    quality: str, truth: int | None, known: int | None
) -> None:
    assert known_utc_us(5000, 77, quality, truth) == known
