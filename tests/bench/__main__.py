"""`make bench`: every benchmark, one table, build/bench.json.

Exit status 1 when something could not be measured or, with --strict, is over its ceiling. docs/benchmarks.md says what
each row means.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.bench import (
    call,
    call_cost,
    cold_start,
    echo,
    export_time,
    idle,
    machine,
    press_to_ack,
    record_cost,
    ring_index,
    storm,
)
from tests.bench.figures import Row, table
from tests.bench.progress import Progress

Measure = Callable[[Progress], Awaitable[list[Row]]]

PARTS: dict[str, tuple[str, Measure]] = {
    "ack": ("accepted press to broker acknowledgement", press_to_ack.measure),
    "start": ("core's start", cold_start.measure),
    "call": ("calls", call.measure),
    "call-cost": ("what a call costs", call_cost.measure),
    "echo": ("the echo canceller", echo.measure),
    "record": ("record beside ffmpeg", record_cost.measure),
    "export": ("an export", export_time.measure),
    "ring": ("a 1 TB ring at a start", ring_index.measure),
    "idle": ("an idle unit", idle.measure),
    "storm": ("a thousand units at once", storm.measure),
}
PART_TIMEOUT_S = 180.0
OUTPUT = Path(__file__).resolve().parents[2] / "build" / "bench.json"


def run_part(name: str, progress: Progress) -> list[Row]:
    """The rows of one part; one row that says why when it could not be measured."""
    title, measure = PARTS[name]
    progress.part(title)

    async def bounded() -> list[Row]:
        async with asyncio.timeout(PART_TIMEOUT_S):
            return await measure(progress)

    try:
        return asyncio.run(bounded())
    except Exception as error:
        traceback.print_exc()
        return [Row(title, None, "", note=f"{type(error).__name__}: {error}"[:200])]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=tuple(PARTS), action="append", default=[], help="leave the other parts out")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a figure is over its ceiling")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes (default build/bench.json)")
    arguments = parser.parse_args()
    names = arguments.only or list(PARTS)
    described = machine.describe()
    progress = Progress(len(names))
    rows = [row for name in names for row in run_part(name, progress)]
    progress.end()
    print(table(rows))
    print(machine.in_one_line(described))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": described,
        "rows": [dataclasses.asdict(row) | {"verdict": row.verdict} for row in rows],
    }
    arguments.output.write_text(json.dumps(figures, indent=1) + "\n")
    unmeasured = [row for row in rows if row.value is None]
    over = [row for row in rows if row.verdict == "OVER"]
    return 1 if unmeasured or (arguments.strict and over) else 0


if __name__ == "__main__":
    sys.exit(main())
