"""What waits to be sent on one WebSocket of the relay: bounded, so that a slow reader costs nobody else anything."""

import asyncio
import contextlib
import json
from collections import deque
from typing import Any

from aiohttp import web

SEND_TIMEOUT_S = 5.0
MOST_WAITING = 64
"""Past this the reader is given up: it dials again and begins afresh. A session's set-up is some twenty messages."""
NEWEST_ONLY = {"link": (), "still": ("camera",)}
"""Of these a reader that is behind wants only the newest (of each camera)."""


class Outlet:
    """Sends messages in the order of `put` from a task of its own. Everything on one loop.

    `put` never blocks and never raises. A reader that takes nothing for SEND_TIMEOUT_S, or has MOST_WAITING messages to
    come, is cut off. `replaced` counts the messages that a newer one has overtaken.
    """

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._waiting: deque[dict[str, Any]] = deque()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="relay outlet")
        self.replaced = 0

    def put(self, message: dict[str, Any]) -> None:
        """Send `message` when its turn comes."""
        mark = _mark(message)
        if mark is not None:
            kept = [each for each in self._waiting if _mark(each) != mark]
            self.replaced += len(self._waiting) - len(kept)
            self._waiting = deque(kept)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self._cut_off()
            return
        self._waiting.append(message)
        self._wake.set()

    async def close(self) -> None:
        """Forget what waits. The socket itself is its owner's."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await self._socket.send_str(json.dumps(self._waiting.popleft()))
        except (TimeoutError, OSError, RuntimeError):
            self._cut_off()

    def _cut_off(self) -> None:
        transport = self._socket._req.transport if self._socket._req is not None else None  # no public way to abort
        if transport is not None:
            transport.abort()


def _mark(message: dict[str, Any]) -> tuple[Any, ...] | None:
    """What a newer message of the same mark makes needless; None: it is always wanted."""
    fields = NEWEST_ONLY.get(message["type"])
    return None if fields is None else (message["type"], *(message.get(name) for name in fields))
