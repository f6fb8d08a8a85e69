"""One life of core's alarm path on a given directory: the real latch, recovery, spine, alarm desk, locks and snapshot.

Only the disk thread is replaced: calls run in line, so that operations come in the same order in every run.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from unitd.core.alarm import AlarmDesk
from unitd.core.disk_thread import DiskThread
from unitd.core.latch import Latch, Latched
from unitd.core.locks import LockDesk
from unitd.core.recover import Recovered, recover
from unitd.core.snapshot import Snapshot
from unitd.core.unit import Unit
from unitd.messages.control_room import Site, Stamp
from unitd.model import events as ev
from unitd.model.incident import Settings
from unitd.store.outbox import Outbox

T = TypeVar("T")
SECOND_NS = 1_000_000_000


class InlineDisk(DiskThread):
    """The disk thread without its thread."""

    async def run(self, call: Callable[[], T], timeout_s: float | None = None) -> T:
        return call()


class Log:
    """Swallows everything but the steps of the way of a press."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def info(self, event: str, **fields: Any) -> None:
        if event == "chain":
            self.steps.append(fields["step"])

    def _nothing(self, event: str, **fields: Any) -> None: ...

    warning = error = debug = _nothing

    def exception(self, event: str, **fields: Any) -> None:
        """An output that fails fails the test; called while the exception is handled."""
        raise


class Clock:
    def __init__(self) -> None:
        self.now_ns = 100 * SECOND_NS

    def mono_ns(self) -> int:
        return self.now_ns

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        return Stamp(utc_us=0, clock="unknown", mono_ns=self.now_ns if mono_ns is None else mono_ns)


class Broker:
    """An uplink that takes everything and remembers which alarms it was given."""

    name = "broker"
    connected = True

    def __init__(self) -> None:
        self.sent: list[str] = []

    def publish(self, topic: str, payload: bytes, **_: Any) -> bool:
        self.sent.append(msgspec.json.decode(payload)["press_id"])
        return True

    async def run(self) -> None: ...


class CoreLife:
    """`start` is `Core.run` up to serving; `settled` waits until nothing is under way."""

    def __init__(self, base: Path, boot_id: str, disk: DiskThread | None = None) -> None:
        self.run_dir, self.state_dir = base / "run", base / "state"
        self.boot_id = boot_id
        self.log, self.clock, self.broker = Log(), Clock(), Broker()
        self.disk = disk or InlineDisk()
        self.latch = Latch(self.run_dir)
        self.snapshot = Snapshot(self.run_dir, self.state_dir, self.disk, self.log)  # type: ignore[arg-type]
        self.unit = Unit(Settings(), self.snapshot, self.clock, self.log)  # type: ignore[arg-type]
        self.lock_task: asyncio.Task[None] | None = None
        self.found = Recovered()

    async def recovered(self, settings: Settings | None = None) -> Recovered:
        left = self.latch.pending(self.boot_id)
        return await recover(
            self.disk,
            self.boot_id,
            self.run_dir,
            self.state_dir,
            self.snapshot,
            left,
            self.clock,
            self.log,  # type: ignore[arg-type]
            settings or Settings(),
        )

    async def start(self, *, settle: bool = True) -> None:
        found = self.found = await self.recovered()
        self.alarms = AlarmDesk(
            "unit", Site(name="site"), found.session, Outbox(self.state_dir / "outbox"), self.disk,
            self.latch, self.clock, self.log, self.unit.apply,  # type: ignore[arg-type]
        )  # fmt: skip
        self.alarms.send_on([self.broker])
        self.alarms.held([each.press_id for each in found.entries], found.durable)
        self.locks = LockDesk(
            self.state_dir / "locks", self.disk, self.log,  # type: ignore[arg-type]
            lambda each: self.unit.apply(ev.LockWritten(each)),
        )  # fmt: skip
        self.unit.first_with(self.alarms.send)
        self.unit.reconcile_with(self.alarms.reconcile, self.locks.reconcile)
        self.unit.restore(found.state)
        for press in found.presses:
            self.unit.apply(press)
        self.alarms.settle(found.found)
        self.lock_task = asyncio.create_task(self.locks.run())
        if settle:
            await self.settled()

    async def press(self, press_id: str) -> None:
        """A finger, to the end: latched, then accepted on the loop."""
        latched = Latched(press_id, f"incident-{press_id}", self.clock.now_ns, 0, "unknown", self.boot_id)
        self.latch.set(latched)
        self.log.steps.append("latched")
        self.unit.apply(ev.Pressed(latched.press_id, latched.incident_id, latched.mono_ns, 0, "unknown"))
        self.unit.afterwards(lambda: self.alarms.settle([press_id]))
        await self.settled()

    async def received(self, press_id: str) -> None:
        self.unit.apply(ev.AlarmReceived((press_id,)))
        await self.settled()
        self.log.steps.append("removed")

    async def settled(self) -> None:
        """Until every task but the lock desk's loop has ended; one that died of the disk ends the life."""
        for _ in range(10):
            self.unit.finish()
            for task in [*self.alarms._tasks, *self.unit._saving]:
                await task
            await asyncio.sleep(0)
            if self.lock_task is not None and self.lock_task.done():
                self.lock_task.result()

    async def end(self) -> None:
        if self.lock_task is not None:
            self.lock_task.cancel()
            await asyncio.gather(self.lock_task, return_exceptions=True)


def live(core: CoreLife, story: Callable[[CoreLife], Any]) -> None:
    """Run one life on its own loop: start, then `story`. What the disk raises as death comes out of here."""

    async def run() -> None:
        try:
            await core.start()
            await story(core)
        finally:
            await core.end()

    _run_quietly(run())


async def nothing(core: CoreLife) -> None:
    """A story in which nothing happens after the start."""


def _run_quietly(work: Any) -> None:
    """`asyncio.run` without a word about tasks that died with the program."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda *_: None)
        runner.run(work)
