"""Core's composition root: the real machine, and the end of the process."""

import asyncio
import contextlib
import os
import signal
import ssl
import uuid
from collections.abc import Callable
from pathlib import Path

from unitd.config import BrokerTable, ButtonTable, Config
from unitd.core.button import Felt, PressWatch
from unitd.core.core import Core
from unitd.core.disk_thread import DiskThread
from unitd.core.latch import Latch
from unitd.core.machine import Pace
from unitd.core.panel import Panel
from unitd.core.recover import boot_id
from unitd.core.watched import WatchedStamp
from unitd.drivers.gpio import GpioButton, GpioLamp, check_pins
from unitd.drivers.gpio_line import KernelButton
from unitd.drivers.mqtt import MqttUplink
from unitd.drivers.tls import client_context
from unitd.ports import Button, Uplink, UplinkHandlers, Will
from unitd.runtime import logs
from unitd.runtime.clock import SystemClock
from unitd.runtime.ending import end_within
from unitd.runtime.fd_store import FdStore
from unitd.runtime.logs import Logger
from unitd.runtime.watchdog import notify


def main(config: Config) -> int:
    """Run core until SIGTERM or SIGINT; returns the exit status."""
    log = logs.setup("core", config.log.level)
    machine = RealMachine(config, log)
    status = asyncio.run(_run(Core(config, machine, log, machine.clock.not_before)))
    logs.flush()
    return status


async def _run(core: Core) -> int:
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    return await core.run(stop, end_within)


class RealMachine:
    """The unit's own clocks, pins, disk and network (`unitd.core.machine.Machine`)."""

    def __init__(self, config: Config, log: Logger) -> None:
        self._config = config
        self._log = log
        self._fds = FdStore()
        self._stamp: WatchedStamp | None = None
        self.clock = SystemClock(Path(config.clock.synchronized_file))
        self.boot_id = boot_id()
        self.disk = DiskThread()
        self.pace = Pace()

    def check_pins(self) -> None:
        if self._config.button.driver == "gpiozero":  # else only lamps need it, and each says so itself
            check_pins()

    def lamp(self, pin: int) -> GpioLamp:
        return GpioLamp(pin)

    def watch(
        self, panel: Panel, latch: Latch, on_press: Callable[[Felt], None], on_stuck: Callable[[bool], None]
    ) -> PressWatch:
        table: ButtonTable = self._config.button
        if self._stamp is None:
            self._stamp = WatchedStamp(Path(self._config.paths.run_dir), self.clock.mono_ns())
        with contextlib.ExitStack() as taken:  # or the pins are in use when it is tried again
            lines: list[Button] = []
            for pin, name in ((table.pin, "button"), (table.nc_pin, "button-nc")):
                if pin is not None:
                    lines.append(self._line(table, pin, name))
                    taken.callback(lines[-1].close)
            if table.driver == "kernel":
                self._fds.drop_rest()
            watch = PressWatch(
                lines[0], panel, latch, self.clock, self.boot_id, table.stuck_after_s, on_press, on_stuck,
                nc=lines[1] if len(lines) > 1 else None, kind=table.contact, stamp=self._stamp,
                unbroken=all(isinstance(line, KernelButton) and line.adopted for line in lines),
            )  # fmt: skip
            watch.start()
            taken.pop_all()
        for line in lines:
            if isinstance(line, KernelButton):
                waiting = line.waiting_edges
                self._log.info("button's line", adopted=line.adopted, kept=line.kept, waiting_edges=waiting)
        return watch

    def _line(self, table: ButtonTable, pin: int, name: str) -> Button:
        if table.driver == "gpiozero":
            self._fds.drop_rest()  # a line that systemd keeps from before is not to be had
            return GpioButton(pin, table.closed_level)
        return KernelButton(table.chip, pin, table.closed_level, self._fds, name, on_lost=self._button_lost)

    def _button_lost(self, why: str) -> None:
        """The line has gone for good: our successor asks for it again, or reports that it is not to be had."""
        self._log.error("button's line lost: core starts again", error=why)
        os.kill(os.getpid(), signal.SIGTERM)

    def uplink(self, broker: BrokerTable, subscribe: str, will: Callable[[], Will], handlers: UplinkHandlers) -> Uplink:
        def context() -> ssl.SSLContext:
            clock = self.clock
            return client_context(
                broker.ca_file, broker.cert_file, broker.key_file, clock.stamp, clock.lower_bound_utc_s
            )

        return MqttUplink(broker, self._config.unit.id, subscribe, will, context, handlers)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def notify(self, message: str) -> None:
        notify(message)
