"""Tunnels to TURN servers cost the rest of the call nothing when a name server is away."""

import asyncio
from typing import Any

import pytest
import structlog

from unitd.call.link.ice_servers import TlsServer, UsableServers
from unitd.call.link.turn_tunnel import Tunnels

CONNECTIONS = 8


def test_connections_to_a_name_that_nobody_knows_wait_for_one_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look-up holds a thread of the process until the resolver gives up, and dialling needs those."""
    asked = 0
    accepted = 0

    async def play() -> None:
        loop = asyncio.get_running_loop()

        async def never(*_: Any, **__: Any) -> Any:
            nonlocal asked
            asked += 1
            await asyncio.Event().wait()

        async def no_tls() -> None:
            nonlocal accepted
            accepted += 1

        tunnels = Tunnels(no_tls, structlog.get_logger())
        reached = tunnels.through(UsableServers(turn_tls=(TlsServer("turn.example", 5349, "u:p"),)))
        port = int(reached.turn[0].partition("@127.0.0.1:")[2].partition("?")[0])
        monkeypatch.setattr(loop, "getaddrinfo", never)
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
        async with asyncio.timeout(5):
            while accepted < CONNECTIONS or not asked:  # noqa: ASYNC110 - the tunnel acts by itself
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            assert asked == 1
            await tunnels.close()
        for _, writer in opened:
            writer.transport.abort()
        assert not tunnels._tasks

    asyncio.run(play())
