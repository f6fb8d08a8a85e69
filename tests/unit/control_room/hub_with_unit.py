"""A hub without a broker, what a unit says to it, and waiting for what follows."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from hw_sim.control_room.hub import Hub
from tests.unit.control_room.fake_transport import FakeTransport
from unitd.messages.control_room import Alarm, OpenIncident, Site, Stamp, State

UNIT = "pole-0001"
SITE = Site(name="Market Square")


def stamp() -> Stamp:
    return Stamp(utc_us=1_795_000_000_000_000, clock="synced", mono_ns=5_000_000_000)


def alarm(incident_id: str, presses: int = 1, press_id: str | None = None) -> Alarm:
    return Alarm(
        press_id=press_id or str(uuid.uuid4()),
        incident_id=incident_id,
        kind="panic",
        unit=UNIT,
        session=3,
        site=SITE,
        pressed=stamp(),
        sent=stamp(),
        presses=presses,
        attempt=1,
        code="ABC234",
    )


def state(*listed: OpenIncident, online: bool = True, session: int = 3, uptime_ms: int = 60_000) -> State:
    return State(
        unit=UNIT,
        online=online,
        session=session,
        armed=online,
        uptime_ms=uptime_ms if online else 0,
        site=SITE,
        open_incidents=listed,
    )


def listed(incident_id: str, stage: str) -> OpenIncident:
    raw = {"incident_id": incident_id, "kind": "panic", "stage": stage, "raised": stamp(), "presses": 1}
    return msgspec.convert(msgspec.to_builtins(raw), OpenIncident)


async def true(condition: Callable[[], object], timeout_s: float = 3.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "not true in time"
        await asyncio.sleep(0.002)


def with_hub(tmp_path: Path, play: Callable[[Hub, FakeTransport], Awaitable[None]], keep_alive_s: float = 30.0) -> None:
    async def run() -> None:
        transport = FakeTransport()
        hub = Hub(tmp_path, transport, keep_alive_s)
        await hub.start()
        try:
            await play(hub, transport)
        finally:
            await hub.stop()

    asyncio.run(run())
