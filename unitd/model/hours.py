"""Hours of duty in local time: "Mon-Fri 08:00-18:00", "Sat,Sun 00:00-24:00", "daily 20:00-08:00". Pure."""

import re

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60
WEEK_MIN = 7 * DAY_MIN

Span = tuple[int, int]
"""Minutes of the week, Monday 00:00 = 0: from the first up to, not including, the second; it may run past WEEK_MIN."""

_LINE = re.compile(r"(daily|[a-z]{3}(?:[-,][a-z]{3})*) (\d\d):(\d\d)-(\d\d):(\d\d)")


def parse_hours(line: str) -> tuple[Span, ...]:
    """The spans that `line` names. An end before its start is on the next day. ValueError: what to write."""
    found = _LINE.fullmatch(" ".join(line.lower().split()))
    if found is None:
        raise ValueError('write it like "Mon-Fri 08:00-18:00", "Sat,Sun 00:00-24:00" or "daily 20:00-08:00"')
    start, end = (_minutes(found[at], found[at + 1]) for at in (2, 4))
    if start == end:
        raise ValueError("it begins and ends at the same minute; write 00:00-24:00 for the whole day")
    length = (end - start) % DAY_MIN or DAY_MIN
    return tuple((day * DAY_MIN + start, day * DAY_MIN + start + length) for day in _days(found[1]))


def within(spans: tuple[Span, ...], minute: int) -> bool:
    """Whether `minute` of the week is in any of them; no spans at all means always."""
    return not spans or any(start <= minute < end or start <= minute + WEEK_MIN < end for start, end in spans)


def _minutes(hours: str, minutes: str) -> int:
    if int(minutes) > 59 or int(hours) * 60 + int(minutes) > DAY_MIN:
        raise ValueError(f"there is no time {hours}:{minutes}; write 00:00 to 24:00")
    return int(hours) * 60 + int(minutes)


def _days(words: str) -> list[int]:
    if words == "daily":
        return list(range(7))
    days: list[int] = []
    for part in words.split(","):
        ends = part.split("-")
        if len(ends) > 2 or not set(ends) <= set(DAYS):
            raise ValueError(f"{part!r} is no day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun, or daily")
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        days += [(first + step) % 7 for step in range((last - first) % 7 + 1)]
    return sorted(set(days))
