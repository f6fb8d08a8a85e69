"""The ways of a call against real WebSocket servers: where it dials, and when it moves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog
import websockets

from unitd.call.link.duplex_way import DuplexWay
from unitd.call.link.way import Target, WayEvents
from unitd.call.link.ways import Ways
from unitd.config import EndpointTable
from unitd.messages import duplex


class Room:
    """A relay that takes every unit and says nothing."""

    def __init__(self) -> None:
        self.here = 0
        self.visits = 0

    async def serve(self, socket: websockets.ServerConnection) -> None:
        self.here += 1
        self.visits += 1
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in socket:
                await socket.send('{"type":"pong","n":1}')
        self.here -= 1


class Owner:
    """What the link tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def link_up(self, endpoint: str) -> None:
        self.told.append(f"up {endpoint}")

    def link_message(self, message: duplex.ToUnit) -> None: ...

    def link_down(self, endpoint: str, reason: str) -> None:
        self.told.append(f"down {endpoint}")


hooks: dict[str, Any] = {}


@contextlib.asynccontextmanager
async def linked() -> AsyncIterator[tuple[Ways, Owner, list[Room], Callable[[int], Any]]]:
    rooms = [Room(), Room()]
    servers = [await websockets.serve(room.serve, "127.0.0.1", 0) for room in rooms]
    tables = tuple(
        EndpointTable(name=name, url=f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        for name, server in zip(("council", "police"), servers, strict=True)
    )

    async def no_tls(_: EndpointTable) -> None:
        return None

    async def shut(number: int) -> None:
        servers[number].close()
        await servers[number].wait_closed()

    owner = Owner()
    hello = duplex.Hello(unit="pole-0001", incident_id="i", kind="panic", cameras=())
    log = structlog.get_logger()

    def make(target: Target, events: WayEvents) -> DuplexWay:
        async def trust(table: EndpointTable) -> None:
            return await hooks.get("trust", no_tls)(table)

        return DuplexWay(target, hello, trust, None, events, log)

    link = Ways(tuple(Target(table) for table in tables), make, owner, log)
    task = asyncio.create_task(link.run())
    try:
        yield link, owner, rooms, shut
    finally:
        hooks.clear()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for server in servers:
            server.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - waits for what the link does by itself
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(what) from None


def test_it_moves_to_the_room_that_is_preferred_and_stays_there() -> None:
    async def run() -> None:
        async with linked() as (link, owner, rooms, _):
            await until(lambda: link.up == "council", "the first in the configured order")
            link.prefer(("police", "council"))
            await until(lambda: link.up == "police", "moves")
            await until(lambda: rooms[0].here == 0, "lets go of the first")
            link.prefer(("police", "council"))  # the same again, as core sends it at every change
            link.prefer(("police",))
            await asyncio.sleep(0)
            assert owner.told == ["up council", "up police"]
            assert rooms[1].visits == 1

    asyncio.run(run())


def test_a_preferred_room_that_does_not_answer_leaves_the_call_where_it_can_be() -> None:
    async def run() -> None:
        async with linked() as (link, _, rooms, shut):
            await until(lambda: link.up == "council", "up")
            await shut(1)
            link.prefer(("police", "council"))
            await until(lambda: link.attempts > 3, "the other is dialled")
            assert link.up == "council"
            assert rooms[0].visits == 1, "it never left"

    asyncio.run(run())


def test_a_room_that_is_preferred_while_another_is_dialled_gets_the_call() -> None:
    async def run() -> None:
        async with linked() as (link, _, rooms, __):

            async def meanwhile(_: EndpointTable) -> None:
                link.prefer(("police", "council"))

            hooks["trust"] = meanwhile
            await until(lambda: link.up == "police", "the one that is wanted by then")
            await until(lambda: rooms[0].here == 0, "the other is let go")

    asyncio.run(run())


def test_names_that_are_not_known_change_nothing() -> None:
    async def run() -> None:
        async with linked() as (link, _, rooms, __):
            await until(lambda: link.up == "council", "up")
            link.prefer(("nowhere",))
            link.prefer(())
            assert link.preferred == ("council", "police")
            assert rooms[0].visits == 1

    asyncio.run(run())
