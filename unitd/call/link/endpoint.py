"""The signalling link of a call: one WebSocket to one endpoint, dialled once. What dials again is line.py."""

import asyncio
import contextlib
import fcntl
import ssl
import struct
import termios
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import websockets

from unitd.call.link.standing import StandingLinks, connect
from unitd.config import EndpointTable
from unitd.errors import WireError
from unitd.messages import duplex
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

CONNECT_TIMEOUT_S = 5.0
SILENT_AFTER_S = 10.0
PING_PERIOD_S = 1.0
"""In a call. It costs some 150 bytes a second both ways, and tells an outage from a far end that has nothing to say."""
GAP_S = 2.5
"""Without a word for so long the link is in doubt."""
FIRST_WORD_S = 1.2
"""A link that stood open is given up when its first ping is not answered within this; a slow 4G link answers in 0.6."""
OUT_QUEUE_MESSAGES = 256
"""More than an offer and every candidate of three peers; a link that cannot take these is lost."""
MESSAGES_PER_S = 100.0
MESSAGES_AT_ONCE = 200.0
"""Three consoles with all their candidates come to some 60 at once. Above this the link is read slower, which holds
the far end back: reading and refusing a flood must not take the voice's share of the processor."""
LEFT_BYTES = 2_000
FREE_BYTES = 2048
"""A longer message counts as several."""

_closing: set[asyncio.Task[None]] = set()
"""Closing links, so that nobody takes them for garbage."""

Trust = Callable[[EndpointTable], Coroutine[Any, Any, ssl.SSLContext | None]]


class LinkEvents(Protocol):
    """What the link tells its owner, on the loop."""

    def link_up(self, endpoint: str) -> None: ...

    def link_message(self, message: duplex.ToUnit) -> None: ...


