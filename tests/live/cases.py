"""The links that a call is proved on. Delays are for one way, and every figure holds both ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.live.shape import Moment, Shape, both, scaled

CASE_S = 60.0


@dataclass(frozen=True)
class Goal:
    """Ceilings and floors of the issue's table; None: not asked. Times as in figures.Figures."""

    p95_ms: float | None = None
    freezes: int | None = None
    frozen_s: float | None = None
    longest_gap_s: float | None = None
    voice_stoi: float | None = None
    picture_back_s: float | None = None
    voice_back_s: float | None = None


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    moments: tuple[Moment, ...]
    goal: Goal = Goal()
    forgiven_s: tuple[float, float] | None = None
    """What is frozen between these times does not count: a link that is gone, the second after a step."""


def lasting(case: Case, seconds: float) -> Case:
    """The same case in another time."""
    factor = seconds / CASE_S
    forgiven = None
    if case.forgiven_s is not None:
        begin_s, end_s = case.forgiven_s
        forgiven = (begin_s * factor, begin_s * factor + (end_s - begin_s))
    return replace(case, moments=scaled(case.moments, factor), forgiven_s=forgiven)


_GOOD = Shape(kbit_s=10_000, delay_ms=20)
_OUT = replace(_GOOD, cut=True)


def _steps(*steps: tuple[float, float]) -> tuple[Moment, ...]:
    return tuple(both(at_s, Shape(kbit_s=kbit_s, delay_ms=20)) for at_s, kbit_s in steps)


def _outage(begin_s: float, seconds: float) -> tuple[Moment, ...]:
    return both(0, _GOOD), both(begin_s, _OUT), both(begin_s + seconds, _GOOD)


CASES = (
    Case("clean", "clean", (both(0, Shape(kbit_s=50_000)),), Goal(p95_ms=90, freezes=0)),
    Case(
        "loss",
        "5 % loss + 50 ms",
        (both(0, Shape(kbit_s=10_000, delay_ms=50, loss=0.05)),),
        Goal(p95_ms=300, freezes=0),
    ),
    Case(
        "halved",
        "4 to 2 Mbit/s",
        _steps((0, 4000), (20, 2000)),
        Goal(p95_ms=200, frozen_s=0.0),
        forgiven_s=(20.0, 21.0),
    ),
    Case(
        "poor",
        "0.8 Mbit/s + 3 % + 80 ms",
        (both(0, Shape(kbit_s=800, delay_ms=80, loss=0.03)),),
        Goal(frozen_s=1.0, voice_stoi=0.95),
    ),
    Case(
        "thin",
        "0.25 Mbit/s + 100 ms",
        (both(0, Shape(kbit_s=250, delay_ms=100)),),
        Goal(longest_gap_s=2.0, voice_stoi=0.95),
    ),
    Case("trickle", "0.12 Mbit/s + 100 ms", (both(0, Shape(kbit_s=120, delay_ms=100)),)),
    Case(
        "staircase",
        "staircase 4-1-0.3-1-4 Mbit/s",
        _steps((0, 4000), (12, 1000), (24, 300), (36, 1000), (48, 4000)),
    ),
    Case("outage-3", "outage of 3 s", _outage(20, 3), Goal(voice_back_s=2, picture_back_s=3), (20.0, 26.0)),
    Case("outage-20", "outage of 20 s", _outage(15, 20), Goal(voice_back_s=2, picture_back_s=3), (15.0, 38.0)),
    Case("jitter", "jitter 100 ms", (both(0, Shape(kbit_s=10_000, delay_ms=20, jitter_ms=100)),)),
    Case(
        "reorder",
        "jitter 100 ms, overtaking",
        (both(0, Shape(kbit_s=10_000, delay_ms=20, jitter_ms=100, reorder=True)),),
    ),
    Case(
        "interface",
        "another interface mid-call",
        (both(0, _GOOD), both(20, _GOOD, way=1)),
        Goal(voice_back_s=2, picture_back_s=3),
        (20.0, 23.0),
    ),
    Case(
        "address",
        "another address mid-call",
        (both(0, _GOOD), both(20, _GOOD, address=1)),
        Goal(voice_back_s=2, picture_back_s=3),
        (20.0, 23.0),
    ),
    Case(
        "upload",
        "a competing upload, 6 Mbit/s",
        (
            both(0, Shape(kbit_s=6000, delay_ms=20)),
            both(15, Shape(kbit_s=6000, delay_ms=20), upload=True),
            both(45, Shape(kbit_s=6000, delay_ms=20)),
        ),
    ),
)
"""An outage lasts as long as it says however long the case is: see `named`."""

SAMPLE_S = 10.0


def named(name: str, seconds: float = CASE_S) -> Case:
    """The case of that name, lasting `seconds`. Raises KeyError with the names there are."""
    for case in CASES:
        if case.name == name:
            return case if seconds == CASE_S else _keep_outage(case, lasting(case, seconds))
    raise KeyError(f"no case {name!r}; there are: {', '.join(case.name for case in CASES)}")


def _keep_outage(case: Case, made: Case) -> Case:
    if not case.name.startswith("outage"):
        return made
    begin_s, back_s = made.moments[1].at_s, case.moments[2].at_s - case.moments[1].at_s
    return replace(made, moments=(*made.moments[:2], replace(made.moments[2], at_s=begin_s + back_s)))
