"""A camera that runs, and its clients: PyAV, and RTSP by hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import av
import numpy as np

from hw_sim.devices.camera import TEST_PROFILES, CameraServer, VideoProfile
from hw_sim.world.pose import HOME, Pose
from hw_sim.world.street import Street
from hw_sim.world.timecode import age_ms, read_time_code

TIMEOUT = (5, 5)


@contextlib.asynccontextmanager
async def running_camera(
    pose: Callable[[], Pose] = lambda: HOME, profiles: Sequence[VideoProfile] = TEST_PROFILES, **options: Any
) -> AsyncIterator[CameraServer]:
    camera = CameraServer(Street(1), pose, profiles, **options)
    await camera.start()
    try:
        yield camera
    finally:
        await camera.stop()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


async def until(condition: Callable[[], object], what: str, timeout_s: float = 8.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {timeout_s} s: {what}"
        await asyncio.sleep(0.005)


def watch(url: str, transport: str, pictures: int) -> list[tuple[np.ndarray, int | None, int]]:
    """Play until so many pictures are decoded: (picture, time code, age in ms when decoded). Blocks."""
    seen = []
    options = {"rtsp_transport": transport, "analyzeduration": "200000"}
    with av.open(url, options=options, timeout=TIMEOUT) as stream:
        for frame in stream.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            code = read_time_code(picture)
            seen.append((picture, code, age_ms(code, time.monotonic_ns()) if code is not None else 0))
            if len(seen) >= pictures:
                break
    return seen


class Talk:
    """RTSP by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.cseq = 0

    @classmethod
    async def to(cls, camera: CameraServer, receive_bytes: int = 0) -> Talk:
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", camera.port))
        except OSError:
            sock.close()
            raise
        return cls(*await asyncio.open_connection(sock=sock, limit=receive_bytes or 65_536))

    async def ask(self, method: str, url: str, **headers: str) -> tuple[int, dict[str, str], str]:
        self.cseq += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.cseq}", *(f"{k}: {v}" for k, v in headers.items())]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], str]:
        while (first := await self.reader.readexactly(1)) == b"$":
            await self.packet_rest()
        head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.strip().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        assert headers["cseq"] in (str(self.cseq), "0")
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1]), headers, body.decode()

    async def packet_rest(self) -> tuple[int, bytes]:
        header = await self.reader.readexactly(3)
        return header[0], await self.reader.readexactly(int.from_bytes(header[1:], "big"))

    async def packet(self) -> tuple[int, bytes]:
        assert await self.reader.readexactly(1) == b"$"
        return await self.packet_rest()

    async def play(self, url: str) -> str:
        """SETUP and PLAY over TCP; the session."""
        status, headers, _ = await self.ask("SETUP", url + "/trackID=0", Transport="RTP/AVP/TCP;interleaved=0-1")
        assert status == 200
        session = headers["session"].split(";")[0]
        assert (await self.ask("PLAY", url, Session=session))[0] == 200
        return session


def begins_with_sps(packet: bytes) -> bool:
    """Whether an RTP packet starts with a sequence parameter set, alone or first in a STAP-A."""
    kind = packet[12] & 0x1F
    return kind == 7 or (kind == 24 and packet[15] & 0x1F == 7)
