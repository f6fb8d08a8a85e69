"""The dome: core's goal made true over a serial line that may come and go."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any

from unitd.config import DomeTable
from unitd.errors import DeviceError
from unitd.field.health import Report
from unitd.messages.workers import Fault
from unitd.model.dome import AtPreset, DomePolicy, Goal, Order, Stopped
from unitd.ports import MakeLine
from unitd.runtime.ipc import CoreLink
from unitd.runtime.logs import Logger

Encode = Callable[[int, Order], bytes]
"""(address, order) -> the frame in the dome's protocol; empty for what is only told."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
WATCH_MOVE_S = 0.1
"""While it turns, whether core is still there is looked at this often."""


class DomeService:
    """Runs for ever; a lost port is a fault `dome_lost` and is opened again by its stable path, with back-off."""

    def __init__(
        self, config: DomeTable, core: CoreLink, report: Report, log: Logger, line: MakeLine, encode: Encode
    ) -> None:
        self._config = config
        self._core = core
        self._report = report
        self._log = log
        self._last_fault: Fault | None = None
        self._policy = DomePolicy(config.move_limit_s)
        self._port = line(lambda _answer: None)
        self._encode = encode

    async def run(self) -> None:
        """Serve until cancelled; then the last orders (stops) are sent and the port is closed."""
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                try:
                    await self._port.open()
                    self._log.info("dome open", port=self._config.port)
                    self._report((), {"dome.port": self._config.port})
                    pause_s = FIRST_PAUSE_S
                    self._last_fault = None
                    await self._serve()
                except DeviceError as error:
                    self._lost(str(error))
                await self._port.close()
                await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        finally:
            with contextlib.suppress(DeviceError):
                for order in self._policy.last_orders():
                    self._port.write(self._encode(self._config.address, order))
            await self._port.close()

    def _lost(self, why: str) -> None:
        fault = Fault(code="dome_lost", subject=self._config.port, text=why)
        if fault != self._last_fault:  # a port may be away for months: one line, not one for each attempt
            self._log.warning(fault.code, port=fault.subject, why=why)
        self._last_fault = fault
        self._report((fault,), {"dome.port": self._config.port})

    async def _serve(self) -> None:
        """Until the port is lost. Raises DeviceError."""
        self._policy.opened(time.monotonic_ns())
        lost = asyncio.create_task(self._port.wait_lost())
        try:
            while not lost.done():
                version = self._core.version
                self._send()
                await self._wait(lost, version)
            raise DeviceError(lost.result())
        finally:
            lost.cancel()

    def _send(self) -> None:
        now_ns = time.monotonic_ns()
        desired = self._core.desired
        if desired is None or not self._core.connected:
            self._policy.core_lost(now_ns)
        else:
            d = desired.dome
            goal = Goal(desired.session, d.number, d.preset, d.pan, d.tilt, d.zoom, d.until_mono_ns)
            self._policy.want(goal, now_ns)
        for order in self._policy.due(now_ns):
            self._do(order)

    def _do(self, order: Order) -> None:
        match order:
            case Stopped():
                self._core.event("dome_stopped")
            case AtPreset(preset):
                self._core.event("dome_at_preset", preset=preset)
            case _:
                self._port.write(self._encode(self._config.address, order))
                self._log.debug("dome order", order=str(order))

    async def _wait(self, lost: "asyncio.Task[str]", version: int) -> None:
        """Until a new desired state, the next due order, a look at core in a move, or the loss of the port."""
        next_ns = self._policy.next_ns()
        timeout_s = None if next_ns is None else max(0.0, (next_ns - time.monotonic_ns()) / 1e9)
        if self._policy.turning:
            timeout_s = min(timeout_s or 0.0, WATCH_MOVE_S)
        change: asyncio.Task[Any] = asyncio.create_task(self._core.wait_change(version))
        either: set[asyncio.Task[Any]] = {change, lost}
        try:
            await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()
