"""systemd's notify socket: READY, STATUS and a watchdog that is fed by completed work only."""

import asyncio
import os
import socket
from collections.abc import Callable


def notify(message: str) -> None:
    """Send one message to systemd (sd_notify(3)); does nothing outside a notify service. Does not block."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as channel:
            channel.sendto(message.encode(), address)
    except OSError:
        return  # systemd itself is restarting or its queue is full: the next message is due within seconds


class Watchdog:
    """Feeds systemd only while every vital service has completed a cycle within its limit.

    `beat(name)` after each completed cycle, from any thread. A service counts from `expect()` on, so one that
    hangs before its first cycle is caught too.
    """

    def __init__(self, mono_ns: Callable[[], int]) -> None:
        self._mono_ns = mono_ns
        self._limits_ns: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}

    def expect(self, name: str, within_s: float) -> None:
        """From now on `name` must beat at least every `within_s`."""
        self._last_ns[name] = self._mono_ns()
        self._limits_ns[name] = int(within_s * 1e9)

    def forget(self, name: str) -> None:
        """`name` has ended in order and is expected no more."""
        self._limits_ns.pop(name, None)

    def beat(self, name: str) -> None:
        """`name` has completed a cycle."""
        self._last_ns[name] = self._mono_ns()

    def stale(self) -> list[str]:
        """The services that have not completed a cycle in time."""
        now = self._mono_ns()
        return [name for name, limit in self._limits_ns.items() if now - self._last_ns[name] > limit]

    async def run(self, on_stale: Callable[[list[str]], None]) -> None:
        """Feed systemd for ever, at a third of its limit (WATCHDOG_USEC), withholding while anything is stale."""
        period_s = min(int(os.environ.get("WATCHDOG_USEC", "3000000")) / 3e6, 2.0)
        while True:
            stale = self.stale()
            if stale:
                on_stale(stale)
            else:
                notify("WATCHDOG=1")
            await asyncio.sleep(period_s)
