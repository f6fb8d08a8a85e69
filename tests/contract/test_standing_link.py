"""A link that stands open before the press: taken at once when it lives, found out soon when it does not."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import structlog
import websockets

from unitd.call.link import standing
from unitd.call.link.duplex_way import DuplexWay
from unitd.call.link.standing import StandingLinks
from unitd.call.link.way import Target
from unitd.call.link.ways import Ways
from unitd.config import EndpointTable
from unitd.messages import duplex

HELLO = duplex.Hello(unit="pole-0001", incident_id="i", kind="panic", cameras=())


async def _no_tls(_endpoint: EndpointTable) -> None:
    return None


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


class FarEnd:
    """A relay that answers pings while `answers`, and keeps what it hears of each connection."""

    def __init__(self) -> None:
        self.heard: list[list[str]] = []
        self.answers = True

    async def serve(self, connection: websockets.ServerConnection) -> None:
        mine: list[str] = []
        self.heard.append(mine)
        async for text in connection:
            message = json.loads(text)
            mine.append(message["type"])
            if message["type"] == "ping" and self.answers:
                await connection.send(json.dumps({"type": "pong", "n": message["n"]}))


class Events:
    def __init__(self) -> None:
        self.ups: list[float] = []
        self.downs: list[str] = []

    def link_up(self, endpoint: str) -> None:
        self.ups.append(time.monotonic())

    def link_message(self, message: duplex.ToUnit) -> None: ...

    def link_again(self, peer: str) -> None: ...

    def link_down(self, endpoint: str, reason: str) -> None:
        self.downs.append(reason)


def _ways(endpoint: EndpointTable, events: Events, links: StandingLinks) -> Ways:
    log = structlog.get_logger()
    return Ways(
        (Target(endpoint),), lambda target, told: DuplexWay(target, HELLO, _no_tls, links, told, log), events, log
    )


def test_a_standing_link_says_standby_and_is_taken_for_the_call_without_another_dial() -> None:
    async def story() -> None:
        far = FarEnd()
        async with websockets.serve(far.serve, "127.0.0.1", 0) as server:
            endpoint = _endpoint(server)
            links = StandingLinks((endpoint,), "pole-0001", _no_tls, structlog.get_logger())
            keeping = asyncio.create_task(links.run())
            await until(lambda: links.names == ("room",))
            await until(lambda: far.heard and far.heard[0][:2] == ["standby", "ping"])
            links.rest(False)
            events = Events()
            link = _ways(endpoint, events, links)
            calling = asyncio.create_task(link.run())
            await until(lambda: "hello" in far.heard[0])
            assert len(far.heard) == 1 and links.names == ()
            await _end(calling, keeping)

    asyncio.run(story())


def test_a_link_that_died_in_silence_is_dialled_anew_within_two_seconds() -> None:
    async def story() -> None:
        far = FarEnd()
        async with websockets.serve(far.serve, "127.0.0.1", 0) as server:
            endpoint = _endpoint(server)
            links = StandingLinks((endpoint,), "pole-0001", _no_tls, structlog.get_logger())
            keeping = asyncio.create_task(links.run())
            await until(lambda: far.heard and "ping" in far.heard[0])
            await until(lambda: links.names == ("room",))
            far.answers = False
            links.rest(False)
            events = Events()
            link = _ways(endpoint, events, links)
            began_s = time.monotonic()
            calling = asyncio.create_task(link.run())
            await until(lambda: len(far.heard) == 2 and "hello" in far.heard[1])
            assert time.monotonic() - began_s < 2.5
            assert "no word" in events.downs[0]
            await _end(calling, keeping)

    asyncio.run(story())


def test_a_standing_link_that_is_lost_is_opened_again(monkeypatch: Any) -> None:
    monkeypatch.setattr(standing, "FIRST_PAUSE_S", 0.05)

    async def story() -> None:
        far = FarEnd()
        async with websockets.serve(far.serve, "127.0.0.1", 0) as server:
            links, keeping = await _standing(server)
            for connection in list(server.connections):
                await connection.close()
            await until(lambda: len(far.heard) == 2 and links.names == ("room",))
            await _end(keeping)

    asyncio.run(story())


def test_an_endpoint_that_does_not_stand_is_not_dialled() -> None:
    async def story() -> None:
        far = FarEnd()
        async with websockets.serve(far.serve, "127.0.0.1", 0) as server:
            table = _endpoint(server, standing=False)
            links = StandingLinks((table,), "pole-0001", _no_tls, structlog.get_logger())
            keeping = asyncio.create_task(links.run())
            await asyncio.sleep(0)
            assert await links.take("room") is None and links.dials == 0
            await _end(keeping)

    asyncio.run(story())


def _endpoint(server: Any, standing: bool = True) -> EndpointTable:
    port = next(each.getsockname()[1] for each in server.sockets if each.family == socket.AF_INET)
    return EndpointTable(name="room", url=f"ws://127.0.0.1:{port}/", standing=standing)


async def _standing(server: Any) -> tuple[StandingLinks, asyncio.Task[None]]:
    """Links that stand, and the task that keeps them."""
    links = StandingLinks((_endpoint(server),), "pole-0001", _no_tls, structlog.get_logger())
    keeping = asyncio.create_task(links.run())
    await until(lambda: links.names == ("room",))
    return links, keeping


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_link_that_comes_up_when_a_call_has_begun_is_none(monkeypatch: Any) -> None:
    """A relay takes the newest connection for the true one: it would cost the call its own."""

    async def story() -> None:
        far, gate, asked = FarEnd(), asyncio.Event(), asyncio.Event()

        async def late(_endpoint: EndpointTable) -> None:
            asked.set()
            await gate.wait()

        async with websockets.serve(far.serve, "127.0.0.1", 0) as server:
            links = StandingLinks((_endpoint(server),), "pole-0001", late, structlog.get_logger())
            keeping = asyncio.create_task(links.run())
            await asked.wait()
            links.rest(False)
            gate.set()
            await until(lambda: far.heard)
            await until(lambda: not server.connections)
            assert (links.names, far.heard) == ((), [[]])
            links.rest(True)
            await until(lambda: links.names == ("room",))
            await _end(keeping)

    asyncio.run(story())


def test_a_dial_that_is_given_up_while_it_takes_a_link_leaves_none_open() -> None:
    async def story() -> None:
        far = FarEnd()
        async with websockets.serve(far.serve, "127.0.0.1", 0) as server:
            links, keeping = await _standing(server)
            links.rest(False)
            taking = asyncio.create_task(links.take("room"))
            await asyncio.sleep(0)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            assert taking.cancelled()
            await until(lambda: not server.connections)
            await _end(keeping)

    asyncio.run(story())
