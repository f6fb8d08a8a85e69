"""Core's end of the socket to its workers: sends the whole desired state, gathers facts, health and events."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE
from unitd.messages import workers as wire
from unitd.model.outputs import Outputs
from unitd.runtime.logs import Logger

HEALTH_KEPT_S = 15.0
WORKERS: tuple[wire.Worker, ...] = ("field", "record", "call", "sense")
MAX_CONNECTIONS = 16
CONVERSE_S = 5.0
UNSENT_LIMIT_BYTES = 1024 * 1024


@dataclass
class _Seen:
    """What is known of one worker."""

    writer: asyncio.StreamWriter | None = None
    health: wire.Health = field(default_factory=wire.Health)
    heard_s: float = 0.0


class WorkerDesk:
    """Serves `core.sock`; `wishes(outputs, session, number)` is what to send.

    A worker that does not read is cut off, never waited for.
    """

    def __init__(
        self,
        run_dir: Path,
        session: int,
        wishes: Callable[[Outputs, int, int], wire.Desired],
        log: Logger,
        on_event: Callable[[wire.Worker, wire.Event], None],
        status: Callable[[], wire.Status],
        tool: Callable[[wire.ToolRequest], Awaitable[wire.ToolReply]] | None = None,
    ) -> None:
        self._path = run_dir / "core.sock"
        self.session = session
        self._wishes = wishes
        self._log = log
        self._on_event = on_event
        self._status = status
        self._tool = tool
        self._desired = wire.Desired(session=session, number=0)
        self._line = b""
        self._seen: dict[wire.Worker, _Seen] = {name: _Seen() for name in WORKERS}
        self._writers: set[asyncio.StreamWriter] = set()
        self.refused = 0

    def reconcile(self, levels: Outputs) -> None:
        """Send the desired state when it differs from the last."""
        wanted = self._wishes(levels, self.session, self._desired.number)
        if wanted == self._desired and self._line:
            return
        self._desired = msgspec.structs.replace(wanted, number=self._desired.number + 1)
        self._line = msgspec.json.encode(self._desired) + b"\n"
        for name, seen in self._seen.items():
            if seen.writer is not None:
                self._send(name, seen.writer)

    def alive(self) -> dict[str, bool]:
        """Which workers are connected and have reported within HEALTH_KEPT_S."""
        now_s = time.monotonic()
        return {
            name: seen.writer is not None and now_s - seen.heard_s < HEALTH_KEPT_S for name, seen in self._seen.items()
        }

    def faults(self) -> tuple[wire.Fault, ...]:
        """The workers' own faults, and one for each worker that is not there."""
        alive = self.alive()
        lost = [
            wire.Fault(code="worker_lost", subject=name, text=f"the {name} process is not running")
            for name, up in alive.items()
            if not up
        ]
        return (*lost, *(fault for name, seen in self._seen.items() if alive[name] for fault in seen.health.faults))

    def facts(self) -> dict[str, dict[str, str | int | float | bool | None]]:
        """The facts of the workers that are there."""
        alive = self.alive()
        return {name: dict(seen.health.facts) for name, seen in self._seen.items() if alive[name]}

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError when the socket cannot be made."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        server = await asyncio.start_unix_server(self._serve, str(self._path), limit=wire.MAX_LINE_BYTES)
        self._path.chmod(0o660)
        try:
            await asyncio.Event().wait()
        finally:
            # not `async with server`: from Python 3.12 on that waits for every connection to end by itself
            server.close()
            for writer in self._writers:
                writer.transport.abort()

    def _send(self, name: wire.Worker, writer: asyncio.StreamWriter) -> None:
        if writer.transport.get_write_buffer_size() > UNSENT_LIMIT_BYTES:
            self._log.error("worker does not read: cut off", worker=name)
            writer.transport.abort()
            return
        writer.write(self._line)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= MAX_CONNECTIONS:
            self.refused += 1
            writer.close()
            return
        self._writers.add(writer)
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, ValueError, msgspec.MsgspecError) as error:
            self._log.warning("connection ended", error=repr(error))
        except Exception:  # noqa: BLE001 - the one boundary for workers' bytes
            self._log.exception("connection ended")
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_tool(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of a program that somebody runs on the unit, one reply."""
        async with asyncio.timeout(CONVERSE_S):
            line = await reader.readline()
        try:
            request = msgspec.json.decode(line, type=wire.ToolRequest)
        except (msgspec.MsgspecError, *UNREADABLE) as error:
            reply = wire.ToolReply(error=f"the request cannot be read: {error}"[:500])
        else:
            reply = await self._tool(request) if self._tool is not None else wire.ToolReply(error="not served here")
        writer.write(msgspec.json.encode(reply) + b"\n")
        async with asyncio.timeout(CONVERSE_S):
            await writer.drain()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(CONVERSE_S):
            hello = msgspec.json.decode(await reader.readline(), type=wire.FromWorker)
        if not isinstance(hello, wire.Hello):
            raise ValueError("the first line must be a hello")
        if hello.who == "status":
            writer.write(msgspec.json.encode(self._status()) + b"\n")
            async with asyncio.timeout(CONVERSE_S):
                await writer.drain()
            return
        if hello.who == "tool":
            await self._serve_tool(reader, writer)
            return
        name: wire.Worker = hello.who
        seen = self._seen[name]
        if seen.writer is not None:
            seen.writer.transport.abort()  # its predecessor is dead, or a second one was started by mistake
        seen.writer, seen.heard_s, seen.health = writer, time.monotonic(), wire.Health()
        self._log.info("worker connected", worker=name, pid=hello.pid)
        self._send(name, writer)
        try:
            while line := await reader.readline():
                message = msgspec.json.decode(line, type=wire.FromWorker)
                seen.heard_s = time.monotonic()
                if isinstance(message, wire.Health):
                    seen.health = message
                elif isinstance(message, wire.Event):
                    self._on_event(name, message)
                await asyncio.sleep(0)  # a line at a time: a worker that floods does not keep the loop from a press
        finally:
            if seen.writer is writer:
                seen.writer = None
                self._log.warning("worker gone", worker=name)
