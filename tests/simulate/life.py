"""One life of the real core on the pole: its process, and the machine that the simulation gives it."""

import asyncio
import contextlib
import hashlib
import random
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulate.disk_thread import SimDisk
from tests.simulate.memory_disk import VOLATILE, Dead
from tests.simulate.timeline import VirtualLoop
from unitd.config import BrokerTable
from unitd.core.button import Felt, PressJudge
from unitd.core.core import Core
from unitd.core.latch import Latch
from unitd.core.machine import Answer, Pace
from unitd.core.panel import Panel
from unitd.ports import Uplink, UplinkHandlers, Will
from unitd.runtime.clock import SystemClock

if TYPE_CHECKING:
    from tests.simulate.day import Day

SYNCHRONIZED = VOLATILE + "/synchronized"
BUSY = Pace()
QUIET = Pace(vital_s=60.0, look_s=60.0)
LAMPS = ("yellow", "green", "locator", "sounder")


class Log:
    """Takes core's log. What core itself did not expect is a finding."""

    def __init__(self, life: "Life") -> None:
        self._life, self._day = life, life.day

    def info(self, event: str, **fields: Any) -> None:
        if event != "chain" and not self._life.dead:
            self._day.trace.say("core", event)

    def warning(self, event: str, **fields: Any) -> None:
        if not self._life.dead:
            self._day.trace.say("core", event)

    error = warning

    def debug(self, event: str, **fields: Any) -> None: ...

    def exception(self, event: str, **fields: Any) -> None:
        if event == "button cannot be watched" and self._life.pins_missed:
            return
        if not self._life.dead:
            self._day.checker.finding("core did not expect this", f"{event}: {traceback.format_exc()}")


class SimLamp:
    def __init__(self, life: "Life", name: str) -> None:
        self._life, self._name, self._level = life, name, "off"

    def show(self, level: str) -> None:
        if self._life.dead or level == self._level:
            return
        self._level = level
        self._life.day.pole.show(self._name, level)

    def close(self) -> None:
        self.show("off")


class SimWatch:
    """The button's two threads: the real judge, fed with the street's edges."""

    def __init__(self, life: "Life", judge: PressJudge) -> None:
        self._life, self.judge = life, judge
        self._turn: Any = None
        pole = life.day.pole
        self.gap = pole.gap()
        judge.at_start(life.mono_ns(), pole.contact_closed)
        if pole.contact_closed:
            self.edge(True)

    @property
    def stuck(self) -> bool:
        return self.judge.stuck

    @property
    def fault(self) -> str:
        return self.judge.fault

    @property
    def alive_ns(self) -> int:
        return self._life.mono_ns()

    def edge(self, closed: bool) -> None:
        now_ns = self._life.mono_ns()
        with contextlib.suppress(Dead):
            self.judge.touch(now_ns, closed)
            if not self._life.dead:
                self.judge.take(now_ns, closed)
        self._again()

    def _again(self) -> None:
        """As the press thread: when the filter wants it, and every second while there is something to see."""
        if self._life.dead:
            return
        if self._turn is not None:
            self._turn.cancel()
        now_ns, due_ns = self._life.mono_ns(), self.judge.due_ns()
        if due_ns is not None:
            self._turn = self._life.day.timeline.after(max(0, due_ns - now_ns) / 1e9 + 1e-6, self._turned)
        elif self.judge.closed or self.judge.stuck:
            self._turn = self._life.day.timeline.after(1.0, self._turned)

    def _turned(self) -> None:
        if not self._life.dead:
            with contextlib.suppress(Dead):
                self.judge.turn(self._life.mono_ns())
            self._again()


class SimSigner:
    """The child that signs: takes its time, sometimes dies. What it signs depends on nothing but the bytes."""

    def __init__(self, life: "Life") -> None:
        self._chance = random.Random(f"signer {life.day.seed}")

    async def make(self) -> Answer:
        await self._work()
        return Answer(b"", "missing")

    async def sign(self, body: bytes) -> Answer:
        await self._work()
        return Answer(hashlib.sha512(body).digest(), "missing")

    async def _work(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.1, 2.0))
        if self._chance.random() < 0.05:
            raise OSError("the process that signs: killed")


