"""A way to a TCP port that counts what passes on it both ways, as a mobile network would bill it: at IP level."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import struct
from typing import NamedTuple

HEADER_BYTES = 20 + 20 + 12
"""IPv4 and TCP with the timestamp option, which Linux uses on every segment."""
_INFO_BYTES = 144
_BYTES_ACKED_AT, _BYTES_RECEIVED_AT, _SEGMENTS_OUT_AT, _SEGMENTS_IN_AT = 120, 128, 136, 140
"""Offsets in Linux's struct tcp_info (include/uapi/linux/tcp.h; stable, new fields are only appended)."""


class Sent(NamedTuple):
    """What one side has sent: segments (bare acknowledgements too) and the bytes of the stream in them."""

    segments: int
    stream_bytes: int

    @property
    def ip_bytes(self) -> int:
        return self.stream_bytes + self.segments * HEADER_BYTES

    def since(self, earlier: Sent) -> Sent:
        return Sent(self.segments - earlier.segments, self.stream_bytes - earlier.stream_bytes)

    def and_(self, other: Sent) -> Sent:
        return Sent(self.segments + other.segments, self.stream_bytes + other.stream_bytes)


NOTHING = Sent(0, 0)


def received_on(channel: socket.socket) -> Sent:
    """What has come in on a connected socket, told by the kernel."""
    return _told(channel, _SEGMENTS_IN_AT, _BYTES_RECEIVED_AT)


def sent_on(channel: socket.socket) -> Sent:
    """What has gone out on a connected socket and was acknowledged, told by the kernel."""
    return _told(channel, _SEGMENTS_OUT_AT, _BYTES_ACKED_AT)


def _told(channel: socket.socket, segments_at: int, bytes_at: int) -> Sent:
    info = channel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    (stream_bytes,) = struct.unpack_from("=Q", info, bytes_at)
    (segments,) = struct.unpack_from("=I", info, segments_at)
    return Sent(segments, stream_bytes)


class TcpCounter:
    """Passes every connection on to `port` on loopback until `close`. One loop."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._gone, self._gone_back = NOTHING, NOTHING
        self._near: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def sent(self) -> Sent:
        """By all clients so far."""
        return functools.reduce(Sent.and_, (received_on(each) for each in self._near), self._gone)

    def sent_back(self) -> Sent:
        """To all clients so far."""
        return functools.reduce(Sent.and_, (sent_on(each) for each in self._near), self._gone_back)

    @property
    def open(self) -> int:
        """Connections that are there now."""
        return len(self._near)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near = writer.get_extra_info("socket")
        self._near.add(near)
        far_writer: asyncio.StreamWriter | None = None
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far_writer))
                both.create_task(_pump(far_reader, writer))
        except* OSError:
            pass  # either end has reset: both are closed below
        finally:
            self._near.discard(near)
            with contextlib.suppress(OSError):
                self._gone = self._gone.and_(received_on(near))
                self._gone_back = self._gone_back.and_(sent_on(near))
            for end in (writer, far_writer):
                if end is not None:
                    end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
