"""The stand-in control room: hub, duplex relay, clip shelf and the operator's console, on loopback only.

**The console's WebSocket, `/api/ws`** (the console page and the scenarios' operator, a program, speak the same):

Server to client, after connecting and after every change (levels, never deltas; at most every 50 ms):

    {"type": "state", "now_utc_us": N, "broker": true,
     "units": [{"unit", "online", "armed", "session", "clock", "line": true when its call is connected to the relay,
                "silent_s": seconds since it was last heard, "site", "faults": [{"code","subject","text"}], "facts",
                "presets": [1, ...], "warnings": ["name", ...], "isolation": null or {"by", "reason", "ends_in_s"},
                "control_rooms": ["name", ...], "languages": ["en", ...],
                "watch": null or {"by", "reason", "announce", "ends_in_s"}}],
     "incidents": [{"incident_id", "unit", "kind", "stage", "open", "code", "clock", "presses", "site",
                    "origin", "isolated", "asked", "recent_incidents", "recent_hoaxes", "closes_in_s",
                    "pressed_utc_us", "received_utc_us", "waiting_s", "accepted_by", "answered_by", "closed_by",
                    "closed_utc_us", "duration_s", "outcome", "note", "sound", "handed_to", "handed_by",
                    "accept_s", "answer_s": from the press, null while it is not; "time_warning": null or {"utc_us",
                    "seconds", "closes_in_s"} since the unit's `call_time_warning`, until somebody extends,
                    "stills": [{"camera", "url", "utc_us", "clock", "received_utc_us", "width", "height"}],
                    "clip": {"state": "none|ordered|arriving|ready", "url", "size_bytes", "sha256", "orders",
                             "error"}}],
     "operators": who has a console open, [{"name", "unit" whose call it shows or ""}],
     "events": the last 50, [{"unit", "name", "incident_id", "utc_us", "data"}]}

Incidents are the newest 200, oldest first. `waiting_s` runs from the press until the answer (or the close).

Client to server, each with an `id` of the client's choice that the reply repeats:

    {"type": "command", "id": 7, "unit": "pole-0001", "by": "Ana", "cmd": "accept", "incident_id": "..."}

`cmd` and its fields are those of `unitd.messages.control_room`: accept, answer, close (outcome, note), extend (for_s),
dome_move (pan, tilt, zoom in -1..1, duration_ms), dome_stop, dome_preset (preset), play_warning (name), upload (the URL
and token are filled in here), dial_back, hand_over (room, note), set_sound (mute_microphone, mute_horn, quiet),
send_text (text), speak (text, language), watch and announce (for_s, reason), end_watch, snapshot; and the maintainer's:
raise_test, isolate (for_s, reason), end_isolation. `session`, `seq` and the time limit are the hub's business.

    {"type": "reply", "id": 7, "cmd": "accept", "result": "done|refused|no_answer|invalid", "reason": "...", "seq": 3}

A client that wants to be known to the others says who it is, again at each change:

    {"type": "here", "name": "Ana", "unit": "pole-0001"}

**Beside it**: `/duplex/<unit>` (relay.py; plain here for consoles, TLS with a certificate for units),
`/clips/<incident>.mp4` (GET here with ranges, `?download`), `PUT /clips/<incident>` on the TLS listener (upload.py).

Requests whose Host is not this loopback address, or that come from another page's origin, are refused: a web page
open in the same browser must not be able to answer calls.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from hw_sim.control_room.book import Incident, now_utc_us
from hw_sim.control_room.hub import Hub, Unit, closes_in_s
from hw_sim.control_room.mqtt import BrokerTransport, Transport
from hw_sim.control_room.relay import Link, Relay
from hw_sim.control_room.tls import server_context
from hw_sim.control_room.upload import Shelf
from hw_sim.control_room.web_guard import guard
from hw_sim.pki import Pki

PAGES = Path(__file__).parent / "console"
STATE_EVERY_S = 0.05
REFRESH_S = 5.0
MAX_COMMANDS_AT_ONCE = 16
MAX_NAME = 64


class ControlRoom:
    """One control room. `start` returns when it listens; the broker may come and go as it likes."""

    def __init__(
        self,
        directory: Path,
        pki: Pki,
        broker_port: int,
        link: Link | None = None,
        host: str = "127.0.0.1",
        console_port: int = 0,
        tls_port: int = 0,
        transport: Transport | None = None,
        ice_servers: Sequence[dict[str, Any]] = (),
    ) -> None:
        self._pki, self._host = pki, host
        self._ports = {"console": console_port, "tls": tls_port}
        self.hub = Hub(directory, transport or BrokerTransport(pki.control_room, broker_port, host))
        self.relay = Relay(link, ice_servers)
        self.shelf = Shelf(directory / "clips", self.hub)
        self._runners: list[web.AppRunner] = []
        self._consoles: set[asyncio.Event] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        self._here: dict[web.WebSocketResponse, dict[str, str]] = {}

    @property
    def console_url(self) -> str:
        return f"http://{self._host}:{self._ports['console']}/"

    @property
    def tls_port(self) -> int:
        return self._ports["tls"]

    async def start(self) -> None:
        """Raises OSError when a port is taken."""
        self.hub.on_change = self.relay.on_change = self._changed
        tls = web.Application()
        tls.router.add_get("/duplex/{unit}", self.relay.handle_unit)
        tls.router.add_put("/clips/{incident}", self.shelf.handle_put)
        await self._listen("tls", tls, server_context(self._pki.control_room))
        self.shelf.start(f"https://{self._host}:{self.tls_port}")
        console = web.Application(middlewares=[guard])
        console.router.add_get("/", _page)
        console.router.add_get("/api/ws", self._console)
        console.router.add_get("/duplex/{unit}", self.relay.handle_peer)
        console.router.add_get("/clips/{incident}.mp4", self.shelf.handle_get)
        console.router.add_get("/stills/{incident}/{sha256}.jpg", self.hub.stills.handle_get)
        console.router.add_static("/console/", PAGES)
        await self._listen("console", console, None)
        await self.hub.start()

    async def stop(self) -> None:
        await self.shelf.stop()
        await self.relay.stop()
        for socket in list(self._sockets):
            await socket.close(message=b"the control room stops")
        for runner in self._runners:
            await runner.cleanup()
        await self.hub.stop()

    async def _listen(self, name: str, app: web.Application, context: Any) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, self._host, self._ports[name], ssl_context=context).start()
        self._ports[name] = runner.addresses[0][1]

    # --- consoles ---------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.shelf.look()
        for wake in self._consoles:
            wake.set()

    async def _console(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=64 * 1024)
        await socket.prepare(request)
        wake = asyncio.Event()
        self._consoles.add(wake)
        self._sockets.add(socket)
        pusher = asyncio.create_task(self._push(socket, wake))
        commands: set[asyncio.Task[None]] = set()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._order(socket, message.data, commands)
        finally:
            self._consoles.discard(wake)
            self._sockets.discard(socket)
            if self._here.pop(socket, None) is not None:
                self._changed()
            for task in [pusher, *commands]:
                task.cancel()
        return socket

    async def _push(self, socket: web.WebSocketResponse, wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            await socket.send_str(json.dumps(self.state()))
            await asyncio.sleep(STATE_EVERY_S)
            try:
                async with asyncio.timeout(REFRESH_S):
                    await wake.wait()
            except TimeoutError:
                pass

    async def _order(self, socket: web.WebSocketResponse, text: str, running: set[asyncio.Task[None]]) -> None:
        try:
            order = json.loads(text)
            if isinstance(order, dict) and order.get("type") == "here":
                self._here[socket] = {key: str(order.get(key, ""))[:MAX_NAME] for key in ("name", "unit")}
                self._changed()
                return
            if not isinstance(order, dict) or order.get("type") != "command":
                raise ValueError("not a command")
        except ValueError as error:
            await socket.send_str(json.dumps({"type": "reply", "id": None, "result": "invalid", "reason": str(error)}))
            return
        if len(running) >= MAX_COMMANDS_AT_ONCE:
            reply = {"type": "reply", "id": order.get("id"), "cmd": order.get("cmd"), "seq": 0}
            await socket.send_str(json.dumps({**reply, "result": "invalid", "reason": "too many commands at once"}))
            return
        task = asyncio.create_task(self._obey(socket, order))
        running.add(task)
        task.add_done_callback(running.discard)

    async def _obey(self, socket: web.WebSocketResponse, order: dict[str, Any]) -> None:
        name, fields = str(order.get("cmd")), {k: v for k, v in order.items() if k not in _ENVELOPE}
        if name == "upload":
            incident = self.hub.incidents.get(str(fields.get("incident_id")))
            if incident is not None:
                fields |= self.shelf.ticket(incident)
        outcome = await self.hub.command(str(order.get("unit")), name, str(order.get("by") or "operator"), fields)
        reply = {"type": "reply", "id": order.get("id"), "cmd": name, **msgspec.to_builtins(outcome)}
        if not socket.closed:
            await socket.send_str(json.dumps(reply))

    def state(self) -> dict[str, Any]:
        """The whole picture, as the module describes it. Pure towards the outside."""
        incidents = sorted(self.hub.incidents.values(), key=lambda incident: incident.received_utc_us)[-200:]
        return {
            "type": "state",
            "now_utc_us": now_utc_us(),
            "broker": self.hub.connected,
            "units": [self._unit(unit) for _, unit in sorted(self.hub.units.items())],
            "incidents": [
                _incident(each, self._closes_in_s(each)) | {"stills": self._stills(each)} for each in incidents
            ],
            "operators": sorted(self._here.values(), key=lambda each: each["name"]),
            "events": [
                {
                    "unit": unit,
                    "name": event.name,
                    "incident_id": event.incident_id,
                    "utc_us": event.at.utc_us,
                    "data": event.data,
                }
                for unit, event in self.hub.events[-50:]
            ],
        }

    def _stills(self, incident: Incident) -> list[dict[str, Any]]:
        keep = ("camera", "utc_us", "clock", "received_utc_us", "width", "height")
        stills = [each for each in self.hub.stills.of(incident.incident_id) if each.unit == incident.unit]
        return [{key: getattr(each, key) for key in keep} | {"url": each.url} for each in stills]

    def _closes_in_s(self, incident: Incident) -> float | None:
        unit = self.hub.units.get(incident.unit)
        return closes_in_s(unit, incident.incident_id) if unit is not None and incident.is_open else None

    def _unit(self, unit: Unit) -> dict[str, Any]:
        state: dict[str, Any] = msgspec.to_builtins(unit.state)
        return {
            "unit": unit.name,
            **{key: state[key] for key in _SHOWN_OF_UNIT},
            "isolation": _isolation(unit),
            "watch": _watch(unit),
            "line": self.relay.unit_is_here(unit.name),
            "silent_s": round(time.monotonic() - unit.heard_mono_s, 1),
        }


_ENVELOPE = ("type", "id", "unit", "by", "cmd", "session", "seq", "not_after_uptime_ms")


_SHOWN_OF_UNIT = (
    *("online", "armed", "session", "clock", "site", "faults", "facts", "presets", "warnings"),
    *("control_rooms", "languages"),
)


def _isolation(unit: Unit) -> dict[str, Any] | None:
    isolation = unit.state.isolation
    if isolation is None:
        return None
    ends_in_s = max(0.0, (isolation.until_uptime_ms - unit.uptime_now_ms()) / 1000)
    return {"by": isolation.by, "reason": isolation.reason, "ends_in_s": round(ends_in_s)}


def _watch(unit: Unit) -> dict[str, Any] | None:
    watch = unit.state.watch
    if watch is None:
        return None
    ends_in_s = max(0.0, (watch.until_uptime_ms - unit.uptime_now_ms()) / 1000)
    return {key: getattr(watch, key) for key in ("by", "reason", "announce")} | {"ends_in_s": round(ends_in_s)}


def _incident(incident: Incident, closes_in_s: float | None) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(incident)
    for inner in ("listed", "over", "accepted_utc_us", "press_here_utc_us"):
        del shown[inner]
    now_us = now_utc_us()
    pressed_us = incident.press_here_utc_us or incident.received_utc_us
    until_us = incident.answered_utc_us or incident.closed_utc_us or now_us
    shown["accept_s"] = max(0, incident.accepted_utc_us - pressed_us) / 1e6 if incident.accepted_utc_us else None
    shown["answer_s"] = max(0, incident.answered_utc_us - pressed_us) / 1e6 if incident.answered_utc_us else None
    shown["open"] = incident.is_open
    shown["closes_in_s"] = closes_in_s
    shown["waiting_s"] = max(0.0, (until_us - pressed_us) / 1e6)
    shown["duration_s"] = max(0.0, ((incident.closed_utc_us or now_us) - pressed_us) / 1e6)
    clip = incident.clip
    shown["clip"] = {
        "state": clip.state,
        "url": f"/clips/{incident.incident_id}.mp4" if clip.state == "ready" else None,
        "size_bytes": clip.size_bytes,
        "sha256": clip.sha256,
        "orders": clip.orders,
        "error": clip.error,
    }
    return shown


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGES / "index.html")
