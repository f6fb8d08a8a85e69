"""record.sock: hands access units to `call` and `sense` (docs/design/seams.md). No disk is needed for it."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from unitd.errors import WireError
from unitd.messages.media import MAX_REQUEST_BYTES, MediaAnswer, MediaRequest, decode_request
from unitd.record.hub import Client, StreamHub
from unitd.runtime.logs import Logger

REQUEST_TIMEOUT_S = 5.0
STREAM_TIMEOUT_S = 5.0
MAX_CLIENTS = 16

FindHub = Callable[[MediaRequest], "StreamHub | str"]


class MediaServer:
    """`find` gives the hub of what a client asks for (starting the stream when it must), or says why there is none."""

    def __init__(self, path: Path, find: FindHub, log: Logger) -> None:
        self._path, self._find, self._log = path, find, log
        self._connections = 0
        self.dropped_units = 0

    async def run(self) -> None:
        """Listen and serve until cancelled."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        server = await asyncio.start_unix_server(self._serve, str(self._path), limit=MAX_REQUEST_BYTES)
        self._path.chmod(0o660)
        try:
            await asyncio.Event().wait()
        finally:
            # not serve_forever: its end waits, from Python 3.12 on, for every client to leave by itself
            server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > MAX_CLIENTS:
                await _refuse(writer, "too many clients")
                return
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = await reader.readline()
            request = decode_request(line)
            await self._feed(request, reader, writer)
        except WireError as error:
            await _refuse(writer, str(error))
        except (OSError, ValueError, TimeoutError) as error:
            self._log.debug("media client ended", error=repr(error))
        finally:
            self._connections -= 1
            writer.close()

    async def _feed(self, request: MediaRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub = self._find(request)
        if isinstance(hub, str):
            await _refuse(writer, hub)
            return
        client = Client(writer.write, writer.transport.get_write_buffer_size, relaxed=request.relaxed)
        info = await hub.ready(STREAM_TIMEOUT_S)
        if info is None:
            await _refuse(writer, f"{request.camera}: no {request.profile} picture from the camera")
            return
        answer = MediaAnswer(
            ok=True, codec=info.codec, width=info.width, height=info.height, extradata_hex=info.extradata.hex()
        )
        writer.write(msgspec.json.encode(answer) + b"\n")
        hub.join(client)
        log = self._log.bind(camera=request.camera, stream=request.profile)
        log.info("media client joined", clients=len(hub.clients))
        gone = asyncio.create_task(_until_gone(reader))
        ended = asyncio.create_task(client.ended.wait())
        try:
            await asyncio.wait({gone, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            ended.cancel()
            hub.leave(client)
            self.dropped_units += client.dropped
            log.info("media client left", sent=client.sent, dropped=client.dropped)


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Return when the client has closed; what it says after its request is ignored."""
    with contextlib.suppress(OSError):
        while await reader.read(MAX_REQUEST_BYTES):
            pass


async def _refuse(writer: asyncio.StreamWriter, error: str) -> None:
    with contextlib.suppress(OSError):
        writer.write(msgspec.json.encode(MediaAnswer(ok=False, error=error)) + b"\n")
        await writer.drain()
