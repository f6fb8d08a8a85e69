"""Presses of a person while everything else breaks: the finger, the breaker and the run.

Both draw from one seed. What they do follows from it; when exactly a process dies does not, as these are real
processes. The judge (press_judge.py) asks the control room's own book, on disk, and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import msgspec

from hw_sim.bench import Bench
from hw_sim.unit_config import PINS
from hw_sim.waiting import until
from tests.system.latch_watch import LatchWatch
from tests.system.press_judge import Entry, Report, Touch, Way, judge, light_ms, spread
from unitd.messages.control_room import Alarm

BUTTON, SOUNDER = PINS["button"], PINS["sounder"]
WAYS: dict[Way, int] = {"short": 45, "killed before": 20, "killed under it": 20, "long": 10, "short while dead": 5}
"""How a press goes, and how often in a hundred."""
BETWEEN_S = (0.8, 1.6)
"""The sounder answers a press for 0.7 s; the next one is heard anew."""
ANSWER_S = 2.0
SETTLE_S = 90.0


class Finger:
    """Presses the button `count` times, killing core where the way of a press says so."""

    def __init__(self, bench: Bench, count: int, rng: random.Random) -> None:
        self._bench, self._count, self._rng = bench, count, rng
        self.touches: list[Touch] = []
        self.core_kills_ns: list[int] = []
        self.kills: dict[str, int] = dict.fromkeys(bench.daemons, 0)

    async def run(self, between: Callable[[], None]) -> None:
        """Each way at least once if `count` allows, in an order of the seed. `between` is called before each press."""
        ways = list(WAYS)[: self._count]
        ways += self._rng.choices(list(WAYS), list(WAYS.values()), k=self._count - len(ways))
        self._rng.shuffle(ways)
        for number, way in enumerate(ways, 1):
            between()
            await asyncio.sleep(self._rng.uniform(*BETWEEN_S))
            await self._touch(Touch(number, way))

    async def kill(self, name: str) -> None:
        """kill -9. Of core it waits until its successor holds the button's line."""
        daemon, gpio = self._bench.daemons[name], self._bench.gpio
        if not daemon.running:
            return
        self.kills[name] += 1
        if name == "core":
            self.core_kills_ns.append(time.monotonic_ns())
        self._bench.kill(name)
        if name == "core":
            await self._core_dead()
            await until(lambda: gpio.held(BUTTON), 20, "core's successor holds the button", every_s=0.005)

    async def _core_dead(self) -> None:
        await until(lambda: not self._bench.gpio.held(BUTTON), 5, "core is dead", every_s=0.001)

    async def _touch(self, touch: Touch) -> None:
        rng, gpio, way = self._rng, self._bench.gpio, touch.way
        short_s, long_s, into_s = rng.uniform(0.06, 0.4), rng.uniform(1.0, 2.5), rng.uniform(0.0, 0.06)
        await until(lambda: gpio.held(BUTTON), 20, "core holds the button")
        killing: asyncio.Task[None] | None = None
        if way in ("killed before", "short while dead"):
            killing = asyncio.ensure_future(self.kill("core"))
            await self._core_dead()
        touch.up, touch.quiet = gpio.held(BUTTON), not gpio.level(SOUNDER)
        touch.edge_ns = self._bench.press()
        self.touches.append(touch)
        if way in ("short", "short while dead"):
            await asyncio.sleep(short_s)
        elif way == "long":
            await asyncio.sleep(long_s)
        else:
            if way == "killed under it":
                await asyncio.sleep(into_s)
                killing = asyncio.ensure_future(self.kill("core"))
            if killing is not None:
                await killing
            await asyncio.sleep(0.3)  # whoever waits for an answer holds on at least until there is one
            touch.held_until_back = gpio.held(BUTTON)
        touch.release_ns = self._bench.release()
        if killing is not None:
            await killing

        def answered_ns() -> int | None:
            return min((each.mono_ns for each in gpio.history(SOUNDER, touch.edge_ns) if each.value), default=None)

        if touch.up and touch.quiet:
            with contextlib.suppress(TimeoutError):  # one that comes late is seen as late
                await until(lambda: answered_ns() is not None, ANSWER_S, "an answer", every_s=0.005)
        touch.answered_ns = answered_ns()


