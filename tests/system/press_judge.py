"""Puts the control room's book beside what a finger did. Pure: no clock, no process, no disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Way = Literal["short", "long", "killed before", "killed under it", "short while dead"]
DARK_AFTER_NS = 500_000_000
"""A press without an answer until then was not answered; that p99 is below 200 ms is judged by the figures."""
EDGE_SLACK_NS = 20_000_000


@dataclass
class Touch:
    """One press of the finger, from edge to release (CLOCK_MONOTONIC). `up`: core held the button's line at the edge;
    `quiet`: the sounder was still, so that its answer could be told; `answered_ns` is when it rose."""

    number: int
    way: Way
    edge_ns: int = 0
    release_ns: int = 0
    up: bool = False
    quiet: bool = False
    answered_ns: int | None = None
    held_until_back: bool = False
    latched: list[str] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    took_ms: float | None = None

    @property
    def owed(self) -> bool:
        """Latched, or held until core was back: it must be delivered."""
        return bool(self.latched) or self.held_until_back

    @property
    def name(self) -> str:
        return f"press {self.number} ({self.way})"


class Entry(NamedTuple):
    """One alarm in the control room's book; `pressed_ns` is the unit's, CLOCK_MONOTONIC."""

    press_id: str
    pressed_ns: int
    took_ms: float


@dataclass
class Report:
    """What came of one run; times in ms. `lost`, `without_cause`, `twice`, `unlatched` and `dark` must stay empty."""

    seed: int
    presses: int
    owed: int = 0
    delivered: int = 0
    alarms: int = 0
    not_felt: int = 0
    lost: list[str] = field(default_factory=list)
    without_cause: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unlatched: list[str] = field(default_factory=list)
    dark: list[str] = field(default_factory=list)
    light_ms: dict[str, float] = field(default_factory=dict)
    delivery_ms: dict[str, float] = field(default_factory=dict)
    blind_ms: dict[str, float] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    touches: list[Touch] = field(default_factory=list)

    def table(self) -> str:
        """For a person."""

        def figures(of: Mapping[str, float]) -> str:
            return ", ".join(f"{name} {value:.0f}" for name, value in of.items()) or "none"

        def names(of: list[str]) -> str:
            return ", ".join(of) or "none"

        rows = [
            ("seed", str(self.seed)),
            ("took", f"{self.seconds:.0f} s"),
            ("presses", f"{self.presses}; latched or held until core was back: {self.owed}"),
            ("delivered", f"{self.delivered} of {self.owed}; alarms in the book, by id: {self.alarms}"),
            ("lost", names(self.lost)),
            ("alarms without a press", names(self.without_cause)),
            ("more ids than lives of core under the press", names(self.twice)),
            ("core up, but not latched", names(self.unlatched)),
            ("core up, but not answered", names(self.dark)),
            ("short presses while core was dead, not felt", str(self.not_felt)),
            ("edge to first answer while core is up, ms", figures(self.light_ms)),
            ("felt to the control room's book, ms", figures(self.delivery_ms)),
            ("blind window of a killed core, ms", figures(self.blind_ms)),
            ("killed -9", figures(self.kills)),
            ("broken", figures(self.broken)),
        ]
        wide = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{wide}}  {value}" for name, value in rows)


def judge(
    report: Report, touches: Sequence[Touch], kills_ns: Sequence[int], latched: Mapping[str, int], book: Sequence[Entry]
) -> None:
    """Fill in `report`. `kills_ns`: when core was killed; `latched`: press ids with the instant each latch was seen."""

    def touch_at(mono_ns: int) -> Touch | None:
        for each in touches:
            if each.edge_ns - EDGE_SLACK_NS <= mono_ns <= each.release_ns + EDGE_SLACK_NS:
                return each
        return None

    by_id = {each.press_id: each for each in book}
    for press_id, seen_ns in latched.items():
        entry = by_id.get(press_id)
        touch = touch_at(seen_ns if entry is None else entry.pressed_ns)
        if touch is not None:
            touch.latched.append(press_id)
        if entry is None:
            report.lost.append(f"{touch.name if touch is not None else 'no press'} {press_id}")
    for entry in book:
        touch = touch_at(entry.pressed_ns)
        if touch is None:
            report.without_cause.append(entry.press_id)
        else:
            touch.received.append(entry.press_id)
            touch.took_ms = entry.took_ms if touch.took_ms is None else min(entry.took_ms, touch.took_ms)
    for touch in touches:
        _judge_one(report, touch, kills_ns)
    report.alarms, report.touches = len(book), list(touches)
    report.owed = sum(each.owed for each in touches)
    report.not_felt = len(touches) - report.owed
    report.delivered = sum(each.owed and bool(each.received) for each in touches)
    report.delivery_ms = spread([each.took_ms for each in touches if each.took_ms is not None])


def _judge_one(report: Report, touch: Touch, kills_ns: Sequence[int]) -> None:
    if touch.owed and not touch.received:
        report.lost.append(touch.name)
    # A press that is held over a restart is felt by each life of core, with an id of its own, in the same incident.
    lives = 1 + sum(touch.edge_ns <= each <= touch.release_ns for each in kills_ns)
    if len(touch.received) > lives:
        report.twice.append(touch.name)
    killed = any(touch.edge_ns - EDGE_SLACK_NS <= each <= touch.edge_ns + DARK_AFTER_NS for each in kills_ns)
    if touch.up and not killed:
        if not touch.latched:
            report.unlatched.append(touch.name)
        if touch.quiet and (touch.answered_ns is None or touch.answered_ns - touch.edge_ns > DARK_AFTER_NS):
            report.dark.append(touch.name)


def light_ms(touches: Sequence[Touch], kills_ns: Sequence[int]) -> list[float]:
    """Edge to first answer of the presses that a living core felt and answered."""
    found = []
    for each in touches:
        if each.up and each.quiet and each.answered_ns is not None:
            killed = any(each.edge_ns - EDGE_SLACK_NS <= kill_ns <= each.answered_ns for kill_ns in kills_ns)
            if not killed:
                found.append((each.answered_ns - each.edge_ns) / 1e6)
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Count, median, 99th percentile (nearest rank) and greatest."""
    if not values:
        return {}
    ordered = sorted(values)

    def rank(share: float) -> float:
        return round(ordered[max(0, -(-int(share * 100 * len(ordered)) // 100) - 1)], 2)

    return {"n": len(ordered), "p50": rank(0.5), "p99": rank(0.99), "max": round(ordered[-1], 2)}
