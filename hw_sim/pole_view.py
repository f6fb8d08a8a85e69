"""The bench as the pole's page sees it (hw_sim/pole/bench_port.py)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hw_sim.logtail import LogEntry
from hw_sim.pole.bench_port import FaultSwitch, LogLine, TextMessage
from hw_sim.unit_config import PINS, SITE

if TYPE_CHECKING:
    from hw_sim.bench import Bench

KEPT_LINES = 1000
PAGE_LINES = 200
PAGE_MESSAGES = 5
_NOT_WORDS = {"event", "level", "timestamp", "mono_ns", "process", "exception", "at_mono_ns"}


class PoleView:
    """PoleBench over a Bench."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._lines: deque[LogLine] = deque(maxlen=KEPT_LINES)
        bench.tail.watch(self._take)

    @property
    def unit_id(self) -> str:
        return self._bench.unit_id

    @property
    def site_name(self) -> str:
        return str(SITE["name"])

    def press(self) -> None:
        self._bench.press()

    def release(self) -> None:
        self._bench.release()

    def pressed(self) -> bool:
        return self._bench.button.touched

    def outputs(self) -> Mapping[str, bool]:
        return {name: self._bench.gpio.level(PINS[name]) for name in ("yellow", "green", "locator", "sounder")}

    def horn_words(self) -> str | None:
        return self._bench.horn.words() if self._bench.horn is not None else None

    def text_messages(self) -> Sequence[TextMessage]:
        sent = self._bench.modem.sms_sent if self._bench.modem is not None else []
        return [TextMessage(sms.number, sms.text) for sms in sent[-PAGE_MESSAGES:]]

    async def snapshot_jpeg(self, width: int) -> bytes:
        if self._bench.camera is None:
            raise RuntimeError("this bench has no camera")
        return await self._bench.camera.snapshot_jpeg(width)

    def processes(self) -> Mapping[str, bool]:
        return {name: daemon.ready_mono_ns is not None for name, daemon in self._bench.daemons.items()}

    def faults(self) -> Sequence[FaultSwitch]:
        return self._bench.faults.switches()

    async def set_fault(self, name: str, value: str) -> None:
        await self._bench.faults.set(name, value)

    def log_after(self, number: int) -> Sequence[LogLine]:
        return [line for line in self._lines if line.number > number][:PAGE_LINES]

    def _take(self, entry: LogEntry) -> None:
        level = str(entry.fields.get("level", "info"))
        self._lines.append(LogLine(entry.number, _utc_us(entry), entry.process, _words(entry), level))


def _words(entry: LogEntry) -> str:
    rest = {key: value for key, value in entry.fields.items() if key not in _NOT_WORDS}
    if entry.event == "chain":
        return f"{rest.pop('step', '')} (incident {str(rest.get('incident', ''))[:6]})"
    return " ".join([entry.event, *(f"{key}={value}" for key, value in rest.items() if value != "")])


def _utc_us(entry: LogEntry) -> int:
    try:
        return int(datetime.fromisoformat(str(entry.fields["timestamp"])).timestamp() * 1e6)
    except (KeyError, ValueError):
        return 0
