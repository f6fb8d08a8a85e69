"""The report of one scenario: every step, and the way of the first press with a time for each of its steps."""

from __future__ import annotations

import datetime
import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHAIN = (
    "edge",
    "latched",
    "pressed",
    "persisted",
    "published",
    "broker_ack",
    "received",
    "lamp",
    "call_set_up",
    "first_video_frame",
    "first_audio",
    "clip_ready",
)
"""The way of a press, in the order in which it is walked when nothing is wrong."""


@dataclass
class StepResult:
    """One step as it went. Times are milliseconds; `ms` of an expectation is from its action to its coming true."""

    number: int
    text: str
    at_s: float
    ok: bool
    ms: float | None = None
    limit_ms: float | None = None
    error: str = ""


@dataclass
class Report:
    """What `--report` writes. `chain_ms` counts from the edge; None for a step that did not happen."""

    scenario: str
    title: str
    seed: int
    ok: bool = False
    error: str = ""
    started_utc: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
    machine: str = field(default_factory=lambda: f"{platform.machine()} {platform.system()} {platform.release()}")
    duration_s: float = 0.0
    incidents: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    """Names of the evidence directories that `--keep` left."""
    chain_ms: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(CHAIN))
    steps: list[StepResult] = field(default_factory=list)

    def as_json(self) -> str:
        plain: dict[str, Any] = {key: value for key, value in vars(self).items() if key != "steps"}
        plain["steps"] = [vars(step) for step in self.steps]
        return json.dumps(plain, indent=2) + "\n"

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.as_json())
