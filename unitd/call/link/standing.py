"""Links that stand open between incidents, so that a press pays for no TCP, TLS and WebSocket: three round trips.

At rest a link carries one ping in PING_PERIOD_S. A carrier's NAT that has forgotten it in silence is found out at the
press, within FIRST_WORD_S of endpoint.py, and the endpoint is dialled as if there had been no link.
"""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import websockets

from unitd.call.link.tcp import connect_tcp
from unitd.config import EndpointTable
from unitd.messages import duplex
from unitd.runtime.logs import Logger

PING_PERIOD_S = 150.0
"""With TCP and TLS around it a ping costs some 330 bytes both ways: 0.2 MB a day. Carriers forget a silent TCP
connection after 4 minutes or more (RFC 5382 asks for 2 hours and 4 minutes; what is sold does less)."""
ANSWER_WITHIN_S = 20.0
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
"""An endpoint that is away for a night must not cost the day's data."""
CONNECT_TIMEOUT_S = 10.0

Trust = Callable[[EndpointTable], Coroutine[Any, Any, ssl.SSLContext | None]]


async def connect(endpoint: EndpointTable, trust: Trust, timeout_s: float) -> websockets.ClientConnection:
    """Open the WebSocket of a duplex endpoint. Raises OSError, WebSocketException, TimeoutError, EOFError.

    TCP is asked for until `timeout_s`, TLS and WebSocket have as long again.
    """
    context = await trust(endpoint)
    parts = urlsplit(endpoint.url)
    reached = await connect_tcp(parts.hostname or "", parts.port or (443 if context is not None else 80), timeout_s)
    return await websockets.connect(
        endpoint.url,
        ssl=context,
        sock=reached,
        open_timeout=timeout_s,
        close_timeout=1.0,
        ping_interval=None,
        max_size=duplex.MAX_MESSAGE_BYTES,
        max_queue=32,
        compression=None,
        proxy=None,
    )


class StandingLinks:
    """`run()` keeps one link to each endpoint with `standing` while nobody has taken it. All on the loop."""

    def __init__(self, endpoints: tuple[EndpointTable, ...], unit: str, trust: Trust, log: Logger) -> None:
        self._endpoints = tuple(each for each in endpoints if each.standing and each.kind == "duplex")
        self._standby = duplex.encode(duplex.Standby(unit=unit))
        self._trust = trust
        self._log = log
        self._ready: dict[str, tuple[websockets.ClientConnection, asyncio.Task[None]]] = {}
        self._wanted = asyncio.Event()
        self._wanted.set()
        self.dials = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The endpoints to which a link stands now."""
        return tuple(self._ready)

    def rest(self, is_at_rest: bool) -> None:
        """Whether there is no call: during one nothing is dialled from here."""
        if is_at_rest:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def take(self, name: str) -> websockets.ClientConnection | None:
        """The open link to `name`, from now on the caller's; None when there is none. Takes no time to speak of."""
        socket, minder = self._ready.pop(name, (None, None))
        if socket is None or minder is None:
            return None
        minder.cancel()
        try:
            await asyncio.gather(minder, return_exceptions=True)
        except asyncio.CancelledError:  # nobody has it then
            socket.transport.abort()
            raise
        return socket if socket.close_code is None else None

    async def run(self) -> None:
        """Keep the links until cancelled."""
        keepers = [asyncio.create_task(self._keep(each), name=f"standing {each.name}") for each in self._endpoints]
        try:
            await asyncio.gather(*keepers) if keepers else await asyncio.Event().wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            for socket, minder in self._ready.values():
                minder.cancel()
                with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                    await socket.close()
            self._ready.clear()

    async def _keep(self, endpoint: EndpointTable) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._wanted.wait()
            self.dials += 1
            try:
                socket = await connect(endpoint, self._trust, CONNECT_TIMEOUT_S)
            except (OSError, websockets.WebSocketException, TimeoutError, EOFError) as error:
                self._log.info("no standing link", endpoint=endpoint.name, error=str(error) or repr(error))
            else:
                if not self._wanted.is_set():
                    # A call has begun meanwhile: a relay takes the newest connection for the true one.
                    socket.transport.abort()
                    continue
                began_s = time.monotonic()
                if await self._stand(endpoint.name, socket):
                    pause_s = FIRST_PAUSE_S
                    continue  # after the call, at once: the next press may be the same person's
                if time.monotonic() - began_s > PING_PERIOD_S:
                    pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _stand(self, name: str, socket: websockets.ClientConnection) -> bool:
        """Until the link is lost or taken; whether it was taken."""
        minder = asyncio.create_task(self._mind(socket), name=f"minding {name}")
        self._ready[name] = (socket, minder)
        taken = False
        try:
            await asyncio.wait([minder])
            taken = self._ready.get(name, (None, None))[1] is not minder
        finally:
            if self._ready.get(name, (None, None))[1] is minder:
                del self._ready[name]
                minder.cancel()
                with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                    await socket.close()
        return taken

    async def _mind(self, socket: websockets.ClientConnection) -> None:
        """Ping now and then; ends when nothing comes back. What the relay says meanwhile is not for a unit at rest."""
        with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError, EOFError):
            await socket.send(self._standby)
            number = 0
            while True:
                number += 1
                await socket.send(duplex.encode(duplex.Ping(n=number)))
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await socket.recv()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PING_PERIOD_S):
                        await _read_all(socket)


async def _read_all(socket: websockets.ClientConnection) -> None:
    while True:
        await socket.recv()
