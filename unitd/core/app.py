"""Core's composition root: the real machine, and the end of the process."""

import asyncio
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
from unitd.core.panel import Panel
from unitd.core.recover import boot_id
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
    status = asyncio.run(_run(Core(config, RealMachine(config, log), log)))
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
        self.clock = SystemClock(Path(config.clock.synchronized_file))
        self.boot_id = boot_id()
        self.disk = DiskThread()

    def check_pins(self) -> None:
        if self._config.button.driver == "gpiozero":  # else only lamps need it, and each says so itself
            check_pins()

    def lamp(self, pin: int) -> GpioLamp:
        return GpioLamp(pin)

    def watch(
        self, panel: Panel, latch: Latch, on_press: Callable[[Felt], None], on_stuck: Callable[[bool], None]
    ) -> PressWatch:
        table: ButtonTable = self._config.button
        button = self._button(table)
        watch = PressWatch(
            button, panel, latch, self.clock, self.boot_id, table.stuck_after_s, on_press=on_press, on_stuck=on_stuck
        )
        try:
            watch.start()
        except Exception:
            button.close()  # or the pin is in use when it is tried again
            raise
        if isinstance(button, KernelButton):
            waiting = button.waiting_edges
            self._log.info("button's line", adopted=button.adopted, kept=button.kept, waiting_edges=waiting)
        return watch

    def _button(self, table: ButtonTable) -> Button:
        if table.driver == "gpiozero":
            self._fds.drop_rest()  # a line that systemd keeps from before is not to be had
            return GpioButton(table.pin, table.closed_level)
        line = KernelButton(table.chip, table.pin, table.closed_level, self._fds, on_lost=self._button_lost)
        self._fds.drop_rest()
        return line

    def _button_lost(self, why: str) -> None:
        """The line has gone for good: our successor asks for it again, or reports that it is not to be had."""
        self._log.error("button's line lost: core starts again", error=why)
        os.kill(os.getpid(), signal.SIGTERM)

    def uplink(self, broker: BrokerTable, subscribe: str, will: Callable[[], Will], handlers: UplinkHandlers) -> Uplink:
        def context() -> ssl.SSLContext:
            return client_context(broker.ca_file, broker.cert_file, broker.key_file, self.clock.stamp)

        return MqttUplink(broker, self._config.unit.id, subscribe, will, context, handlers)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def notify(self, message: str) -> None:
        notify(message)
