"""One pole-day: 24 hours of virtual time of the real core, everything random drawn from one seed.

Trouble is dense: some hours of episodes, in which people press and things break, parted by quiet ones, in which the
pole idles as it does in the field. At the end every fault is lifted; what was owed must then arrive.
"""

import contextlib
import os
import random
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import msgspec

from tests.simulate import disk_calls, disk_thread
from tests.simulate.checker import Checker
from tests.simulate.configured import drawn
from tests.simulate.control_room import ControlRoom, Operators
from tests.simulate.faults import Faults
from tests.simulate.helpers import Helpers
from tests.simulate.memory_disk import Medium
from tests.simulate.network import Network
from tests.simulate.pole import Pole
from tests.simulate.street import Street
from tests.simulate.timeline import SECOND_NS, Livelock, Timeline
from tests.simulate.trace import Trace
from unitd.messages import control_room as wire

UNIT = "pole-0001"
DAY_S = 86_400.0
SETTLING_S = 900.0
"""From the lifting of every fault to the end."""
UTC_NS = 1_795_000_000 * SECOND_NS
LOOK_EVERY_S = 2.3
SLOW_LOOK_EVERY_S = 41.0


@dataclass
class Outcome:
    """What came of one seed."""

    seed: int
    findings: list[str]
    digest: str
    cpu_s: float
    virtual_s: float
    counts: Counter[str] = field(default_factory=Counter)
    last: list[str] = field(default_factory=list)


class Day:
    """The world of one seed. `busy` while an episode goes on."""

    def __init__(self, seed: int, length_s: float = DAY_S, show: Callable[[str], None] | None = None) -> None:
        self.seed, self.length_s = seed, length_s
        self.chance = random.Random(seed)
        self.timeline = Timeline()
        self.trace = Trace(self.timeline, show)
        self.medium = Medium(self.chance)
        self.busy = False
        self.checker = Checker(self)
        names = ["main", "spare"][: self.chance.choice((1, 2, 2))]
        self.config, self.duty = drawn(self.chance, UNIT, names)
        self.network = Network(self, names)
        self.pole = Pole(self)
        self.rooms = self._rooms()
        self.operators = Operators(self)
        self.helpers = Helpers(self)
        self.street = Street(self)
        self.faults = Faults(self)

    def _rooms(self) -> list[ControlRoom]:
        """One control room at every broker, or one at each."""
        every_s = self.chance.choice((40.0, 60.0, 80.0, 80.0))
        brokers = list(self.network.brokers.values())
        if len(brokers) > 1 and self.chance.random() < 0.5:
            return [ControlRoom(self, f"room-{each.name}", [each], every_s) for each in brokers]
        return [ControlRoom(self, "room", brokers, every_s)]

    # --- what everybody asks ---

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def topic(self, *rest: str) -> str:
        return wire.topic(UNIT, "down", *rest)

    def parse(self, payload: bytes, kind: Any) -> Any:
        """A message of the unit; one that does not fit its struct is a finding."""
        try:
            return msgspec.json.decode(payload, type=kind)
        except msgspec.MsgspecError as error:
            self.checker.finding("the unit sends what its own API forbids", f"{kind.__name__}: {error}")
            raise

    def wall_ns(self) -> int:
        return UTC_NS + self.timeline.now_ns + self.pole.wall_offset_ns

    def last_disk_trouble_ns(self) -> int:
        return self.timeline.now_ns if self.faults.disk_under_way else self.faults.last_disk_ns

    def well_since(self, at_ns: int) -> bool:
        """Nothing has been wrong from then until now."""
        return not self.faults.under_way and self.faults.last_ns < at_ns and at_ns > 0

    # --- the day ---

    def plan(self) -> None:
        """Boot, then episodes; the last half hour is for settling."""
        self.pole.power_on(clock_known=self.chance.random() < 0.7)
        if self.pole.wall_offset_ns:
            self.timeline.after(self.chance.uniform(10, 600), lambda: self.pole.set_synchronized(True))
        end_s = self.length_s - SETTLING_S
        episodes = max(1, round(end_s / 7000))
        at_s = 20.0
        for number in range(episodes):
            latest_s = end_s * (number + 1) / episodes - 1000
            start_s = self.chance.uniform(at_s, max(at_s + 1, latest_s))
            long_s = self.chance.uniform(120, 700)
            self._episode(start_s, long_s)
            at_s = start_s + long_s + 200
        for _ in range(2):  # people also come when nothing is wrong
            self.timeline.after(self.chance.uniform(100, end_s - 100), self.street.someone)
        self.timeline.after(end_s, self._lift)
        self._look()
        self._slow_look()

    def _episode(self, start_s: float, long_s: float) -> None:
        chance, after = self.chance, self.timeline.after
        after(start_s, lambda: self._set_busy(True))
        for _ in range(chance.randint(2, 8)):
            after(start_s + chance.uniform(0, long_s), self.faults.begin_one)
        for _ in range(chance.choice((0, 1, 1, 2, 3, 5))):
            after(start_s + chance.uniform(0, long_s), self.street.someone)
        if chance.random() < 0.25:
            after(start_s + chance.uniform(0, long_s), self._order_test)
        if chance.random() < 0.2:
            after(start_s + chance.uniform(0, long_s), self._maintain)
        after(start_s, lambda: self.operators.live.somebody_watches(long_s))
        after(start_s + long_s + 120, lambda: self._set_busy(False))

    def _order_test(self) -> None:
        self.operators.order(self.chance.choice(self.rooms), wire.RaiseTest, {}, "maintainer")

    def _maintain(self) -> None:
        """Somebody works on the pole; some forget to say that they have done."""
        room, for_s = self.chance.choice(self.rooms), round(self.chance.choice((30, 300, 3600, 28_800)))
        self.operators.order(room, wire.Isolate, {"for_s": for_s, "reason": "work"}, "maintainer")
        if self.chance.random() < 0.6:
            done_s = self.chance.uniform(20, 1.2 * for_s)
            self.timeline.after(done_s, lambda: self.operators.order(room, wire.EndIsolation, {}, "maintainer"))

    def _set_busy(self, busy: bool) -> None:
        self.busy = busy
        if busy:
            self._look()
        else:
            self.pole.rest()

    def _look(self) -> None:
        self.checker.look()
        if self.busy:
            self.timeline.after(LOOK_EVERY_S, self._look)

    def _slow_look(self) -> None:
        self.checker.slow_look()
        self.timeline.after(SLOW_LOOK_EVERY_S, self._slow_look)

    def _lift(self) -> None:
        self.trace.say("all faults are lifted")
        self.faults.lift()
        self.busy = True
        self._look()
        for at_s in (400, 500, 600, 700):
            self.timeline.after(at_s, self.operators.close_everything)

    def run(self) -> None:
        self.plan()
        self.timeline.run_until(int(self.length_s * 1e9))
        self.checker.the_end()
        life = self.pole.life
        if life is not None and not life.dead:
            life.dead = True
            self.medium.end_life()
            life.loop.kill()


