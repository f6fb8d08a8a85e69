"""How much footage must go, from whom and why; when there is too little room for the next incident. Pure.

Order of the causes: age, budget, room. `full` (a write met a full disk) is not weighed here: it takes a few at once.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

Why = Literal["age", "budget", "room", "full"]

LEAST_RATE_BYTES_S = 500_000
"""4 Mbit/s: what a stream counts for until its rate has been measured."""
MOST_RESERVE = 0.20
"""The reserve is never more than this part of the file system: a small card still has to hold a ring."""
BUDGET_SLACK = 0.02
"""Above its budget a stream goes down to this much below it, so that files go in batches, not one at a time."""
CLEAR_SLACK = 0.05
"""`short` ends only with this much of the file system more than began it: a fault that flaps is believed by nobody."""

US_A_DAY = 86_400_000_000

CLOCK_STEP_US = 60_000_000
BELIEVED_AFTER_S = 12 * 3600.0
"""A synchronised clock can be wrong for hours (a server gone mad, a forged one). Until it has gone on for so long
without a step of CLOCK_STEP_US, age takes no more than a few a minute: a wrong date costs 4 % of a month."""


class Disk(NamedTuple):
    """The file system of the ring as df counts it: `free_bytes` are those a process of ours can still fill."""

    used_bytes: int
    free_bytes: int

    @property
    def usable_bytes(self) -> int:
        return self.used_bytes + self.free_bytes

    @property
    def used_percent(self) -> float:
        return 100.0 * self.used_bytes / self.usable_bytes if self.usable_bytes else 100.0


class Marks(NamedTuple):
    """The watermarks and the reserve, as configured and measured. `fresh_bytes`: what is never given up for room, the
    roll before the next press and a minute of all streams."""

    high_percent: float
    low_percent: float
    reserve_bytes: int = 0
    fresh_bytes: int = 0


class StreamUse(NamedTuple):
    """One stream's footage that no lock covers. `budget_bytes` None: it has none."""

    stream: str
    unlocked_bytes: int
    budget_bytes: int | None = None


class Demand(NamedTuple):
    """`bytes` must go, the oldest first, from `stream` alone or (None) over all of them."""

    why: Why
    bytes: int
    stream: str | None = None


def reserve_bytes(rates_bytes_s: Iterable[float | None], reserve_s: float, usable_bytes: int) -> int:
    """Room for `reserve_s` of all streams at their rates (None: not measured yet), at most MOST_RESERVE of the disk."""
    rate = sum(LEAST_RATE_BYTES_S if each is None else each for each in rates_bytes_s)
    return int(min(rate * reserve_s, usable_bytes * MOST_RESERVE))


def kept_free_bytes(disk: Disk, marks: Marks, *, incident: bool) -> tuple[int, int]:
    """(begin, end): below `begin` free bytes footage goes, until there are `end`.

    Outside incidents the reserve stays free as well; inside one it is what the incident is recorded into.
    """
    usable = disk.usable_bytes
    begin = usable * (100.0 - marks.high_percent) / 100
    if not incident:
        begin = max(begin, marks.reserve_bytes)
    return int(begin), int(begin + usable * (marks.high_percent - marks.low_percent) / 100)


def demands(disk: Disk, marks: Marks, uses: Iterable[StreamUse], *, incident: bool) -> tuple[Demand, ...]:
    """What must go for budgets and for room, in the order in which it is to be done; room is what is wanting before
    the budgets' part has gone, so it has to be weighed again afterwards."""
    found = [
        Demand("budget", int(use.unlocked_bytes - use.budget_bytes * (1 - BUDGET_SLACK)), use.stream)
        for use in uses
        if use.budget_bytes is not None and use.unlocked_bytes > use.budget_bytes
    ]
    begin, end = kept_free_bytes(disk, marks, incident=incident)
    if disk.free_bytes < begin:
        found.append(Demand("room", end - disk.free_bytes))
    return tuple(found)


def is_short(was: bool, disk: Disk, marks: Marks, unlocked_bytes: int, *, incident: bool) -> bool:
    """Whether the next incident has too little room however much of the ring went: what is free and what could be
    made free is less than the reserve and the fresh footage.

    Locks and strangers' files alone move that sum, not the ring's own coming and going. Inside an incident it stays as
    it was: the reserve is being used for what it is there for.
    """
    if incident:
        return was
    room = disk.free_bytes + unlocked_bytes
    needed = marks.reserve_bytes + marks.fresh_bytes
    if was:
        needed += int(min(disk.usable_bytes * CLEAR_SLACK, needed))
    return room < needed


class SteadyClock:
    """For how long the synchronised clock has gone on without a step, since the first look. Pure; not thread-safe."""

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._since_us = 0

    def look(self, mono_us: int, utc_us: int, quality: str) -> None:
        if quality != "synced":
            return
        offset_us = utc_us - mono_us
        if self._offset_us is None or abs(offset_us - self._offset_us) >= CLOCK_STEP_US:
            self._since_us = mono_us
        self._offset_us = offset_us

    def is_believed(self, mono_us: int) -> bool:
        return self._offset_us is not None and mono_us - self._since_us >= BELIEVED_AFTER_S * 1e6


def old_before_utc_us(now_utc_us: int, quality: str, retain_days: float | None) -> int | None:
    """Footage from before this instant is too old; None when nothing is, or nobody can know: the clock must be
    synchronised now."""
    if retain_days is None or quality != "synced":
        return None
    return int(now_utc_us - retain_days * US_A_DAY)


def known_utc_us(mono_ns: int, utc_us: int, quality: str, true_offset_us: int | None) -> int | None:
    """When an instant of a boot was: by what was found out about that boot (UTC minus monotonic), else by its stamp if
    the clock was known then; else None."""
    if true_offset_us is not None:
        return mono_ns // 1000 + true_offset_us
    return utc_us if quality in ("synced", "held") else None
