"""Core's socket: workers that behave, flood, or send rubbish."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.system.core_alone import BUTTON, YELLOW, World, world
from unitd.messages import workers as wire

pytestmark = pytest.mark.system


class Worker:
    """A connection of the test's own to core.sock."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    @classmethod
    async def call(cls, w: World, hello: bytes = b'{"type":"hello","who":"call","pid":1}\n') -> "Worker":
        path = w.directory / "run" / "core.sock"
        await w.until("core's socket", path.exists)
        reader, writer = await asyncio.open_unix_connection(str(path), limit=wire.MAX_LINE_BYTES)
        writer.write(hello)
        return cls(reader, writer)

    async def ended(self) -> bool:
        """Whether core has ended the connection; what it still sends is read over."""
        async with asyncio.timeout(5.0):
            while await self._reader.readline():
                pass
        return True

    def event(self, called: str, /, **data: object) -> None:
        line = {"type": "event", "name": called, "mono_ns": 1, "data": data}
        self.writer.write(json.dumps(line).encode() + b"\n")


def test_every_name_may_stand_in_an_events_data(tmp_path: Path) -> None:
    """`warning_played` carries a `name`."""

    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.until("birth", lambda: bool(w.room.states))
            call = await Worker.call(w)
            call.event("warning_played", name="cctv", number=1, incident_id="x", mono_ns=2, worker="?")
            call.event("call_lost", endpoint="e")
            await w.until("both", lambda: [e.name for e in w.room.events] == ["warning_played", "call_lost"])
            assert w.room.events[0].data["name"] == "cctv"
            assert w.room.events[0].data["worker"] == "call"

    asyncio.run(run())


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b"x" * 600_000 + b"\n",
        b'{"type":"event","name":"x","mono_ns":99999999999999999999999999}\n',
        b'{"type":"event","name":"x","mono_ns":-9223372036854775808}\n',
        b'{"type":"event","name":"x","mono_ns":1,"data":{"a":18446744073709551615}}\n',
        b'{"type":"health","facts":{"a":[1]}}\n',
    ],
)
def test_rubbish_ends_at_most_its_own_connection(tmp_path: Path, rubbish: bytes) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.until("birth", lambda: bool(w.room.states))
            bad = await Worker.call(w)
            bad.writer.write(rubbish)
            good = await Worker.call(w, b'{"type":"hello","who":"field","pid":1}\n')
            good.event("dome_stopped")
            await w.until("served on", lambda: any(e.name == "dome_stopped" for e in w.room.events))
            w.gpio.press(BUTTON, 40)
            await w.until("alarm", lambda: bool(w.room.alarms))
            assert not any(line.get("event") == "service failed" for line in w.log())

    asyncio.run(run())


def test_a_flooding_worker_delays_no_alarm(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.until("birth", lambda: bool(w.room.states))
            call = await Worker.call(w)
            for _ in range(20_000):
                call.event("call_lost", endpoint="e")
            await w.until("flood seen", lambda: bool(w.room.events))
            w.gpio.press(BUTTON, 40)
            await w.until("alarm", lambda: bool(w.room.alarms), 1.0)
            await w.shown(YELLOW, "steady")

    asyncio.run(run())


def test_core_ends_while_workers_stay(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            call = await Worker.call(w)
            await w.until("birth", lambda: bool(w.room.states))
            assert w.end() == 0
            assert await call.ended()

    asyncio.run(run())