@contextlib.contextmanager
def virtual_time(day: Day) -> Iterator[None]:
    """Within, the process's clocks are the simulated machine's and its files the simulated disk's; one thread only."""
    timeline, machine = day.timeline, day.pole
    patches = {
        "monotonic_ns": lambda: timeline.now_ns - machine.booted_ns,
        "monotonic": lambda: (timeline.now_ns - machine.booted_ns) / 1e9,
        "time_ns": day.wall_ns,
        "time": lambda: day.wall_ns() / 1e9,
    }
    before = random.getstate()
    random.seed(day.seed)  # the product's jitter
    with contextlib.ExitStack() as stack:
        for name, patched in patches.items():
            stack.enter_context(mock.patch.object(time, name, patched))
        stack.enter_context(mock.patch.dict(os.environ, {"WATCHDOG_USEC": "180000000"}))
        stack.enter_context(disk_calls.installed(lambda: day.medium))
        stack.enter_context(disk_thread.installed())
        try:
            yield
        finally:
            random.setstate(before)


def run_day(seed: int, length_s: float = DAY_S, show: Callable[[str], None] | None = None) -> Outcome:
    """Run one seed to its end; never raises for what the product does."""
    started = time.process_time()
    day = Day(seed, length_s, show)
    with virtual_time(day):
        try:
            day.run()
        except Livelock as error:
            day.checker.finding("core never comes to rest", str(error))
        except Exception:  # a seed that the simulation itself cannot bear is told by its number, too
            day.checker.finding("the simulation failed", traceback.format_exc())
    return Outcome(
        seed, day.checker.findings, day.trace.digest, time.process_time() - started, length_s, day.checker.counts,
        day.trace.last,
    )  # fmt: skip
