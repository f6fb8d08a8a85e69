"""record.sock: the GOP in hand, several clients, and a slow one that hurts nobody."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog

from tests.unit.record.samples import FPS, INFO, units
from unitd.messages.media import HEADER_BYTES, FrameHeader, MediaRequest, unpack_header
from unitd.record import hub as hub_module
from unitd.record.backlog import SessionUnit
from unitd.record.hub import StreamHub
from unitd.record.server import MediaServer

LIMIT_S = 10.0
Answer = dict[str, object]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


class Rig:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.hub = StreamHub(asyncio.get_running_loop())
        self.server = MediaServer(path, self._find, structlog.get_logger())
        self.sent = 0

    def _find(self, request: MediaRequest) -> StreamHub | str:
        return self.hub if request.camera == "dome" else f"no camera {request.camera!r}"

    def publish(self, count: int, session: int = 1) -> None:
        for unit in units(count, first=self.sent):
            self.hub.put(SessionUnit(session, INFO, unit))
        self.sent += count

    async def client(
        self, camera: str = "dome"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, dict[str, object]]:
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 20)
        writer.write(json.dumps({"camera": camera, "profile": "main"}).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(reader.readline(), LIMIT_S))
        return reader, writer, answer


@asynccontextmanager
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path / "record.sock")
    serving = asyncio.create_task(made.server.run())
    await until(made.path.exists)
    try:
        yield made
    finally:
        serving.cancel()
        await asyncio.wait([serving])


async def frame(reader: asyncio.StreamReader) -> tuple[FrameHeader, bytes]:
    header = unpack_header(await asyncio.wait_for(reader.readexactly(HEADER_BYTES), LIMIT_S))
    return header, await asyncio.wait_for(reader.readexactly(header.length_bytes), LIMIT_S)


def test_a_client_begins_with_the_keyframe_of_the_current_gop(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.publish(FPS + 8)
            reader, writer, answer = await r.client()
            assert answer["ok"] is True
            assert (answer["codec"], answer["width"]) == ("h264", INFO.width)
            frames = [await frame(reader) for _ in range(8)]
            assert [header.keyframe for header, _ in frames] == [True] + [False] * 7
            assert frames[0][1][:5] == b"\0\0\0\1\x67"
            r.publish(1)
            header, data = await frame(reader)
            expected = next(units(1, first=FPS + 8))
            assert (header.pts_90khz, data) == (expected.pts_90khz, expected.data)
            writer.close()

    asyncio.run(scenario())


def test_the_first_client_gets_all_of_a_long_gop(tmp_path: Path) -> None:
    """Twenty seconds between keyframes, and nobody listened meanwhile: the picture is there at once all the same."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            given = [replace(unit, keyframe=n == 0, data=unit.data[:200]) for n, unit in enumerate(units(600))]
            for unit in given:
                r.hub.put(SessionUnit(1, INFO, unit))
            reader, writer, answer = await r.client()
            assert answer["ok"] is True
            for unit in given:
                assert (await frame(reader))[0].pts_90khz == unit.pts_90khz
            writer.close()

    asyncio.run(scenario())


def test_a_slow_client_loses_the_rest_of_gops_and_others_lose_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.publish(1)
            slow = socket.socket(socket.AF_UNIX)
            slow.setblocking(False)
            await asyncio.get_running_loop().sock_connect(slow, str(r.path))
            await asyncio.get_running_loop().sock_sendall(slow, b'{"camera":"dome"}\n')
            reader, writer, _ = await r.client()
            await until(lambda: len(r.hub.clients) == 2)
            got = [await frame(reader)]
            size = sum(len(unit.data) for unit in units(FPS))
            seconds = 3 * hub_module.CLIENT_LIMIT_BYTES // size
            for _ in range(seconds):
                r.publish(FPS)
                for _ in range(FPS):
                    got.append(await frame(reader))
            assert len(got) == 1 + seconds * FPS
            lazy = next(client for client in r.hub.clients if client.dropped)
            assert lazy.waiting_bytes() <= hub_module.CLIENT_LIMIT_BYTES + 200_000
            assert lazy.dropped + lazy.sent == len(got)
            slow.close()
            writer.close()

    asyncio.run(scenario())


def test_a_reopened_stream_ends_the_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.publish(1)
            reader, writer, _ = await r.client()
            await frame(reader)
            r.publish(FPS, session=2)
            assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
            writer.close()

    asyncio.run(scenario())


def test_what_cannot_be_served_is_refused_in_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as r:
            reader, writer, answer = await r.client("door")
            assert answer == {"ok": False, "error": "no camera 'door'"}
            assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
            writer.close()
            reader, writer = await asyncio.open_unix_connection(str(r.path))
            writer.write(b"GET / HTTP/1.1\n")
            refusal = json.loads(await asyncio.wait_for(reader.readline(), LIMIT_S))
            assert refusal["ok"] is False
            writer.close()

    asyncio.run(scenario())
