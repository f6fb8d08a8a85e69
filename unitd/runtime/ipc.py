"""A worker's end of the socket to core: the desired state as a level, health and events as reports."""

import asyncio
import os
import time
from collections import deque
from pathlib import Path

import msgspec

from unitd.messages.workers import (
    MAX_LINE_BYTES,
    Desired,
    Event,
    Fault,
    FromCore,
    FromWorker,
    Health,
    Hello,
    Worker,
)
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

KEEP_WITHOUT_CORE_S = 60.0
HEALTH_PERIOD_S = 4.0
PENDING_EVENTS = 256
RETRY_S = 0.3

Fact = str | int | float | bool | None


class CoreLink:
    """Keeps one connection to core for ever; every method runs on the loop and none blocks.

    - `desired` is the last whole state from core, or None before the first and once core has been gone for
      KEEP_WITHOUT_CORE_S (workers then close the microphone; locks stay, they are files).
    - `wait_change(number)` returns when `desired` differs from what the caller saw.
    - `set_health` and `event` are sent at once when connected. Events wait in a bounded queue while core is
      away: the oldest are dropped and counted in `dropped_events`; health is a level and only its last value is kept.
    """

    def __init__(self, run_dir: Path, who: Worker, log: Logger) -> None:
        self._path = run_dir / "core.sock"
        self._who: Worker = who
        self._log = log
        self._desired: Desired | None = None
        self._version = 0
        self._changed = asyncio.Condition()
        self._events: deque[Event] = deque(maxlen=PENDING_EVENTS)
        self._health = Health()
        self._wake = asyncio.Event()
        self._lost_at = time.monotonic()
        self.dropped_events = 0
        self.connected = False

    @property
    def desired(self) -> Desired | None:
        return self._desired

    @property
    def version(self) -> int:
        """Rises with every change of `desired`."""
        return self._version

    async def wait_change(self, seen_version: int) -> int:
        """Wait until `version` differs from `seen_version` and return it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._version != seen_version)
            return self._version

    def set_health(self, faults: tuple[Fault, ...], facts: dict[str, Fact]) -> None:
        """Replace this worker's health; sent when it differs from the last, and periodically."""
        health = Health(faults=faults, facts=facts)
        if health != self._health:
            self._health = health
            self._wake.set()

    def event(self, name: str, /, *, incident_id: str | None = None, mono_ns: int | None = None, **data: Fact) -> None:
        """Tell core that something happened once."""
        if len(self._events) == PENDING_EVENTS:
            self.dropped_events += 1
        stamp_ns = time.monotonic_ns() if mono_ns is None else mono_ns
        self._events.append(Event(name=name, mono_ns=stamp_ns, incident_id=incident_id, data=data))
        self._wake.set()

    async def run(self) -> None:
        """Connect, serve, reconnect; until cancelled."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=MAX_LINE_BYTES)
            except OSError:
                await self._while_lost()
                continue
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(reader))
                    group.create_task(self._write(writer))
            except* (OSError, EOFError, ValueError, msgspec.MsgspecError) as gone:
                self._log.warning("core has gone", error=repr(gone.exceptions[0]))
            finally:
                writer.close()
                self.connected = False
                self._lost_at = time.monotonic()

    async def _while_lost(self) -> None:
        await asyncio.sleep(RETRY_S)
        if self._desired is not None and time.monotonic() - self._lost_at > KEEP_WITHOUT_CORE_S:
            self._log.warning("core silent: desired state dropped", after_s=KEEP_WITHOUT_CORE_S)
            await self._set(None)

    async def _set(self, desired: Desired | None) -> None:
        async with self._changed:
            self._desired = desired
            self._version += 1
            self._changed.notify_all()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            line = await reader.readline()
            if not line:
                raise EOFError("core closed the connection")
            message = msgspec.json.decode(line, type=FromCore)
            self.connected = True
            if isinstance(message, Desired):
                await self._set(message)

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        encoder = msgspec.json.Encoder()

        def put(message: FromWorker) -> None:
            writer.write(encoder.encode(message) + b"\n")

        put(Hello(who=self._who, pid=os.getpid()))
        put(self._health)
        sent, sent_at = self._health, time.monotonic()
        while True:
            while self._events:
                put(self._events.popleft())
            if self._health != sent or time.monotonic() - sent_at >= HEALTH_PERIOD_S:
                sent, sent_at = self._health, time.monotonic()
                put(sent)
            await writer.drain()
            self._wake.clear()
            if self._events or self._health != sent:
                continue
            await set_within(self._wake, HEALTH_PERIOD_S)