class Breaker:
    """Breaks one thing after another: a shuffled deck, each card once before any comes again."""

    def __init__(self, bench: Bench, finger: Finger, rng: random.Random) -> None:
        self._bench, self._finger, self._rng = bench, finger, rng
        self.broken: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled; leaves brokers and link whole."""
        try:
            while True:
                cards = list(self._deck().items())
                self._rng.shuffle(cards)
                for name, card in cards:
                    await asyncio.sleep(self._rng.uniform(0.2, 1.5))
                    self.broken[name] = self.broken.get(name, 0) + 1
                    await card()
        finally:
            self._bench.link.restore()
            for broker in self._bench.brokers:
                await broker.start()

    def _deck(self) -> dict[str, Callable[[], Awaitable[None]]]:
        def kill(name: str) -> Callable[[], Awaitable[None]]:
            return lambda: self._finger.kill(name)

        def restart(*numbers: int) -> Callable[[], Awaitable[None]]:
            return lambda: self._restart(numbers)

        everyone = range(len(self._bench.brokers))
        return {
            **{f"kill {name}": kill(name) for name in self._bench.daemons},
            **{f"restart broker {number + 1}": restart(number) for number in everyone},
            "restart all brokers": restart(*everyone),
            "cut the link": self._cut,
            "slow link": self._slow,
        }

    async def _restart(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            await self._bench.brokers[number].kill()
        await asyncio.sleep(self._rng.uniform(0.1, 2.0))
        for number in numbers:
            await self._bench.brokers[number].start()

    async def _cut(self) -> None:
        self._bench.link.cut()
        await asyncio.sleep(self._rng.uniform(0.5, 4.0))
        self._bench.link.restore()

    async def _slow(self) -> None:
        self._bench.link.slow()
        await asyncio.sleep(self._rng.uniform(1.0, 4.0))
        self._bench.link.restore()


async def operate(bench: Bench, rng: random.Random) -> None:
    """Close what is open, now and then, as far as orders get through: an incident takes 64 presses one by one."""
    assert bench.room is not None
    hub = bench.room.hub
    while True:
        await asyncio.sleep(rng.uniform(2.0, 6.0))
        for incident in [each for each in hub.incidents.values() if each.is_open]:
            fields = {"incident_id": incident.incident_id, "outcome": "test"}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await hub.command(incident.unit, "close", "Ann", fields)


def book(bench: Bench) -> list[Entry]:
    """The alarms that the control room holds durably, oldest first."""
    file = bench.directory / "control-room" / "incidents.sqlite"
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT payload, utc_us FROM alarms ORDER BY utc_us").fetchall()
    found = []
    for payload, utc_us in rows:
        alarm = msgspec.json.decode(payload, type=Alarm)
        found.append(Entry(alarm.press_id, alarm.pressed.mono_ns, (int(utc_us) - alarm.pressed.utc_us) / 1000))
    return found


def settled(bench: Bench, latches: LatchWatch) -> bool:
    """Every latched press is in the book, and neither outbox nor latch holds one."""
    left = [*(bench.state_dir / "outbox").glob("*.json"), *(bench.run_dir / "latch").glob("*.json")]
    return not left and set(latches.seen) <= {each.press_id for each in book(bench)}


async def prove(bench: Bench, latches: LatchWatch, seed: int, presses: int) -> Report:
    """Press, break, wait until all that is owed has arrived (SETTLE_S at most), and judge."""
    started_s = time.monotonic()
    finger = Finger(bench, presses, random.Random(f"{seed} finger"))
    breaker = Breaker(bench, finger, random.Random(f"{seed} breaker"))
    beside = [
        asyncio.ensure_future(breaker.run()),
        asyncio.ensure_future(operate(bench, random.Random(f"{seed} operator"))),
    ]

    def still_breaking() -> None:
        for each in beside:
            if each.done():
                each.result()

    try:
        await finger.run(still_breaking)
    finally:
        for each in beside:
            each.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    with contextlib.suppress(TimeoutError):  # the judge says what is missing
        await until(lambda: settled(bench, latches), SETTLE_S, "all is delivered", every_s=0.5)
    report = Report(seed, presses, kills=finger.kills, broken=breaker.broken)
    judge(report, finger.touches, finger.core_kills_ns, latches.seen, book(bench))
    report.light_ms = spread(light_ms(finger.touches, finger.core_kills_ns))
    report.blind_ms = spread(bench.gpio.blind_windows_ms(BUTTON))
    report.seconds = time.monotonic() - started_s
    return report


def write(report: Report, directory: Path) -> None:
    """`presses-N.json` with every press, and `presses-N.txt` for a person."""
    directory.mkdir(parents=True, exist_ok=True)
    data = msgspec.json.format(msgspec.json.encode(asdict(report)), indent=2)
    (directory / f"presses-{report.presses}.json").write_bytes(data)
    (directory / f"presses-{report.presses}.txt").write_text(report.table() + "\n", encoding="utf-8")
