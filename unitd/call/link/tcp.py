"""TCP to a far end that may be away for a while: asked for again and again, at each of its addresses in turn.

The kernel repeats a SYN after 1, 3 and 7 s. A link that comes back in between would wait for that; so another socket
asks every AGAIN_S, and the first that is answered is taken. Nothing of TLS is spent on the others.
"""

import asyncio
import socket
from typing import Any

AGAIN_S = 0.7
MOST_REMEMBERED = 16

Info = tuple[socket.AddressFamily, Any]

_known: dict[tuple[str, int], tuple[Info, ...]] = {}
"""What a name meant last. A name server is out of reach exactly when a link comes back."""
_asking: dict[tuple[str, int], "asyncio.Task[tuple[Info, ...]]"] = {}
"""At most one look-up for each name: each holds a thread until it is answered."""


async def connect_tcp(host: str, port: int, limit_s: float) -> socket.socket:
    """A connected socket, not blocking; the caller closes it. Raises OSError (TimeoutError after `limit_s`)."""
    tries: set[asyncio.Task[socket.socket]] = set()
    try:
        async with asyncio.timeout(limit_s):
            count = 0
            while True:
                infos = await _addresses(host, port)
                tries.add(asyncio.create_task(_one(infos[count % len(infos)])))
                count += 1
                done, _ = await asyncio.wait(tries, timeout=AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
                tries -= done
                won = [task.result() for task in done if task.exception() is None]
                for late in won[1:]:
                    late.close()
                if won:
                    return won[0]
                if not tries and count >= len(infos):
                    raise next(iter(done)).exception() or OSError("not reached")
    finally:
        for task in tries:
            task.cancel()
            task.add_done_callback(_close)


async def _one(info: Info) -> socket.socket:
    family, address = info
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, address)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        made.close()
        raise
    return made


def _close(task: "asyncio.Task[socket.socket]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _addresses(host: str, port: int) -> tuple[Info, ...]:
    """What the name means; what it meant last at once, and asked for anew beside."""
    name = (host, port)
    task = _asking.get(name)
    if task is None or task.get_loop() is not asyncio.get_running_loop():
        task = _asking[name] = asyncio.create_task(_look_up(host, port), name=f"name {host}")
        task.add_done_callback(lambda done: _told(name, done))
    known = _known.get(name)
    return known if known is not None else await asyncio.shield(task)


async def _look_up(host: str, port: int) -> tuple[Info, ...]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    infos = tuple((info[0], info[4]) for info in found[:4])
    if not infos:
        raise OSError(f"{host} has no address")
    if len(_known) >= MOST_REMEMBERED:
        _known.clear()
    _known[(host, port)] = infos
    return infos


def _told(name: tuple[str, int], task: "asyncio.Task[tuple[Info, ...]]") -> None:
    if _asking.get(name) is task:
        del _asking[name]
    if not task.cancelled():
        task.exception()  # asked for by nobody when the last answer served