class EndpointLink:
    """`dial()` connects and stays; `send()` queues while up. `up` names the endpoint, None while it is not up."""

    def __init__(
        self,
        endpoint: EndpointTable,
        hello: duplex.Hello,
        trust: Trust,
        events: LinkEvents,
        log: Logger,
        standing: StandingLinks | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._hello = hello
        self._trust = trust
        self._events = events
        self._log = log
        self._standing = standing
        self._out: asyncio.Queue[duplex.FromUnit] | None = None
        self._heard_s = 0.0
        self._alive_since_s = 0.0
        self._heard = asyncio.Event()
        self.up: str | None = None
        self.said_bye = asyncio.Event()
        self.ignored = 0
        self.dropped_stills = 0
        self._socket: websockets.ClientConnection | None = None
        self.held_back = 0

    def send(self, message: duplex.FromUnit) -> None:
        """Queue a message; dropped while the link is down (its receiver starts afresh with the next one). A still is
        dropped (counted) as long as the one before has not left: pings and offers never wait behind two."""
        if isinstance(message, duplex.StillPart) and not self._is_idle:
            self.dropped_stills += 1
            return
        if self._out is not None and not self._out.full():
            self._out.put_nowait(message)

    @property
    def silent_s(self) -> float:
        """Since the last word of the far end; 0 while not up."""
        return time.monotonic() - self._heard_s if self.up is not None else 0.0

    @property
    def alive_s(self) -> float:
        """For how long the far end has been heard without a gap; 0 while it is not, and before its first word."""
        now_s = time.monotonic()
        is_heard = self.up is not None and self._heard.is_set() and now_s - self._heard_s < GAP_S
        return now_s - self._alive_since_s if is_heard else 0.0

    @property
    def _is_idle(self) -> bool:
        """What was given to this link has arrived, but for LEFT_BYTES (Linux counts what is not acknowledged)."""
        socket, out = self._socket, self._out
        if socket is None or out is None or not out.empty():
            return False
        waiting = int(socket.transport.get_write_buffer_size())
        with contextlib.suppress(OSError, AttributeError):
            descriptor = socket.transport.get_extra_info("socket").fileno()
            waiting += struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0]
        return waiting <= LEFT_BYTES

    async def dial(self) -> str:
        """Dial the endpoint once and stay with it until it is lost; returns why it was."""
        endpoint, reason = self._endpoint, ""
        try:
            stood = await self._standing.take(endpoint.name) if self._standing is not None else None
            socket = stood or await connect(endpoint, self._trust, CONNECT_TIMEOUT_S)
            try:
                reason = await self._stay(socket, endpoint.name, FIRST_WORD_S if stood else SILENT_AFTER_S)
            finally:
                # Not waited for: a dead link takes its time to close, and the next is to be dialled now.
                closing = asyncio.create_task(_close(socket))
                _closing.add(closing)
                closing.add_done_callback(_closing.discard)
        except (OSError, websockets.WebSocketException, TimeoutError, EOFError) as error:
            reason = str(error) or repr(error)
            if self.up is None:
                self._log.warning("endpoint not reached", endpoint=endpoint.name, error=reason)
        finally:
            was_up, self.up, self._out, self._socket = self.up, None, None, None
            if was_up is not None:
                self._log.warning("endpoint lost", endpoint=endpoint.name, reason=reason)
        return reason

    async def _stay(self, socket: websockets.ClientConnection, name: str, first_word_s: float) -> str:
        out: asyncio.Queue[duplex.FromUnit] = asyncio.Queue(OUT_QUEUE_MESSAGES)
        self._out, self._socket = out, socket
        self._heard_s = time.monotonic()
        self._heard = asyncio.Event()
        out.put_nowait(self._hello)
        self.up = name
        self._log.info("endpoint reached", endpoint=name)
        self._events.link_up(name)
        tasks = [
            asyncio.create_task(self._read(socket)),
            asyncio.create_task(self._write(socket, out)),
            asyncio.create_task(self._ping(out)),
            asyncio.create_task(self._first_word(first_word_s)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            first = next(iter(done))
            error = first.exception()
            return repr(error) if error is not None else first.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, socket: websockets.ClientConnection) -> str:
        credit, credit_s = MESSAGES_AT_ONCE, time.monotonic()
        async for text in socket:
            now_s = time.monotonic()
            if now_s - self._heard_s > GAP_S or not self._heard.is_set():
                self._alive_since_s = now_s
            self._heard_s = now_s
            self._heard.set()
            credit = min(MESSAGES_AT_ONCE, credit + (now_s - credit_s) * MESSAGES_PER_S) - 1 - len(text) // FREE_BYTES
            credit_s = now_s
            if credit < 0:
                self.held_back += 1
                await asyncio.sleep(-credit / MESSAGES_PER_S)
            try:
                message = duplex.decode(text)
            except WireError as error:
                self.ignored += 1
                self._log.debug("message ignored", error=str(error), ignored=self.ignored)
                continue
            if isinstance(message, duplex.Ping):
                self.send(duplex.Pong(n=message.n))
            elif not isinstance(message, duplex.Pong):
                self._events.link_message(message)
        return "closed by the far end"

    async def _write(self, socket: websockets.ClientConnection, out: asyncio.Queue[duplex.FromUnit]) -> str:
        while True:
            message = await out.get()
            async with asyncio.timeout(SILENT_AFTER_S):
                await socket.send(duplex.encode(message))
            if isinstance(message, duplex.Bye):
                self.said_bye.set()
                return "said bye"

    async def _first_word(self, within_s: float) -> str:
        """A link that stood open may be dead without a sign: then it is not worth ten seconds of silence."""
        if await set_within(self._heard, within_s):
            await asyncio.Event().wait()
        return f"no word within {within_s:.1f} s"

    async def _ping(self, out: asyncio.Queue[duplex.FromUnit]) -> str:
        number = 0
        while time.monotonic() - self._heard_s < SILENT_AFTER_S:
            number += 1
            self.send(duplex.Ping(n=number))
            await asyncio.sleep(PING_PERIOD_S)
        return f"silent for {SILENT_AFTER_S:.0f} s"


async def _close(socket: websockets.ClientConnection) -> None:
    with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
        await socket.close()
