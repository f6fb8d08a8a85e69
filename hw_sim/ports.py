"""Free TCP ports and addresses that answer; loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A TCP port that nobody listened on a moment ago. Another process may take it first: the caller tries again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


async def wait_listening(port: int, timeout_s: float) -> None:
    """Return when something accepts connections on the port; raises TimeoutError."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"nothing listens on port {port} after {timeout_s:g} s")
        await asyncio.sleep(0.02)
