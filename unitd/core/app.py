"""Core's composition root: the real machine, and the end of the process.

What the button needs is imported and armed first; the rest (most of the time of a start) is imported by `main` after.
"""

import contextlib
import os
import signal
import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unitd.config import BrokerTable, ButtonTable, Config
from unitd.core.button import Felt, PressWatch
from unitd.core.early import EarlyWatch
from unitd.core.latch import Latch
from unitd.core.machine import Early, Pace
from unitd.core.panel import Panel, lamp_pins
from unitd.core.watched import WatchedStamp
from unitd.drivers.gpio import GpioButton, GpioLamp, check_pins
from unitd.drivers.gpio_line import KernelButton
from unitd.ports import Button, Uplink, UplinkHandlers, Will
from unitd.runtime.clock import SystemClock
from unitd.runtime.fd_store import FdStore
from unitd.store.boot import KERNEL_BOOT_ID

if TYPE_CHECKING:
    import ssl

    from unitd.core.core import Core
    from unitd.core.disk_thread import DiskThread
    from unitd.core.machine import Signer
    from unitd.runtime.logs import Logger


def main(config: Config) -> int:
    """Run core until SIGTERM or SIGINT; returns the exit status."""
    machine = RealMachine(config)
    early = machine.arm_early()

    import asyncio

    from unitd.core.core import Core
    from unitd.runtime import logs

    machine.log = log = logs.setup("core", config.log.level)
    status = asyncio.run(_run(Core(config, machine, log, machine.clock.not_before, early)))
    logs.flush()
    return status


async def _run(core: "Core") -> int:
    import asyncio

    from unitd.runtime.ending import end_within

    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    return await core.run(stop, end_within)


class RealMachine:
    """The unit's own clocks, pins, disk and network (`unitd.core.machine.Machine`)."""

    def __init__(self, config: Config, log: "Logger | None" = None) -> None:
        self._config = config
        self.log = log
        self._fds = FdStore()
        self._stamp: WatchedStamp | None = None
        self._early: EarlyWatch | None = None
        self._lines: list[Button] = []
        self.clock = SystemClock(Path(config.clock.synchronized_file))
        self.boot_id = KERNEL_BOOT_ID.read_text(encoding="ascii").strip()
        self.pace = Pace()

    @cached_property
    def disk(self) -> "DiskThread":
        from unitd.core.disk_thread import DiskThread

        return DiskThread()

    @cached_property
    def signer(self) -> "Signer":
        from unitd.core.signing import ChildSigner

        return ChildSigner(self._config)

    def arm_early(self) -> Early:
        """Watch the button before the rest of core is loaded. What cannot be had is asked for again by `watch`, and
        `lamp`, which say why not; this raises nothing."""
        early = Early(Panel(), latch := Latch(Path(self._config.paths.run_dir)), latch.pending(self.boot_id))
        with contextlib.suppress(Exception):
            self.check_pins()
            for name, pin in lamp_pins(self._config).items():
                if pin is not None:
                    with contextlib.suppress(Exception):
                        early.panel.fit(name, self.lamp(pin))
            waiting = EarlyWatch()
            waiting.watch = self._watched(early.panel, latch, waiting.on_press, waiting.on_stuck)
            self._early = waiting
        return early

    def check_pins(self) -> None:
        if self._config.button.driver == "gpiozero":  # else only lamps need it, and each says so itself
            check_pins()

    def lamp(self, pin: int) -> GpioLamp:
        return GpioLamp(pin)

    def watch(
        self, panel: Panel, latch: Latch, on_press: Callable[[Felt], None], on_stuck: Callable[[bool], None]
    ) -> PressWatch:
        early, self._early = self._early, None
        if early is not None and early.watch is not None:
            watch = early.watch
            early.attach(on_press, on_stuck)
        else:
            watch = self._watched(panel, latch, on_press, on_stuck)
        if self.log is not None:
            for line in self._lines:
                if isinstance(line, KernelButton):
                    waiting = line.waiting_edges
                    self.log.info("button's line", adopted=line.adopted, kept=line.kept, waiting_edges=waiting)
        return watch

    def _watched(
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
        self._lines = lines
        return watch

    def _line(self, table: ButtonTable, pin: int, name: str) -> Button:
        if table.driver == "gpiozero":
            self._fds.drop_rest()  # a line that systemd keeps from before is not to be had
            return GpioButton(pin, table.closed_level)
        return KernelButton(table.chip, pin, table.closed_level, self._fds, name, on_lost=self._button_lost)

    def _button_lost(self, why: str) -> None:
        """The line has gone for good: our successor asks for it again, or reports that it is not to be had."""
        if self.log is not None:
            self.log.error("button's line lost: core starts again", error=why)
        os.kill(os.getpid(), signal.SIGTERM)

    def uplink(self, broker: BrokerTable, subscribe: str, will: Callable[[], Will], handlers: UplinkHandlers) -> Uplink:
        from unitd.drivers.mqtt import MqttUplink
        from unitd.drivers.tls import client_context

        def context() -> "ssl.SSLContext":
            clock = self.clock
            return client_context(
                broker.ca_file, broker.cert_file, broker.key_file, clock.stamp, clock.lower_bound_utc_s
            )

        return MqttUplink(broker, self._config.unit.id, subscribe, will, context, handlers)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def notify(self, message: str) -> None:
        from unitd.runtime.watchdog import notify

        notify(message)
