"""The real process `unitd field` with a stand-in core on its socket and simulated devices on its ports."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from unitd.messages.workers import Desired, DomeWanted, Event, FromWorker, Health, Hello, SmsWanted


class Core:
    """Core's end of the socket: says what is wanted, keeps what it is told."""

    def __init__(self, path: Path) -> None:
        self.health = Health()
        self.events: list[Event] = []
        self.hellos = 0
        self.process: asyncio.subprocess.Process
        self.server: asyncio.Server
        self.path = path
        self._writers: list[asyncio.StreamWriter] = []
        self._desired = Desired(session=1, number=0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._put(writer)
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                message = msgspec.json.decode(line, type=FromWorker)
                match message:
                    case Hello():
                        self.hellos += 1
                    case Health():
                        self.health = message
                    case Event():
                        self.events.append(message)
        self._writers.remove(writer)
        writer.close()

    def _put(self, writer: asyncio.StreamWriter) -> None:
        writer.write(msgspec.json.encode(self._desired) + b"\n")

    def want(self, number: int, preset: int | None = None, pan: float = 0.0, for_s: float = 0.0) -> None:
        """A new goal for the dome; a move is wanted until `for_s` from now."""
        until_ns = time.monotonic_ns() + int(for_s * 1e9)
        dome = DomeWanted(number=number, preset=preset, pan=pan, until_mono_ns=until_ns)
        self._desired = Desired(session=1, number=number, dome=dome)
        for writer in self._writers:
            self._put(writer)

    def want_sms(self, *messages: SmsWanted) -> None:
        """The text messages wanted from now on, whole."""
        self._desired = Desired(session=1, number=self._desired.number + 1, sms=messages)
        for writer in self._writers:
            self._put(writer)

    def vanish(self) -> None:
        """As a core that has died: no connection, and nobody listens."""
        self.server.close()
        for writer in self._writers:
            writer.close()

    async def come_back(self) -> None:
        self.path.unlink(missing_ok=True)
        self.server = await asyncio.start_unix_server(self.serve, str(self.path))

    def codes(self) -> set[str]:
        return {fault.code for fault in self.health.faults}

    def told(self, name: str) -> int:
        return sum(event.name == name for event in self.events)


async def until(condition: Callable[[], bool], within_s: float = 15.0, what: str = "condition") -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def field(directory: Path, parts: str) -> AsyncIterator[Core]:
    """`unitd field` with the TOML `parts`, until the end of the block; it must then end in order."""
    config = directory / "unit.toml"
    config.write_text(f'schema = 1\n[paths]\nrun_dir = "{directory}"\n{parts}')
    core = Core(directory / "core.sock")
    await core.come_back()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "unitd", "field", "--config", str(config), stdout=asyncio.subprocess.DEVNULL
    )
    core.process = process
    try:
        await until(lambda: core.hellos > 0, what="field says hello")
        yield core
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 5) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        core.vanish()
