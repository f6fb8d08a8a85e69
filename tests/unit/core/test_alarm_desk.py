"""The alarm desk: no broker and no bustle keeps an alarm from being sent."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.crash.core_life import Broker, Clock, Log
from tests.unit.model.worlds import PRESS, SETTINGS, S, at
from unitd.core.alarm import AGAIN_AT_ONCE, AlarmDesk
from unitd.core.latch import Latch
from unitd.messages.control_room import Site
from unitd.model.outputs import outputs
from unitd.store.outbox import Outbox


class Disk:
    hung = False

    async def run(self, call: Callable[[], Any], timeout_s: float | None = None) -> Any:
        raise OSError("none here")

    def close(self) -> None: ...


class Broken(Broker):
    def publish(self, topic: str, payload: bytes, **_: Any) -> bool:
        raise RuntimeError("whatever a client raises")


class Deaf(Log):
    def exception(self, *_: Any, **__: Any) -> None: ...


def made(base: Path, clock: Clock, *brokers: Broker) -> AlarmDesk:
    desk = AlarmDesk(
        "unit", Site(name="site"), 1, Outbox(base / "outbox"), Disk(), Latch(base), clock, Deaf(),  # type: ignore[arg-type]
        lambda _event: None,
    )  # fmt: skip
    desk.send_on(list(brokers))
    return desk


def test_a_client_that_fails_does_not_keep_the_alarm_from_the_others(tmp_path: Path) -> None:
    good = Broker()
    assert made(tmp_path, Clock(), Broken(), good).send(outputs(at("raised"), 0, SETTINGS))
    assert good.sent == [PRESS]


def test_what_is_due_is_sent_however_often_the_desk_is_woken(tmp_path: Path) -> None:
    async def story() -> None:
        clock, broker = Clock(), Broker()
        desk = made(tmp_path, clock, broker)
        desk.reconcile(outputs(at("raised"), 0, SETTINGS))
        clock.now_ns += 3 * S
        running = asyncio.create_task(desk.run())
        for _ in range(20):
            await asyncio.sleep(0)
            desk._wake.set()
        assert broker.sent == [PRESS, PRESS]
        running.cancel()

    asyncio.run(story())


class Counting(Disk):
    """Holds each call until it is told to refuse it; knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuse = asyncio.Event()

    async def run(self, call: Callable[[], Any], timeout_s: float | None = None) -> Any:
        self.asked.append(call.__code__.co_names[-1] if hasattr(call, "__code__") else call.__name__)
        await self.refuse.wait()
        raise OSError("refused")


async def settled(desk: AlarmDesk) -> None:
    while desk._tasks:
        await asyncio.gather(*desk._tasks)


def test_what_cannot_be_removed_crowds_out_no_alarm(tmp_path: Path) -> None:
    """The disk thread takes 500 calls: an alarm is offered first, then a few removals, never one twice at once."""

    async def story() -> None:
        disk = Counting()
        desk = made(tmp_path, Clock())
        desk._disk = disk
        names = [f"p{number}" for number in range(600)]
        desk.held(names)
        desk._unremoved = dict.fromkeys(names)
        desk.reconcile(outputs(at("raised"), 0, SETTINGS))
        disk.refuse.set()
        await settled(desk)
        disk.refuse.clear()
        disk.asked.clear()
        for _ in range(3):
            desk._offer_again()
            await asyncio.sleep(0)
        assert (disk.asked[0], len(disk.asked)) == ("put", 1 + AGAIN_AT_ONCE)
        disk.refuse.set()
        await settled(desk)
        assert list(desk._unremoved)[:2] == [names[AGAIN_AT_ONCE], names[AGAIN_AT_ONCE + 1]]  # the others have a turn
        assert len(desk._unremoved) == 600

    asyncio.run(story())
