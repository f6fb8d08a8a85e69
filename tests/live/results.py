"""The figures of the cases so far, in one file that is whole after each case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def read(path: Path) -> dict[str, Result]:
    """By key (`name`, or `name/off` for a run without the controller). Empty when there is no such file."""
    if not path.exists():
        return {}
    found: dict[str, Result] = json.loads(path.read_text())["cases"]
    return found


def write(path: Path, results: dict[str, Result], machine: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"machine": machine, "cases": results}, indent=1) + "\n")
    temporary.replace(path)
