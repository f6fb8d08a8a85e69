"""What the processes log, read as it is written: `chain` lines for reports, everything for the pole's page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

POLL_S = 0.05
KEPT_LINES = 20_000


class LogEntry(NamedTuple):
    """One JSON line of one process; `number` rises by one over all processes."""

    number: int
    process: str
    fields: dict[str, Any]

    @property
    def event(self) -> str:
        return str(self.fields.get("event", ""))


class ChainStep(NamedTuple):
    """One step of the way of a press (unitd/runtime/logs.py)."""

    step: str
    incident: str
    at_mono_ns: int
    process: str


class LogTail:
    """Follows the log files of several processes, looking every POLL_S. Keeps the last KEPT_LINES lines.

    Lines that are not JSON are skipped and counted. Runs on the loop; reading a few lines of a file does not block it
    for longer than a page cache hit takes.
    """

    def __init__(self, files: dict[str, Path]) -> None:
        self.entries: list[LogEntry] = []
        self.chain: list[ChainStep] = []
        self.malformed = 0
        self._files = files
        self._positions = dict.fromkeys(files, 0)
        self._rests = dict.fromkeys(files, b"")
        self._next = 1
        self._watchers: list[Callable[[LogEntry], None]] = []

    def watch(self, on_entry: Callable[[LogEntry], None]) -> None:
        self._watchers.append(on_entry)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(POLL_S)

    def look(self) -> None:
        """Read what has been written since the last look."""
        for process, file in self._files.items():
            try:
                with file.open("rb") as log:
                    log.seek(self._positions[process])
                    data = log.read()
            except OSError:
                continue
            self._positions[process] += len(data)
            *lines, self._rests[process] = (self._rests[process] + data).split(b"\n")
            for line in lines:
                self._take(process, line)

    def steps(self, name: str, since_ns: int = 0, incident: str | None = None) -> list[ChainStep]:
        """Chain steps of that name at or after an instant, oldest first."""
        return [
            step
            for step in self.chain
            if step.step == name and step.at_mono_ns >= since_ns and (incident is None or step.incident == incident)
        ]

    def _take(self, process: str, line: bytes) -> None:
        if not line.strip():
            return
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            self.malformed += 1
            return
        entry = LogEntry(self._next, process, fields)
        self._next += 1
        self.entries.append(entry)
        del self.entries[:-KEPT_LINES]
        if entry.event == "chain":
            step = ChainStep(
                str(fields.get("step")), str(fields.get("incident")), int(fields.get("at_mono_ns", 0)), process
            )
            self.chain.append(step)
        for watcher in self._watchers:
            watcher(entry)
