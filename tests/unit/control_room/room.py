"""A control room without a broker, and the two kinds of client that it has."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from hw_sim.control_room.relay import Link
from hw_sim.control_room.server import ControlRoom
from hw_sim.control_room.tls import client_context
from hw_sim.pki import Credentials, Pki
from tests.unit.control_room.fake_transport import FakeTransport


@contextlib.asynccontextmanager
async def running(
    directory: Path, link: Link | None = None
) -> AsyncIterator[tuple[ControlRoom, FakeTransport, Pki, aiohttp.ClientSession]]:
    pki = Pki(directory / "pki")
    transport = FakeTransport()
    room = ControlRoom(directory / "room", pki, 0, link=link, transport=transport)
    await room.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session:
            yield room, transport, pki, session
    finally:
        await room.stop()


class Talk:
    """One WebSocket with JSON messages; pings are answered and not shown."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def hear(self, timeout_s: float = 3.0) -> dict[str, Any]:
        """The next message; raises TimeoutError, or EOFError when the other side has hung up."""
        while True:
            got = await self.socket.receive(timeout=timeout_s)
            if got.type != aiohttp.WSMsgType.TEXT:
                raise EOFError(str(got.type))
            message: dict[str, Any] = json.loads(got.data)
            if message["type"] != "ping":
                return message

    async def close(self) -> None:
        await self.socket.close()


async def unit_talk(session: aiohttp.ClientSession, room: ControlRoom, name: str, who: Credentials) -> Talk:
    url = f"wss://127.0.0.1:{room.tls_port}/duplex/{name}"
    return Talk(await session.ws_connect(url, ssl=client_context(who)))


async def peer_talk(session: aiohttp.ClientSession, room: ControlRoom, name: str) -> Talk:
    return Talk(await session.ws_connect(f"{room.console_url}duplex/{name}"))


async def console_talk(session: aiohttp.ClientSession, room: ControlRoom, **headers: str) -> Talk:
    return Talk(await session.ws_connect(f"{room.console_url}api/ws", headers=headers))
