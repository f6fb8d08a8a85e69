"""Core's composition root: the real machine, and the end of the process."""

import asyncio
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
from unitd.drivers.mqtt import MqttUplink
from unitd.drivers.tls import client_context
from unitd.ports import Uplink, UplinkHandlers, Will
from unitd.runtime import logs
from unitd.runtime.clock import SystemClock
from unitd.runtime.ending import end_within
from unitd.runtime.watchdog import notify


def main(config: Config) -> int:
    """Run core until SIGTERM or SIGINT; returns the exit status."""
    log = logs.setup("core", config.log.level)
    status = asyncio.run(_run(Core(config, RealMachine(config), log)))
    logs.flush()
    return status


async def _run(core: Core) -> int:
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    return await core.run(stop, end_within)


class RealMachine:
    """The unit's own clocks, pins, disk and network (`unitd.core.machine.Machine`)."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.clock = SystemClock(Path(config.clock.synchronized_file))
        self.boot_id = boot_id()
        self.disk = DiskThread()

    def check_pins(self) -> None:
        check_pins()

    def lamp(self, pin: int) -> GpioLamp:
        return GpioLamp(pin)

    def watch(
        self, panel: Panel, latch: Latch, on_press: Callable[[Felt], None], on_stuck: Callable[[bool], None]
    ) -> PressWatch:
        table: ButtonTable = self._config.button
        button = GpioButton(table.pin, table.closed_level)
        watch = PressWatch(
            button, panel, latch, self.clock, self.boot_id, table.stuck_after_s, on_press=on_press, on_stuck=on_stuck
        )
        try:
            watch.start()
        except Exception:
            button.close()  # or the pin is in use when it is tried again
            raise
        return watch

    def uplink(self, broker: BrokerTable, subscribe: str, will: Callable[[], Will], handlers: UplinkHandlers) -> Uplink:
        def context() -> ssl.SSLContext:
            return client_context(broker.ca_file, broker.cert_file, broker.key_file, self.clock.stamp)

        return MqttUplink(broker, self._config.unit.id, subscribe, will, context, handlers)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def notify(self, message: str) -> None:
        notify(message)
