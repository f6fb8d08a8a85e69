"""The arithmetic of the benchmarks and the one table they print. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SECONDS_A_DAY = 86_400


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` (0 to 100) of `values` lie, interpolated between neighbours.

    Raises ValueError when there are no values: a figure of nothing is not a figure.
    """
    if not values:
        raise ValueError("no values to take a percentile of")
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    low, part = math.floor(at), at - math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] * (1 - part) + ordered[high] * part


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)


def per_day(amount: float, over_s: float) -> float:
    """What `amount` within `over_s` seconds comes to in a day."""
    return amount * SECONDS_A_DAY / over_s


@dataclass(frozen=True)
class Row:
    """One line of the table. `ceiling` None: shown for what it is, not judged. `value` None: could not be measured,
    and `note` says why."""

    name: str
    value: float | None
    unit: str
    ceiling: float | None = None
    note: str = ""
    digits: int = 2

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "NOT MEASURED"
        if self.ceiling is None:
            return ""
        return "ok" if self.value <= self.ceiling else "OVER"


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned text, a heading first; the unit stands with the figures, the note last."""
    lines = [("what", "measured", "ceiling", "", "note")]
    lines += [(row.name, _figure(row.value, row), _figure(row.ceiling, row), row.verdict, row.note) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    out = []
    for name, measured, ceiling, verdict, note in lines:
        cells = (name.ljust(widths[0]), measured.rjust(widths[1]), ceiling.rjust(widths[2]), verdict.ljust(widths[3]))
        out.append("  ".join((*cells, note)).rstrip())
    out.insert(1, "-" * max(len(line) for line in out))
    return "\n".join(out)


def _figure(value: float | None, row: Row) -> str:
    return "" if value is None else f"{value:.{row.digits}f} {row.unit}".rstrip()
