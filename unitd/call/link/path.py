"""Whether this machine's way to the network has changed: another interface, another address."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

WORLD = ("198.51.100.1", "2001:db8::1")
"""Addresses that belong to nobody (RFC 5737, RFC 3849): the way to them is the default route."""
MOST_TARGETS = 8
LOOK_EVERY_S = 1.0
"""Besides the kernel's own word, which a sandbox may keep away."""
SETTLE_S = 0.15
"""An interface that comes up says so several times."""
GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE of linux/rtnetlink.h."""

Sources = tuple[str | None, ...]


def changed(before: Sources, now: Sources) -> bool:
    """Whether packets leave from another address than before. A way that is gone is no change: what comes back may be
    the same. Pure."""
    return any(old is not None and new is not None and old != new for old, new in zip(before, now, strict=True))


def kept(before: Sources, now: Sources) -> Sources:
    """What to compare with next: the last known address of each way. Pure."""
    return tuple(new if new is not None else old for old, new in zip(before, now, strict=True))


def targets_in(urls: Iterable[str]) -> tuple[str, ...]:
    """The addresses to look towards: the world's, and those of the URLs that name one."""
    found = list(WORLD)
    for url in urls:
        with contextlib.suppress(ValueError):
            found.append(str(ipaddress.ip_address(urlsplit(url).hostname or "")))
    return tuple(dict.fromkeys(found))[:MOST_TARGETS]


def sources(targets: tuple[str, ...]) -> Sources:
    """From which address packets to each target would leave; None: there is no way to it. Sends nothing."""
    found: list[str | None] = []
    for target in targets:
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            found.append(None)
    return tuple(found)


class PathWatch:
    """`run()` calls `on_change` on the loop, until cancelled. Costs a few system calls a second."""

    def __init__(self, targets: tuple[str, ...], on_change: Callable[[], None], log: Logger) -> None:
        self._targets = targets
        self._on_change = on_change
        self._log = log
        self._news = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        kernel = _kernel()
        if kernel is not None:
            loop.add_reader(kernel, self._heard, kernel)
        try:
            before = sources(self._targets)
            while True:
                if await set_within(self._news, LOOK_EVERY_S):
                    await asyncio.sleep(SETTLE_S)
                self._news.clear()
                now = sources(self._targets)
                if changed(before, now):
                    self._log.info("another way to the network", before=list(before), now=list(now))
                    self._on_change()
                before = kept(before, now)
        finally:
            if kernel is not None:
                loop.remove_reader(kernel)
                kernel.close()

    def _heard(self, kernel: socket.socket) -> None:
        with contextlib.suppress(OSError):  # what it says does not matter, nor what did not fit
            kernel.recv(65536)
        self._news.set()


def _kernel() -> socket.socket | None:
    """The kernel's news of links, addresses and routes; None where it has none."""
    try:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    except (OSError, AttributeError):
        return None
    try:
        made.bind((0, GROUPS))
    except OSError:
        made.close()
        return None
    return made
