"""TLS to TURN servers, for an ICE agent that has none: a port on loopback for each, its bytes carried through TLS.

libnice 0.1.21 takes a `turns:` server and speaks to it in clear, which only a server that takes both does not mind.
What flows here is TURN over TCP (RFC 8656): media that is encrypted end to end. TLS is there to get out at port 443.
"""

import asyncio
import contextlib
import dataclasses
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from unitd.call.link.ice_servers import TlsServer, UsableServers
from unitd.call.link.tcp import connect_tcp
from unitd.runtime.logs import Logger

MOST_TUNNELS = 4
MOST_CONNECTIONS = 12
"""Of one tunnel: three sessions, each with an allocation for each of its addresses."""
CONNECT_TIMEOUT_S = 5.0
BLOCK_BYTES = 16 * 1024
MOST_WAITING_BYTES = 64 * 1024
"""A queue longer than this is late for a call; TCP then holds the sender back."""

Context = Callable[[], Coroutine[Any, Any, ssl.SSLContext | None]]


class Tunnels:
    """The tunnels of one conversation, made as they are needed. Belongs to the loop.

    Whoever is on this machine can connect to such a port and gets no further than the TURN server's own question for
    credentials.
    """

    def __init__(self, context: Context, log: Logger) -> None:
        self._context = context
        self._log = log
        self._ports: dict[tuple[str, int], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures = 0

    def through(self, servers: UsableServers) -> UsableServers:
        """The servers with every one behind TLS replaced by its tunnel's port. Opens sockets; does not wait."""
        turn = list(servers.turn)
        for server in servers.turn_tls:
            port = self._port(server)
            if port is not None:
                turn.append(f"turn://{server.user}@127.0.0.1:{port}?transport=tcp")
        return dataclasses.replace(servers, turn=tuple(turn), turn_tls=())

    async def close(self) -> None:
        """End every tunnel."""
        self._ports.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _port(self, server: TlsServer) -> int | None:
        where = (server.host, server.port)
        if where not in self._ports:
            if len(self._ports) >= MOST_TUNNELS:
                return None
            try:
                listening = socket.create_server(("127.0.0.1", 0), backlog=MOST_CONNECTIONS)
            except OSError as error:
                self._log.warning("no tunnel to a TURN server", error=str(error))
                return None
            self._ports[where] = listening.getsockname()[1]
            self._keep(self._listen(listening, where), "turn tunnel")
        return self._ports[where]

    def _keep(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, listening: socket.socket, where: tuple[str, int]) -> None:
        connections: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or len(connections) >= MOST_CONNECTIONS:
                writer.transport.abort()
                return
            connections.add(task)
            try:
                await self._carry(reader, writer, where)
            finally:
                connections.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(serve, sock=listening, limit=BLOCK_BYTES)
        try:
            # Not serve_forever(): from Python 3.12 on its end waits for every connection, which end below.
            await asyncio.Event().wait()
        finally:
            server.close()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _carry(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter, where: tuple[str, int]) -> None:
        host, port = where
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                context = await self._context()
                # One look-up of a name at a time: a dozen that wait for a dead name server would hold every thread.
                reached = await connect_tcp(host, port, CONNECT_TIMEOUT_S)
                far, to_far = await asyncio.open_connection(
                    sock=reached,
                    ssl=context,
                    server_hostname=host if context is not None else None,
                    limit=BLOCK_BYTES,
                )
        except (OSError, ValueError, TimeoutError) as error:
            self.failures += 1
            if self.failures.bit_count() == 1:
                self._log.warning("TURN server not reached by TLS", host=host, error=str(error) or repr(error))
            return
        ways = [asyncio.create_task(_copy(near, to_far)), asyncio.create_task(_copy(far, to_near))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_far.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    sink.transport.set_write_buffer_limits(high=MOST_WAITING_BYTES)
    with contextlib.suppress(OSError):
        while block := await source.read(BLOCK_BYTES):
            sink.write(block)
            await sink.drain()
