"""Hours of duty: what a line covers, and which lines are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.model.hours import DAY_MIN, WEEK_MIN, parse_hours, within

MON, FRI, SAT, SUN = 0, 4 * DAY_MIN, 5 * DAY_MIN, 6 * DAY_MIN


@pytest.mark.parametrize(
    ("line", "minute", "on"),
    [
        ("Mon-Fri 08:00-18:00", MON + 8 * 60, True),
        ("Mon-Fri 08:00-18:00", MON + 18 * 60, False),
        ("mon-fri  08:00-18:00", FRI + 17 * 60 + 59, True),
        ("Mon-Fri 08:00-18:00", SAT + 9 * 60, False),
        ("Sat,Sun 00:00-24:00", SUN + DAY_MIN - 1, True),
        ("Sat,Sun 00:00-24:00", MON, False),
        ("daily 20:00-08:00", MON + 7 * 60, True),  # Sunday's night
        ("daily 20:00-08:00", MON + 8 * 60, False),
        ("Sun 20:00-08:00", MON + 7 * 60, True),
        ("Sun 20:00-08:00", SAT + 21 * 60, False),
        ("Fri-Mon 10:00-11:00", SUN + 10 * 60, True),
        ("Fri-Mon 10:00-11:00", MON + 2 * DAY_MIN + 10 * 60, False),
    ],
)
def test_what_a_line_covers(line: str, minute: int, on: bool) -> None:
    assert within(parse_hours(line), minute) is on


@pytest.mark.parametrize(
    "line",
    ["", "always", "Mon 8:00-18:00", "Mon 08:00-25:00", "Mon 08:60-09:00", "Mon 08:00-08:00", "Mun 08:00-09:00",
     "Mon-Tue-Wed 08:00-09:00", "Mon 24:01-09:00"],
)  # fmt: skip
def test_what_is_refused_says_what_to_write(line: str) -> None:
    with pytest.raises(ValueError, match=r"Mon|daily|day|time|minute"):
        parse_hours(line)


def test_no_hours_are_always() -> None:
    assert within((), 0)


@given(st.integers(0, DAY_MIN - 1), st.integers(0, DAY_MIN), st.integers(0, WEEK_MIN - 1))
def test_daily_covers_the_same_share_of_each_day(start: int, end: int, minute: int) -> None:
    if start == end:
        return
    spans = parse_hours(f"daily {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}")
    of_day = minute % DAY_MIN
    covered = start <= of_day < end if start < end else of_day >= start or of_day < end
    assert within(spans, minute) is covered
