"""Which stamps of a boot were wrong, and what they should have said; pure.

The rule rests on one fact of the kernel: slewing changes CLOCK_REALTIME and CLOCK_MONOTONIC alike, so their difference
changes only when the wall clock is stepped (https://docs.kernel.org/timers/timekeeping.html). One number per boot, UTC
minus CLOCK_MONOTONIC, is therefore the truth about every instant of that boot, before and after it became known.
"""

import itertools
from typing import NamedTuple

BUILD_UTC_S = 1_790_000_000
"""No true clock can show less: a date just before this version was made (2026-09-21)."""

STEP_US = 400_000
"""A smaller change is none: systemd-timesyncd slews below 0.4 s and steps above (NTP_MAX_ADJUST)."""

KEPT_SPANS = 16
"""More steps than this in one life of core: the oldest are told as one."""


class Reading(NamedTuple):
    """One look at the clocks. `offset_us` = UTC minus CLOCK_MONOTONIC; `quality` as in a stamp."""

    mono_ns: int
    offset_us: int
    quality: str


class Span(NamedTuple):
    """The clock stood at `offset_us` from somewhere in `from_mono_ns`..`seen_mono_ns` (two looks) on.

    `told_us` is the truth that was last told about its stamps, None for none.
    """

    from_mono_ns: int
    seen_mono_ns: int
    offset_us: int
    quality: str
    told_us: int | None = None


class Correction(NamedTuple):
    """Stamps of instants in `from_mono_ns`..`to_mono_ns` should have been made with `true_offset_us`.

    It is absolute: applying it to a stamp that was right, or twice, changes nothing. A later one takes its place.
    """

    from_mono_ns: int
    to_mono_ns: int
    was_offset_us: int
    true_offset_us: int
    quality: str

    @property
    def matters(self) -> bool:
        """Some stamp was wrong, or nobody could know that it was right."""
        return self.quality == "unknown" or differs(self.was_offset_us, self.true_offset_us)


class Timeline(NamedTuple):
    """What the wall clock of one boot has said so far; the last span is the present one. `truth_us` once known."""

    spans: tuple[Span, ...]
    last: Reading
    truth_us: int | None = None


def differs(a_us: int, b_us: int) -> bool:
    """Whether the clock was stepped between two offsets."""
    return abs(a_us - b_us) >= STEP_US


def true_utc_us(mono_ns: int, true_offset_us: int) -> int:
    """When the instant `mono_ns` of a boot really was."""
    return mono_ns // 1000 + true_offset_us


def is_wrong(mono_ns: int, utc_us: int, true_offset_us: int) -> bool:
    """Whether a stamp says another time than it should."""
    return differs(utc_us, true_utc_us(mono_ns, true_offset_us))


def began(now: Reading, truth_us: int | None = None) -> Timeline:
    """The first look of this life of core; `truth_us` is what an earlier one knew of this boot. Stamps of this boot
    from before are one span: what is told of them holds whatever the clock said then."""
    before = Span(0, 0, now.offset_us, now.quality, truth_us)
    return Timeline((before, Span(now.mono_ns, now.mono_ns, now.offset_us, now.quality)), now, truth_us)


def look(timeline: Timeline, now: Reading) -> tuple[Timeline, tuple[Correction, ...]]:
    """Take one look; the corrections it makes certain, oldest first.

    A synchronised clock is believed at the second look that finds it at the same offset: a time service steps the
    clock and says so in two moves. The newest synchronised offset is the truth, also over an older one.
    """
    spans, last = timeline.spans, timeline.last
    changed = (now.quality == "unknown") != (spans[-1].quality == "unknown")
    if changed or differs(spans[-1].offset_us, now.offset_us):
        spans = _bounded((*spans, Span(last.mono_ns, now.mono_ns, now.offset_us, now.quality)))
    settled = now.quality == last.quality == "synced" and not differs(now.offset_us, last.offset_us)
    if not settled:
        return Timeline(spans, now, timeline.truth_us), ()
    truth_us = timeline.truth_us
    if truth_us is None or differs(truth_us, now.offset_us):
        truth_us = now.offset_us
    found: list[Correction] = []
    judged: list[Span] = []
    for span, after in itertools.pairwise(spans):
        if span.told_us is None or differs(span.told_us, truth_us):
            found.append(Correction(span.from_mono_ns, after.seen_mono_ns, span.offset_us, truth_us, span.quality))
        judged.append(span._replace(told_us=truth_us))
    return Timeline((*judged, spans[-1]._replace(told_us=truth_us)), now, truth_us), tuple(_joined(found))


def known_before(timeline: Timeline, truth_us: int) -> Timeline:
    """`timeline` with what an earlier life of core had told of this boot, when that is read late."""
    first = timeline.spans[0]
    spans = (first._replace(told_us=truth_us), *timeline.spans[1:]) if first.told_us is None else timeline.spans
    return timeline._replace(spans=spans, truth_us=truth_us if timeline.truth_us is None else timeline.truth_us)


def _bounded(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """The two oldest are told as one: what is told is absolute, so only what the clock said in between is lost."""
    while len(spans) > KEPT_SPANS:
        first, second, *rest = spans
        told_us = first.told_us if first.told_us == second.told_us else None
        spans = (second._replace(from_mono_ns=first.from_mono_ns, seen_mono_ns=0, told_us=told_us), *rest)
    return spans


def _joined(found: list[Correction]) -> list[Correction]:
    """Neighbours that say the same become one."""
    joined: list[Correction] = []
    for each in found:
        if joined and joined[-1][2:] == each[2:]:
            joined[-1] = joined[-1]._replace(to_mono_ns=each.to_mono_ns)
        else:
            joined.append(each)
    return joined
