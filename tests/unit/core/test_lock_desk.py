"""The lock desk: each lock that the disk takes is written, and none that would cover no footage."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.crash.core_life import InlineDisk, Log
from tests.unit.model.worlds import SETTINGS, S, idle
from unitd.core.locks import LockDesk
from unitd.model.incident import Lock
from unitd.model.outputs import Outputs, outputs
from unitd.store.locks import read_locks


class Desk:
    """A desk at work in `base`, and which locks it says are complete."""

    def __init__(self, base: Path, disk: Any = None) -> None:
        self.state_dir = base
        self.complete: list[str] = []
        self.desk = LockDesk(base / "locks", disk or InlineDisk(), Log(), self.complete.append)  # type: ignore[arg-type]

    async def take(self, *locks: Lock) -> None:
        self.desk.reconcile(levels(*locks))
        for _ in range(5):
            await asyncio.sleep(0)

    def covers(self, boot: int, at_ns: int) -> bool:
        found = read_locks(self.state_dir)
        return any(each.overlaps(boot, at_ns, at_ns) for each in found.locks)


def levels(*locks: Lock) -> Outputs:
    return outputs(idle(), 0, SETTINGS)._replace(locks=locks)


def lock(name: str, boot: int, to_ns: int | None = 9 * S) -> Lock:
    return Lock(name, boot, 1 * S, boot if to_ns is not None else None, to_ns, 0, "unknown", "panic", None)


def work(desk: Desk, story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        running = asyncio.create_task(desk.desk.run())
        try:
            await story()
        finally:
            running.cancel()

    asyncio.run(run())


def test_a_lock_is_not_completed_before_the_boot_has_its_number(tmp_path: Path) -> None:
    """Under boot 0 it would cover no footage: until the late disk has told the number it stays open."""
    desk = Desk(tmp_path)

    async def story() -> None:
        await desk.take(lock("i", 0))
        assert desk.complete == []
        assert desk.covers(7, 5 * S)
        assert not desk.desk.failed
        await desk.take(lock("i", 7))
        assert desk.complete == ["i"]
        assert desk.covers(7, 5 * S) and not desk.covers(7, 10 * S)

    work(desk, story)


def test_a_lock_that_is_always_refused_hides_none_behind_it(tmp_path: Path) -> None:
    (tmp_path / "locks" / "bad.json" / "in the way").mkdir(parents=True)
    desk = Desk(tmp_path)

    async def story() -> None:
        await desk.take(lock("bad", 7), lock("good", 7))
        assert desk.complete == ["good"]
        assert desk.desk.failed
        await desk.take(lock("another", 7))
        assert desk.complete == ["good", "another"]
        assert not desk.desk.failed

    work(desk, story)


def test_a_disk_that_hangs_is_not_given_one_lock_after_the_other(tmp_path: Path) -> None:
    """Each would cost one of the few threads that may hang."""

    class Hanging(InlineDisk):
        hung = True
        calls = 0

        async def run(self, call: Callable[[], Any], timeout_s: float | None = None) -> Any:
            self.calls += 1
            raise OSError("hung")

    disk = Hanging()
    desk = Desk(tmp_path, disk)

    async def story() -> None:
        await desk.take(lock("one", 7), lock("two", 7))
        assert (disk.calls, desk.desk.failed) == (1, True)

    work(desk, story)
