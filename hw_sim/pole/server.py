"""The pole's page: the button, the lamps as the caller sees them, the street, and switches to break things with.

`/api/ws`, JSON. Server to page: `{"type":"outputs","yellow":..,"green":..,"locator":..,"sounder":..}` within 20 ms of a
change (a flashing lamp flashes), and `{"type":"state", "unit","site","horn","messages","processes","faults","sound"}`
whenever it differs (levels), `{"type":"log","lines":[...]}` with what is new. Page to server: `{"type":"press"}`,
`{"type":"release"}`, `{"type":"fault","name","value"}` (answered by `{"type":"fault_set","name","ok","reason"}`).
A page that goes away while it presses lets go of the button.

The panel's display and keys: `{"type":"panel","connected":..,"shown":...}` to the page (`shown` is the daemon's last
`show` of docs/design/seams.md, "The panel"); from it `{"type":"typed",...}` and `{"type":"quick",...}`, handed on.

`/picture.jpg?width=N` is what the dome sees now. `/api/sound` is a WebSocket of 48 kHz mono s16le: binary frames of
20 ms, the horn to the page and the page's microphone into the street.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from hw_sim.control_room.web_guard import guard
from hw_sim.pole.bench_port import PoleBench, StreetSound
from hw_sim.pole.panel import PanelLine

PAGES = Path(__file__).parent / "page"
SHARED = Path(__file__).parent.parent / "control_room" / "console"
LOOK_EVERY_S = 0.02
STATE_EVERY_LOOKS = 10
WIDTHS = (320, 640, 960)
TO_PANEL = ("typed", "quick")
MAX_SOUND_BYTES = 16 * 1920
SOUND_QUEUE_FRAMES = 25
"""Half a second: a page that is slower loses the oldest, so that what it plays is live."""


class PolePage:
    """One page server over a bench. `start` returns when it listens."""

    def __init__(
        self,
        bench: PoleBench,
        audio: StreetSound | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        panel: Path | None = None,
    ) -> None:
        """`panel`: the daemon's `panel.sock`; without it there is no display."""
        self._bench, self._audio, self._host, self._port = bench, audio, host, port
        self._panel = None if panel is None else PanelLine(panel)
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self.dropped_frames = 0

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}/"

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        app = web.Application(middlewares=[guard])
        app.router.add_get("/", _page)
        app.router.add_get("/api/ws", self._page_socket)
        app.router.add_get("/api/sound", self._sound_socket)
        app.router.add_get("/picture.jpg", self._picture)
        app.router.add_static("/pole/", PAGES)
        app.router.add_static("/console/", SHARED)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]
        if self._panel is not None:
            self._panel.start()

    async def stop(self) -> None:
        if self._panel is not None:
            await self._panel.stop()
        for socket in list(self._sockets):
            await socket.close(message=b"the simulator stops")
        if self._runner is not None:
            await self._runner.cleanup()

    # --- the page's socket ------------------------------------------------------------------------------------------

    async def _page_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=4096)
        await socket.prepare(request)
        pressing = False
        async with self._while_open(socket, self._tell(socket)):
            try:
                async for message in socket:
                    if message.type == WSMsgType.TEXT:
                        pressing = await self._obey(socket, message.data, pressing)
            finally:
                if pressing:
                    self._bench.release()
        return socket

    async def _obey(self, socket: web.WebSocketResponse, text: str, pressing: bool) -> bool:
        """Do what the page asks; returns whether it holds the button now."""
        try:
            order = json.loads(text)
        except ValueError:
            return pressing
        kind = order.get("type") if isinstance(order, dict) else None
        if kind == "press":
            self._bench.press()
            return True
        if kind == "release":
            self._bench.release()
            return False
        if kind in TO_PANEL and self._panel is not None:
            self._panel.send(order)
        if kind == "fault":
            name, value = str(order.get("name")), str(order.get("value"))
            reason = ""
            try:
                await self._bench.set_fault(name, value)
            except (ValueError, OSError, RuntimeError) as error:
                reason = str(error) or type(error).__name__
            answer = {"type": "fault_set", "name": name, "value": value, "ok": not reason, "reason": reason}
            await socket.send_str(json.dumps(answer))
        return pressing

    async def _tell(self, socket: web.WebSocketResponse) -> None:
        shown: dict[str, Any] = {}
        line, looks = 0, 0

        async def send_if_new(kind: str, content: dict[str, Any]) -> None:
            if shown.get(kind) != content:
                shown[kind] = content
                await socket.send_str(json.dumps({"type": kind, **content}))

        while True:
            await send_if_new("outputs", {**self._bench.outputs(), "pressed": self._bench.pressed()})
            if self._panel is not None:
                await send_if_new("panel", {"connected": self._panel.connected, "shown": self._panel.shown})
            if looks % STATE_EVERY_LOOKS == 0:
                await send_if_new("state", self._state())
                lines = self._bench.log_after(line)
                if lines:
                    line = lines[-1].number
                    await socket.send_str(json.dumps({"type": "log", "lines": [asdict(each) for each in lines]}))
            looks += 1
            await asyncio.sleep(LOOK_EVERY_S)

    def _state(self) -> dict[str, Any]:
        return {
            "unit": self._bench.unit_id,
            "site": self._bench.site_name,
            "horn": self._bench.horn_words(),
            "messages": [asdict(each) for each in self._bench.text_messages()],
            "processes": dict(self._bench.processes()),
            "faults": [asdict(switch) for switch in self._bench.faults()],
            "sound": self._audio is not None,
        }

    # --- picture and sound ------------------------------------------------------------------------------------------

    async def _picture(self, request: web.Request) -> web.Response:
        asked = request.query.get("width", "640")
        width = int(asked) if asked.isdecimal() and int(asked) in WIDTHS else 640
        try:
            async with asyncio.timeout(3.0):
                picture = await self._bench.snapshot_jpeg(width)
        except (OSError, RuntimeError, ValueError) as error:  # a TimeoutError is an OSError
            raise web.HTTPServiceUnavailable(text=f"no picture: {error}\n") from error
        return web.Response(body=picture, content_type="image/jpeg")

    async def _sound_socket(self, request: web.Request) -> web.WebSocketResponse:
        audio = self._audio
        if audio is None:
            raise web.HTTPNotFound(text="this bench has no sound\n")
        socket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=MAX_SOUND_BYTES)
        await socket.prepare(request)
        frames: asyncio.Queue[bytes] = asyncio.Queue(SOUND_QUEUE_FRAMES)
        async with (
            self._while_open(socket, self._listen(audio, frames)),
            self._while_open(socket, _play(socket, frames)),
        ):
            async for message in socket:
                if message.type == WSMsgType.BINARY and len(message.data) % 2 == 0:
                    audio.write_caller_pcm(message.data)
        return socket

    async def _listen(self, audio: StreetSound, frames: asyncio.Queue[bytes]) -> None:
        """Follow the horn for ever, also when its card has gone and come back."""
        while True:
            horn = audio.horn_pcm()
            async with contextlib.aclosing(horn):  # type: ignore[type-var]
                async for frame in horn:
                    if frames.full():
                        frames.get_nowait()
                        self.dropped_frames += 1
                    frames.put_nowait(frame)
            await asyncio.sleep(1.0)

    @contextlib.asynccontextmanager
    async def _while_open(self, socket: web.WebSocketResponse, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Run `work` beside the reading of a socket, end it with it, and know the socket for `stop`."""
        self._sockets.add(socket)
        task = asyncio.create_task(work)
        try:
            yield
        finally:
            self._sockets.discard(socket)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, RuntimeError):
                await task


async def _play(socket: web.WebSocketResponse, frames: asyncio.Queue[bytes]) -> None:
    while True:
        await socket.send_bytes(await frames.get())


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGES / "index.html")
