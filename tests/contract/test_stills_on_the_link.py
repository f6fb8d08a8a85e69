"""Stills on the signalling link: one at a time, whatever the far end does."""

import asyncio
import contextlib
import socket as sockets
import time
from typing import Any

import structlog
import websockets

from unitd.call.link.endpoint import EndpointLink
from unitd.config import EndpointTable
from unitd.messages import duplex

STILL = duplex.StillPart(peer="p", camera="dome", at_utc_us=1, jpeg=bytes(40_000))


class Owner:
    def link_up(self, endpoint: str) -> None: ...

    def link_message(self, message: duplex.ToUnit) -> None: ...


async def no_tls(_: EndpointTable) -> None:
    return None


async def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


def test_a_far_end_that_does_not_read_gets_no_second_still_and_one_that_does_gets_all() -> None:
    async def run() -> None:
        reads, stills = asyncio.Event(), 0

        async def serve(socket: websockets.ServerConnection) -> None:
            nonlocal stills
            with contextlib.suppress(websockets.ConnectionClosed):
                await socket.recv()
                socket.transport.pause_reading()
                await reads.wait()
                socket.transport.resume_reading()
                async for text in socket:
                    stills += '"still"' in str(text)

        # A window that a still does not fit into, as on a link that carries nothing.
        server = await websockets.serve(serve, "127.0.0.1", 0, max_queue=1)
        server.sockets[0].setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        port = server.sockets[0].getsockname()[1]
        table = EndpointTable(name="hub", url=f"ws://127.0.0.1:{port}/")
        hello = duplex.Hello(unit="u", incident_id="i", kind="panic", cameras=("dome",))
        link = EndpointLink(table, hello, no_tls, Owner(), structlog.get_logger())
        work = asyncio.create_task(link.dial())
        await until(lambda: link.up, "up")
        await until(lambda: link._is_idle, "hello has left")
        for _ in range(20):
            link.send(STILL)
            await asyncio.sleep(0.01)
        assert link.dropped_stills >= 18
        reads.set()
        await until(lambda: stills >= 1, "the still that was sent")
        sent = stills
        await until(lambda: link._is_idle, "it has arrived")
        link.send(STILL)
        await until(lambda: stills == sent + 1, "the next")
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        server.close()
        await server.wait_closed()

    asyncio.run(run())