class SimMachine:
    """`unitd.core.machine.Machine` of one life of core."""

    def __init__(self, life: "Life") -> None:
        self._life, self._day = life, life.day
        self.clock = SystemClock(Path(SYNCHRONIZED))
        self.boot_id = life.day.pole.boot_id
        self.disk = life.disk

        self.signer = SimSigner(life)

    @property
    def pace(self) -> Pace:
        return self._life.pace

    def check_pins(self) -> None:
        pole = self._day.pole
        if pole.pins_missing > 0:
            pole.pins_missing -= 1
            self._life.pins_missed = True
            raise RuntimeError("no such GPIO chip")

    def lamp(self, pin: int) -> SimLamp:
        lamps, config = {}, self._day.config
        for name, number in zip(
            LAMPS, (config.lamps.yellow_pin, config.lamps.green_pin, config.lamps.locator_pin, config.sounder.pin),
            strict=True,
        ):  # fmt: skip
            lamps[number] = name
        return SimLamp(self._life, lamps[pin])

    def watch(
        self, panel: Panel, latch: Latch, on_press: Callable[[Felt], None], on_stuck: Callable[[bool], None]
    ) -> SimWatch:
        life = self._life

        def pressed(felt: Felt) -> None:
            if not life.dead:
                on_press(felt)

        judge = PressJudge(
            panel, latch, self.clock, self.boot_id, self._day.config.button.stuck_after_s, pressed, on_stuck,
            self.new_id, before="button_stuck" if self._day.pole.known_stuck else "",
        )  # fmt: skip
        life.watch = SimWatch(life, judge)
        self._day.checker.watched(True)
        return life.watch

    def uplink(self, broker: BrokerTable, subscribe: str, will: Callable[[], Will], handlers: UplinkHandlers) -> Uplink:
        return self._day.network.uplink(self._life, broker.name, will, handlers)

    def new_id(self) -> str:
        return self._day.new_id()

    def notify(self, message: str) -> None:
        if not self._life.dead and "WATCHDOG=1" in message:
            self._life.fed_ns = self._day.timeline.now_ns


class Life:
    """One process of core, from its start to its end."""

    def __init__(self, day: "Day") -> None:
        self.day = day
        self.dead = self.pins_missed = False
        self.watch: SimWatch | None = None
        self.began_ns = self.fed_ns = day.timeline.now_ns
        self.uplinks: list[Any] = []
        self.loop = VirtualLoop(day.timeline, day.pole.booted_ns, self._loop_error)
        self.disk = SimDisk(self)
        self.pace = BUSY if day.busy and day.chance.random() < 0.3 else QUIET
        self.loop.on_socket = self._socket
        self.stop = asyncio.Event()
        self.core: Core | None = None
        self.loop.call_soon(self._start)

    def mono_ns(self) -> int:
        return self.day.timeline.now_ns - self.day.pole.booted_ns

    def _start(self) -> None:
        with contextlib.suppress(Dead):
            self.machine = SimMachine(self)
            self.core = Core(self.day.config, self.machine, Log(self))  # type: ignore[arg-type]
            task = self.loop.start(self.core.run(self.stop))
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[int]") -> None:
        if self.dead:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.day.checker.finding("core ended by an exception", repr(error))
        elif not self.stop.is_set():
            self.day.checker.finding("core ended by itself", str(task.result()))
        self.day.pole.life_ended("end in order")

    def _loop_error(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Dead):
            self.day.checker.finding("a task of core failed unseen", f"{context.get('message')}: {error!r}")

    def _socket(self, path: str) -> None:
        descriptor = self.day.medium.do_open(path, 0o100)  # O_CREAT
        self.day.medium.do_close(descriptor)

    def kill(self) -> None:
        """kill -9, or the power: nothing of it acts any more."""
        self.disk.die()
        self.dead = True
        self.day.medium.end_life()
        self.loop.kill()
