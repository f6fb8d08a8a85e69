"""The local sockets, both ends: what a worker says to core, core to a worker, and both sides of `record.sock`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import msgspec

from tests.fuzz.target import Target, registry
from tests.fuzz.targets.control_room import INCIDENT
from unitd.call.picture.record_feed import record_units
from unitd.core.fitting import event_payload, state_payload
from unitd.core.stills import StillDesk
from unitd.core.workers import WorkerDesk
from unitd.errors import DeviceError, WireError
from unitd.messages import control_room as up
from unitd.messages import media
from unitd.messages import workers as wire
from unitd.record.audio import VoiceServer, VoiceTrack
from unitd.record.backlog import SessionUnit
from unitd.record.server import MediaServer
from unitd.record.stills import read_result
from unitd.runtime.ipc import CoreLink

AT = up.Stamp(utc_us=0, clock="unknown", mono_ns=1)
STATUS = wire.Status(unit="pole-0001", session=1, armed=True, uptime_s=1.0, clock="synced", control_room_heard=True)
LOOP = asyncio.new_event_loop()


class _Log(MagicMock):
    """A log that says when a boundary caught what it did not expect: that is a finding."""

    def exception(self, *_: object, **__: object) -> None:
        raise


def _log() -> Any:
    return _Log()


class _Writer:
    """Takes all that is written; knows nothing of a socket."""

    def __init__(self) -> None:
        self.written = 0
        self.transport = MagicMock()
        self.transport.get_write_buffer_size.return_value = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    async def drain(self) -> None:
        return

    def close(self) -> None:
        return


def _reader(data: bytes, limit: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=limit, loop=LOOP)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def worker(data: bytes) -> None:
    """A whole connection to core.sock, as core's end reads it."""
    events: list[wire.Event] = []

    def event(_name: wire.Worker, message: wire.Event) -> None:
        events.append(message)
        told = up.Event(name=message.name, at=AT, session=1, incident_id=message.incident_id, data=dict(message.data))
        assert len(event_payload(told)) <= up.MAX_PAYLOAD_BYTES

    async def tool(request: wire.ToolRequest) -> wire.ToolReply:
        return wire.ToolReply(error=repr(request)[:100])

    desk = WorkerDesk(Path("/nowhere"), 1, MagicMock(), _log(), event, lambda: STATUS, tool)

    async def run() -> None:
        await desk._serve(_reader(data, wire.MAX_LINE_BYTES), _Writer())  # type: ignore[arg-type]
        faults = tuple(up.FaultReport(code=each.code, subject=each.subject, text=each.text) for each in desk.faults())
        state = up.State(unit="u", online=True, session=1, faults=faults, facts=desk.facts())
        assert len(state_payload(state)) <= up.MAX_PAYLOAD_BYTES

    LOOP.run_until_complete(run())
    assert len(events) <= data.count(b"\n") + 1


def core(data: bytes) -> None:
    """The same at the worker's end."""
    link = CoreLink(Path("/nowhere"), "call", _log())

    async def run() -> None:
        with contextlib.suppress(OSError, EOFError, ValueError, msgspec.MsgspecError):  # what CoreLink.run bears
            await link._read(_reader(data, wire.MAX_LINE_BYTES))

    LOOP.run_until_complete(run())
    if link.desired is not None:
        msgspec.json.encode(link.desired)


def media_request(data: bytes) -> None:
    server = MediaServer(Path("/nowhere"), lambda request: f"no camera {request.camera}", _log())
    writer = _Writer()
    LOOP.run_until_complete(server._serve(_reader(data, media.MAX_REQUEST_BYTES), writer))  # type: ignore[arg-type]
    assert writer.written <= 2 * len(data) + 8192
    assert server._connections == 0


def media_frames(data: bytes) -> None:
    """The recorder's answer and frames, as `call` and `sense` read them."""

    async def open_unix_connection(_path: str, limit: int) -> tuple[asyncio.StreamReader, _Writer]:
        return _reader(data, limit), _Writer()

    async def run() -> None:
        taken = 0
        with contextlib.suppress(DeviceError):
            async for unit in record_units(Path("/nowhere"), "dome", "main"):
                taken += len(unit.data)
        assert taken <= len(data)

    with patch("asyncio.open_unix_connection", open_unix_connection):
        LOOP.run_until_complete(run())
    with contextlib.suppress(WireError):
        media.decode_answer(data)
    with contextlib.suppress(WireError):
        media.unpack_header(data[: media.HEADER_BYTES])


def voices(data: bytes) -> None:
    """A connection of `call` to audio.sock, as `record` reads it; the first 20 ms are always of now."""
    units: list[SessionUnit] = []
    track = VoiceTrack(units.append)
    server = VoiceServer(Path("/nowhere"), lambda: INCIDENT, track, _log())
    hello, newline, frames = data.partition(b"\n")
    if len(frames) >= 8:
        frames = time.monotonic_ns().to_bytes(8, "big") + frames[8:]
    LOOP.run_until_complete(server._serve(_reader(hello + newline + frames, 65_536), _Writer()))  # type: ignore[arg-type]
    assert server._client is None
    assert len(units) <= len(frames) // 3848 * 60 + 3, "a second of silence for each frame at most"


def still_result(data: bytes) -> None:
    """What the child that makes stills says, in which a hostile picture may speak."""
    with contextlib.suppress(WireError):
        still = read_result(data, {"dome": None})
        assert isinstance(still, str) or len(still.jpeg) < 40_000


def still_event(data: bytes) -> None:
    """Record's event `still`, as core takes it."""
    log = _log()
    desk = StillDesk("pole-0001", _Clock(), log, lambda: False)
    try:
        event = msgspec.json.decode(data, type=wire.Event)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    desk.take(event)
    assert all(len(each.payload) <= up.MAX_PAYLOAD_BYTES for each in desk._waiting)


class _Clock:
    def mono_ns(self) -> int:
        return 1

    def stamp(self, mono_ns: int | None = None) -> up.Stamp:
        return up.Stamp(utc_us=0, clock="unknown", mono_ns=mono_ns or 0)


WORKER_WORDS = tuple(
    f'"{word}"'.encode()
    for word in (
        "type",
        "hello",
        "who",
        "pid",
        "health",
        "faults",
        "facts",
        "event",
        "name",
        "mono_ns",
        "data",
        "status",
    )
)
TARGETS = registry(
    Target("worker", worker, (*WORKER_WORDS, b"\n", b'{"type":"hello","who":"call","pid":1}\n'), share=0.4),
    Target("core", core, (b"\n", b'"desired"', b'"call"', b'"dome"', b'"number"'), share=0.5),
    Target("media-request", media_request, (b'"camera"', b'"profile"', b'"sub"', b"\n"), share=0.5),
    Target("voices", voices, (b'"incident_id"', INCIDENT.encode(), b"\n"), max_bytes=12_000, share=0.05),
    Target("still-result", still_result, (b"\xa6camera", b"\xa4jpeg", b"\xff\xd8", b"\xa5width"), share=0.3),
    Target("still-event", still_event, (b'"jpeg_base64"', b'"still"', b'"at_mono_ns"', b"/9j/"), share=0.3),
    Target("media-frames", media_frames, (b'{"ok":true,"codec":"h264"}\n', b"\0\0\0\x05\x01\0\0\0"), share=0.4),
)
