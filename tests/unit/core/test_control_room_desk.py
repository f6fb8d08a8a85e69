"""The control room's desk under a link and workers that will not rest."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from unitd.config import BrokerTable, Config, ControlRoomTable
from unitd.core.control_room import EVENT_PACE, EVENTS_KEPT, ControlRoomDesk, rooms_of
from unitd.messages import control_room as wire
from unitd.model.hysteresis import BACK_AFTER_NS, LOST_AFTER_NS
from unitd.ports import UplinkHandlers, Will

S = 1_000_000_000


class Clock:
    now_ns = 100 * S

    def mono_ns(self) -> int:
        return self.now_ns

    def stamp(self, mono_ns: int | None = None) -> wire.Stamp:
        return wire.Stamp(utc_us=0, clock="unknown", mono_ns=self.now_ns if mono_ns is None else mono_ns)


class Link:
    """An uplink that takes everything while connected."""

    def __init__(self, broker: BrokerTable, _subscribe: str, _will: Callable[[], Will], told: UplinkHandlers) -> None:
        self.name, self.connected, self.told = broker.name, False, told
        self.sent: list[str] = []

    def publish(self, topic: str, payload: bytes, **_: Any) -> bool:
        if self.connected:
            self.sent.append(topic.rsplit("/", 1)[1])
        return self.connected

    async def run(self) -> None: ...

    def flip(self) -> None:
        self.connected = not self.connected
        if self.connected:
            self.told.connected(self.name)
        else:
            self.told.lost(self.name, "no route")


class Log:
    def info(self, *_: Any, **__: Any) -> None: ...

    warning = error = info


def desk(clock: Clock, state: Callable[[], wire.State]) -> tuple[ControlRoomDesk, Link]:
    config = Config(schema=1, brokers=(BrokerTable(name="main", host="broker"),))
    made: Any = ControlRoomDesk(
        config,
        1,
        clock,
        Log(),
        state,
        None,
        lambda _: None,
        lambda *_: None,
        lambda: None,
        lambda: None,
        Link,  # type: ignore[arg-type]
    )
    return made, made.uplinks[0]


def plain() -> wire.State:
    return wire.State(unit="pole-0001", online=True, session=1)


def test_a_flapping_link_is_one_fault_until_it_holds() -> None:
    clock = Clock()
    made, link = desk(clock, plain)
    clock.now_ns += LOST_AFTER_NS
    assert [each.code for each in made.faults()] == ["broker_lost"]
    for _ in range(50):
        link.flip()
        clock.now_ns += 5 * S
        assert len(made.faults()) == 1
    if not link.connected:
        link.flip()
    assert "has come back" in made.faults()[0].text
    clock.now_ns += BACK_AFTER_NS
    assert made.faults() == []
    link.flip()
    clock.now_ns += LOST_AFTER_NS - 1
    assert made.faults() == []


def test_a_worker_that_tells_without_end_is_slowed_and_counted() -> None:
    clock = Clock()
    made, link = desk(clock, plain)
    link.flip()
    link.sent.clear()
    for _ in range(10_000):
        clock.now_ns += S // 1000
        made.worker_event("motion", None, clock.now_ns, {})
    told = link.sent.count("event")
    assert EVENT_PACE.burst <= told <= EVENT_PACE.burst + 10
    assert made.paced_events == 10_000 - told


def test_events_wait_bounded_while_no_broker_is_there() -> None:
    made, link = desk(Clock(), plain)
    for number in range(EVENTS_KEPT + 10):
        made.event(f"event-{number}")
    assert made.dropped_events == 10
    link.flip()
    assert link.sent.count("event") == EVENTS_KEPT


def test_faults_that_come_and_go_are_told_at_a_pace_and_incidents_at_once() -> None:
    async def run() -> None:
        clock = Clock()
        state = plain()
        made, link = desk(clock, lambda: state)
        link.flip()
        telling = asyncio.create_task(made._tell(5.0))
        link.sent.clear()
        for number in range(12):
            state = msgspec.structs.replace(state, faults=(wire.FaultReport(code=f"camera_{number}"),))
            made.state_changed()
            await asyncio.sleep(0.32)
            clock.now_ns += 320_000_000
        paced = len(link.sent)
        assert paced <= 7
        state = msgspec.structs.replace(state, armed=True)
        made.state_changed()
        async with asyncio.timeout(5):
            while len(link.sent) == paced:  # noqa: ASYNC110 - waits for what the desk does by itself
                await asyncio.sleep(0.01)
        telling.cancel()

    asyncio.run(run())


def test_a_broker_that_rooms_share_speaks_for_none_of_them() -> None:
    council = ControlRoomTable(name="council", brokers=("town", "both"))
    police = ControlRoomTable(name="police", brokers=("force", "both"))
    assert rooms_of((council, police)) == {"town": "council", "force": "police", "both": ""}
