"""systemd's notify socket: READY, STATUS and a watchdog that is fed by completed work only."""

import asyncio
import os
import socket
from collections.abc import Callable

LONGEST_PERIOD_S = 2.0
STEP_S = 12.0


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


def next_step() -> None:
    """A step of the start is done: systemd waits STEP_S for the next one (or READY), whatever the whole start takes."""
    notify(f"EXTEND_TIMEOUT_USEC={int(STEP_S * 1e6)}")


class Watchdog:
    """Feeds systemd only while every vital service has completed a cycle within its limit.

    `beat(name)` after each completed cycle, from any thread. A service counts from `expect()` on, so one that
    hangs before its first cycle is caught too.

    Two limits stand one behind the other. A service that is stale while the loop runs is reported to systemd by our own
    word, two looks later at most; a loop that hangs says nothing, and systemd's own limit (WatchdogSec) catches it.
    """

    def __init__(self, mono_ns: Callable[[], int], tell: Callable[[str], None] = notify) -> None:
        self._mono_ns = mono_ns
        self._tell = tell
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

    async def run(self, on_stale: Callable[[list[str]], None], longest_s: float = LONGEST_PERIOD_S) -> None:
        """Feed systemd for ever, at a third of its limit (WATCHDOG_USEC) and at least every `longest_s`; withhold while
        anything is stale.

        What is stale at two looks in a row ends the process (WATCHDOG=trigger). One look is not enough: after a pause
        of the whole process this task may run before those that are to beat.
        """
        period_s = min(int(os.environ.get("WATCHDOG_USEC", "3000000")) / 3e6, longest_s)
        before: set[str] = set()
        while True:
            stale = self.stale()
            if stale:
                on_stale(stale)
                if before.intersection(stale):
                    self._tell("WATCHDOG=trigger")
            else:
                self._tell("WATCHDOG=1")
            before = set(stale)
            await asyncio.sleep(period_s)
