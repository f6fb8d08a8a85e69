"""The alarm desk: no broker and no bustle keeps an alarm from being sent."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.crash.core_life import Broker, Clock, Log
from tests.unit.model.worlds import PRESS, SETTINGS, S, at
from unitd.core.alarm import AlarmDesk
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
