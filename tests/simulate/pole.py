"""The pole: a machine that boots, a service manager that starts core again, and the lives of the real core on it."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulate.disk_thread import SimDisk
from tests.simulate.memory_disk import VOLATILE, Dead
from tests.simulate.timeline import SECOND_NS, VirtualLoop
from unitd.config import BrokerTable
from unitd.core.button import Felt, Gap, PressJudge
from unitd.core.core import Core
from unitd.core.latch import Latch
from unitd.core.machine import Pace
from unitd.core.panel import Panel
from unitd.ports import Uplink, UplinkHandlers, Will
from unitd.runtime.clock import SystemClock

if TYPE_CHECKING:
    from tests.simulate.day import Day

SYNCHRONIZED = VOLATILE + "/synchronized"
WATCHDOG_NS = 10 * SECOND_NS
"""As systemd's WatchdogSec of core; four times the pace where core is let sleep longer."""
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


class SimMachine:
    """`unitd.core.machine.Machine` of one life of core."""

    def __init__(self, life: "Life") -> None:
        self._life, self._day = life, life.day
        self.clock = SystemClock(Path(SYNCHRONIZED))
        self.boot_id = life.day.pole.boot_id
        self.disk = life.disk

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


class Pole:
    """Power, boot, the contact, the lamps, the disk's mood, and systemd."""

    def __init__(self, day: "Day") -> None:
        self.day = day
        self.life: Life | None = None
        self.powered = False
        self.boots = 0
        self.booted_ns = 0
        self.boot_id = ""
        self.wall_offset_ns = 0
        self.contact_closed = False
        self.lamps = dict.fromkeys(LAMPS, "off")
        self.pins_missing = 0
        self.disk_ms = (1.0, 12.0)
        self.disk_hangs = False
        self.most_ready = 0
        self.watched_boot = self.watched_until_ns = self.lives_of_boot = 0
        self.known_stuck = False
        """What the last core of this boot knew of the contact."""
        self.died_within = False
        """This life ends in the middle of a file operation."""
        self._starting: Any = None
        day.medium.on_death = self._died_at_operation

    # --- power ---

    def power_on(self, *, clock_known: bool = True) -> None:
        day = self.day
        self.powered = True
        self.boots += 1
        self.known_stuck, self.lives_of_boot = False, 0
        # a kernel's monotonic clock begins before core does, and no two boots have an edge at the same nanosecond
        self.booted_ns = day.timeline.now_ns - day.chance.randint(2_000_000_000, 9_000_000_000)
        self.boot_id = day.new_id()
        if not clock_known:
            day.checker.clock_doubted = True
            self.wall_offset_ns = -day.wall_ns() + day.chance.randint(0, 10**12)
        day.trace.say("boot", self.boots)
        day.checker.booted(self.boots, self.booted_ns)
        day.medium.revive()
        if clock_known:
            self.set_synchronized(True)
        self._start_after(day.chance.uniform(0.3, 1.0))

    def cut_power(self, why: str) -> None:
        """Everything that was not synced may be gone; the tmpfs is."""
        if not self.powered:
            return
        self.day.trace.say("power cut", why)
        self.day.checker.power_cut()
        self._end_life()
        self.powered = False
        if self._starting is not None:
            self._starting.cancel()
        self.day.medium.cut_power()

    def set_synchronized(self, synchronized: bool) -> None:
        if synchronized:
            self.day.medium.put(SYNCHRONIZED)
            self.wall_offset_ns = 0
        else:
            self.day.medium.names.pop(SYNCHRONIZED, None)

    # --- core's process ---

    def kill(self, why: str) -> None:
        if self.life is None or self.life.dead:
            return
        self.day.trace.say("kill core", why)
        self.life_ended(why)

    def terminate(self) -> None:
        """systemctl restart: in order, if it can."""
        life = self.life
        if life is None or life.dead:
            return
        self.day.trace.say("SIGTERM")
        life.loop.call_soon(life.stop.set)
        self.day.timeline.after(5.0, lambda: None if life.dead else self.kill("it did not stop"))

    def rest(self) -> None:
        """The hours that follow are quiet: a core at the field's pace makes room for one that may sleep longer."""
        if self.life is not None and self.life.pace is BUSY:
            self.terminate()

    def hang(self) -> None:
        """A blocking call on the loop that never comes back; the watchdog ends it."""
        if self.life is not None and not self.life.dead:
            self.day.trace.say("core's loop hangs")
            self.day.checker.loop_hangs()
            self.life.loop.hang()
            life = self.life
            self.day.timeline.after(
                self.day.chance.uniform(4, 10), lambda: self.kill("watchdog") if life is self.life else None
            )

    def life_ended(self, why: str) -> None:
        self._end_life()
        if self.powered:
            self._start_after(self.day.chance.uniform(0.25, 0.9))

    def _end_life(self) -> None:
        life = self.life
        if life is None or life.dead:
            return
        self.most_ready = max(self.most_ready, life.loop.most_ready)
        if life.watch is not None:
            self.watched_boot, self.watched_until_ns = self.boots, self.day.timeline.now_ns
            self.lives_of_boot += 1
            self.known_stuck = life.watch.stuck
        life.kill()
        for uplink in life.uplinks:
            uplink.process_gone()
        for lamp in LAMPS:  # the kernel takes the lines back
            self.show(lamp, "off")
        self.day.checker.life_ended()
        self.died_within = False
        self.day.helpers.core_gone()

    def _died_at_operation(self) -> None:
        """The numbered operation was reached: the process is gone in the middle of it."""
        if self.life is not None and not self.life.dead:
            life = self.life
            life.dead = life.loop.dead = self.died_within = True
            self.day.trace.say("core dies at a file operation")
            self.day.timeline.after(0.0, lambda: self._bury(life))

    def _bury(self, life: Life) -> None:
        if life is self.life:
            life.dead = False
            self.day.medium.dead = True
            self.life_ended("at a file operation")

    def _start_after(self, delay_s: float) -> None:
        if self._starting is not None:
            self._starting.cancel()
        self._starting = self.day.timeline.after(delay_s, self._start)

    def _start(self) -> None:
        self._starting = None
        if not self.powered:
            return
        self.day.medium.revive()
        self.day.trace.say("core starts")
        self.day.checker.life_began()
        self.life = Life(self.day)
        self._look_at_watchdog()

    def _look_at_watchdog(self) -> None:
        life = self.life
        if life is None or life.dead or life.loop.hung:
            return
        limit_ns = max(WATCHDOG_NS, int(5 * life.pace.vital_s * 1e9))
        age_ns = self.day.timeline.now_ns - life.fed_ns
        if age_ns >= limit_ns:
            self.day.checker.finding("the watchdog starved a core that was not hung", f"{age_ns / 1e9:.1f} s")
            self.kill("watchdog")
            return
        self.day.timeline.after(
            (limit_ns - age_ns) / 1e9, lambda: self._look_at_watchdog() if life is self.life else None
        )

    def gap(self) -> Gap | None:
        """What core's `watched` file would tell a successor in this boot."""
        if self.watched_boot != self.boots:
            return None
        return Gap(self.day.timeline.now_ns - self.watched_until_ns, self.lives_of_boot)

    # --- pins and disk ---

    def contact(self, closed: bool) -> None:
        """The contact closes or opens; whoever watches feels it."""
        if closed == self.contact_closed:
            return
        self.contact_closed = closed
        life = self.life
        watching = life is not None and not life.dead and life.watch is not None
        self.day.checker.edge(closed, watching)
        if watching:
            life.watch.edge(closed)  # type: ignore[union-attr]

    def show(self, lamp: str, level: str) -> None:
        if self.lamps[lamp] != level:
            self.lamps[lamp] = level
            self.day.trace.say("lamp", lamp, level)
            self.day.checker.lamp(lamp, level)

    def disk_takes_s(self) -> float:
        low, high = self.disk_ms
        return self.day.chance.uniform(low, high) / 1000
