"""The panel's display and keys: `<run_dir>/panel.sock`, JSON lines, several programs at once (docs/design/seams.md)."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from unitd.runtime.logs import Logger

MAX_CLIENTS = 4
MAX_LINE_BYTES = 8 * 1024
MAX_BEHIND_BYTES = 64 * 1024
"""A display that does not read is let go; it dials again and gets the whole state."""
MESSAGES_PER_S, MESSAGES_AT_ONCE = 50.0, 100.0


class ShownLine(msgspec.Struct, frozen=True, kw_only=True):
    """`who` is `caller` or `operator`; a line that is not `done` is being typed."""

    who: str
    text: str
    done: bool
    by: str = ""


class Show(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="show"):
    """Everything that the display shows, whole, at every change. `incident` is None when there is nothing to say:
    the display is empty then, and keys do nothing."""

    incident: str | None = None
    stage: str = ""
    lines: tuple[ShownLine, ...] = ()
    quick_answers: tuple[str, ...] = ()
    language: str = "en"


class Typed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="typed"):
    """Letters as they are typed (ITU-T T.140)."""

    t140: Annotated[str, Meta(max_length=1000)]


class Quick(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="quick"):
    """The quick answer at place `n` was pressed."""

    n: Annotated[int, Meta(ge=0, le=255)]


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Typed | Quick] = msgspec.json.Decoder(Typed | Quick)
REFUSED = (msgspec.MsgspecError, UnicodeError, RecursionError)


def read(line: bytes) -> Typed | Quick:
    """What a line says. Raises one of REFUSED, and nothing else, when it says nothing."""
    return _decoder.decode(line)


class PanelPort:
    """`run()` serves until cancelled. `show` sends everybody the state; `typed` and `quick` get what a person does, on
    the loop. Nothing that a program sends can raise past here; what is no message is counted and left."""

    def __init__(
        self,
        path: Path,
        log: Logger,
        typed: Callable[[str], None],
        quick: Callable[[int], None],
        state: Callable[[], Show],
    ) -> None:
        self._path, self._log = path, log
        self._typed, self._quick, self._state = typed, quick, state
        self._clients: set[asyncio.StreamWriter] = set()
        self.ignored = 0
        self.let_go = 0

    async def run(self) -> None:
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE_BYTES)
        self._path.chmod(0o660)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for client in list(self._clients):
                client.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    def show(self) -> None:
        if not self._clients:
            return
        line = _encoder.encode(self._state()) + b"\n"
        for client in list(self._clients):
            self._send(client, line)

    def _send(self, client: asyncio.StreamWriter, line: bytes) -> None:
        if client.transport.get_write_buffer_size() > MAX_BEHIND_BYTES:
            self.let_go += 1
            self._clients.discard(client)
            client.transport.abort()
            return
        client.write(line)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            self.let_go += 1
            writer.close()
            return
        self._clients.add(writer)
        self._log.info("panel display connected", displays=len(self._clients))
        try:
            self._send(writer, _encoder.encode(self._state()) + b"\n")
            await self._read(reader)
        except (OSError, ValueError):  # gone, or a line without an end
            self.ignored += 1
        finally:
            self._clients.discard(writer)
            writer.transport.abort()  # one that reads nothing would keep its descriptor

    async def _read(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        credit, credit_s = MESSAGES_AT_ONCE, loop.time()
        while line := await reader.readline():
            now_s = loop.time()
            credit, credit_s = min(MESSAGES_AT_ONCE, credit + (now_s - credit_s) * MESSAGES_PER_S) - 1, now_s
            if credit < 0:
                await asyncio.sleep(-credit / MESSAGES_PER_S)
            try:
                message = read(line)
            except REFUSED:
                self.ignored += 1
                continue
            if isinstance(message, Typed):
                self._typed(message.t140)
            else:
                self._quick(message.n)
