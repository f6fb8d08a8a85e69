"""The duplex relay: introduces a unit to operator consoles and passes their messages (docs/design/seams.md).

Units come by TLS WebSocket with a certificate whose common name is the unit's; consoles come by plain WebSocket on
loopback and get their peer id here. Beyond the seam, consoles (only they) are told `{"type":"unit_here",...hello}`
and `{"type":"unit_gone"}`; a fourth console gets `{"type":"refused","reason"}`. Both sides are told the `ice_servers`
of the relay's configuration as soon as they are there. A `hello` with `watch` rings nobody: consoles that want the
picture ask for the line by themselves.

Nobody waits for anybody: each connection has an `Outlet`, whose bound is the bound of what this relay can hold.

With a `Link`, the media of each peer takes one pair of UDP sockets through the emulated link: every candidate of
either side is replaced by the pair's own address at that side's end.
"""

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from hw_sim.control_room import ice
from hw_sim.control_room.outlet import Outlet
from hw_sim.control_room.tls import common_name

MAX_MESSAGE_BYTES = 64 * 1024
MAX_PEERS = 3
PING_EVERY_S = 3.0
SILENT_AFTER_S = 10.0
STANDBY_SILENT_AFTER_S = 400.0
"""A unit at rest keeps its link open and pings every few minutes."""
MAX_TEXT = 1000
TO_CONSOLE = ("offer", "ice", "link", "still", "text")
TO_UNIT = ("answer", "ice", "restart", "view", "text")
TOLD_OF_HELLO = ("unit", "incident_id", "kind", "cameras", "watch", "quick_answers")


PEER_NAME = re.compile(r"peer-[0-9]{1,12}")


class UdpPair(Protocol):
    """Two UDP sockets at `host`, joined by the emulated link. A side sends to its port and hears from it."""

    @property
    def host(self) -> str: ...
    @property
    def unit_port(self) -> int: ...
    @property
    def peer_port(self) -> int: ...
    def close(self) -> None: ...


class Link(Protocol):
    async def udp_pair(self) -> UdpPair: ...


@dataclass
class Peer:
    """One operator console on one unit's line."""

    name: str
    socket: web.WebSocketResponse
    outlet: Outlet
    pair: UdpPair | None = None
    told_candidate: bool = False


@dataclass
class Line:
    """One unit: its connection while there is one, and the consoles that want it."""

    unit: str
    socket: web.WebSocketResponse | None = None
    outlet: Outlet | None = None
    hello: dict[str, Any] = field(default_factory=dict)
    peers: dict[str, Peer] = field(default_factory=dict)


class Relay:
    """See the module. `ignored` counts messages of unknown type or form; `ice_servers` are RTCIceServer objects."""

    def __init__(self, link: Link | None = None, ice_servers: Sequence[dict[str, Any]] = ()) -> None:
        self._link = link
        self.ice_servers = tuple(ice_servers)
        self._lines: dict[str, Line] = {}
        # A relay that was started again gives nobody the id that another had: the unit would take one for the other.
        self._next_peer = secrets.randbelow(10**9)
        self.ignored = 0
        self.on_change: Callable[[], None] = lambda: None

    def unit_is_here(self, unit: str) -> bool:
        line = self._lines.get(unit)
        return line is not None and line.socket is not None and bool(line.hello)

    async def stop(self) -> None:
        for line in self._lines.values():
            for socket in [line.socket, *(peer.socket for peer in line.peers.values())]:
                if socket is not None:
                    await socket.close(message=b"the control room stops")

    # --- a unit -----------------------------------------------------------------------------------------------------

    async def handle_unit(self, request: web.Request) -> web.WebSocketResponse:
        """GET /duplex/<unit> on the TLS listener."""
        unit = request.match_info["unit"]
        transport = request.transport
        certified = common_name(transport.get_extra_info("peercert")) if transport is not None else None
        if certified != unit:
            raise web.HTTPForbidden(text=f"the certificate is for {certified!r}, not for {unit!r}\n")
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES)
        await socket.prepare(request)
        line = self._line(unit)
        if line.socket is not None:  # the newest connection is the true one: the older is half-open
            await self._unit_gone(line, line.socket)
        outlet = Outlet(socket)
        line.socket, line.outlet, line.hello = socket, outlet, {}
        try:
            await self._serve_unit(line, socket, outlet)
        finally:
            await self._unit_gone(line, socket)
            await outlet.close()
        return socket

    async def _serve_unit(self, line: Line, socket: web.WebSocketResponse, outlet: Outlet) -> None:
        pings = asyncio.create_task(_ping(outlet, lambda: bool(line.hello)))
        at_rest = False
        try:
            while True:
                async with asyncio.timeout(STANDBY_SILENT_AFTER_S if at_rest else SILENT_AFTER_S):
                    message = await self._receive(socket)
                if message is None or message["type"] == "bye":
                    return
                at_rest = (at_rest or message["type"] == "standby") and message["type"] != "hello"
                await self._from_unit(line, outlet, message)
        except TimeoutError:
            return
        finally:
            pings.cancel()

    async def _from_unit(self, line: Line, outlet: Outlet, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "ping":
            outlet.put({"type": "pong", "n": message.get("n", 0)})
        elif kind == "hello":
            line.hello = {key: message[key] for key in TOLD_OF_HELLO if key in message}
            self.on_change()
            self._tell_ice_servers(outlet)
            for peer in list(line.peers.values()):
                _introduce(line, outlet, peer)
        elif kind in TO_CONSOLE:
            peer_or_none = line.peers.get(str(message.get("peer")))
            if peer_or_none is not None:
                await self._pass(message, peer_or_none, peer_or_none.outlet, from_unit=True)
        elif kind not in ("pong", "standby"):
            self.ignored += 1

    async def _unit_gone(self, line: Line, socket: web.WebSocketResponse) -> None:
        if line.socket is socket:
            line.socket = line.outlet = None
            self.on_change()
            for peer in list(line.peers.values()):
                _drop_pair(peer)
                peer.outlet.put({"type": "unit_gone"})
        if not socket.closed:
            await socket.close()

    # --- a console --------------------------------------------------------------------------------------------------

    async def handle_peer(self, request: web.Request) -> web.WebSocketResponse:
        """GET /duplex/<unit> on the console listener (loopback only).

        A console whose session goes on while its link or the relay was away asks for its id again (`?peer=`).
        """
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, heartbeat=5.0)
        await socket.prepare(request)
        line = self._line(request.match_info["unit"])
        if len(line.peers) >= MAX_PEERS:
            with contextlib.suppress(OSError, RuntimeError):
                await socket.send_json({"type": "refused", "reason": f"{MAX_PEERS} consoles watch this unit already"})
            await socket.close()
            return socket
        name = request.query.get("peer", "")
        if not PEER_NAME.fullmatch(name) or name in line.peers:
            self._next_peer += 1
            name = f"peer-{self._next_peer}"
        peer = line.peers[name] = Peer(name, socket, Outlet(socket))
        try:
            self._tell_ice_servers(peer.outlet)
            if line.outlet is not None and line.hello:
                _introduce(line, line.outlet, peer)
            await self._serve_peer(line, peer)
        finally:
            del line.peers[peer.name]
            _drop_pair(peer)
            if line.outlet is not None:
                line.outlet.put({"type": "peer_left", "peer": peer.name})
            await peer.outlet.close()
        return socket

    async def _serve_peer(self, line: Line, peer: Peer) -> None:
        while (message := await self._receive(peer.socket)) is not None:
            kind = message["type"]
            if kind == "ping":
                peer.outlet.put({"type": "pong", "n": message.get("n", 0)})
            elif kind == "text" and not _is_text(message):
                self.ignored += 1
            elif kind in TO_UNIT and line.outlet is not None:
                await self._pass(message, peer, line.outlet, from_unit=False)
            elif kind != "pong":
                self.ignored += 1

    # --- both -------------------------------------------------------------------------------------------------------

    def _tell_ice_servers(self, outlet: Outlet) -> None:
        if self.ice_servers:
            outlet.put({"type": "ice_servers", "servers": list(self.ice_servers)})

    async def _pass(self, message: dict[str, Any], peer: Peer, to: Outlet, *, from_unit: bool) -> None:
        """Hand a message on, its candidates replaced when there is a link."""
        message = {**message, "peer": peer.name}
        kind = message["type"]
        if self._link is not None and kind in ("offer", "answer"):
            if kind == "offer":
                _drop_pair(peer)
                peer.pair = await self._link.udp_pair()
            if peer.pair is not None:
                port = peer.pair.peer_port if from_unit else peer.pair.unit_port
                message["sdp"] = ice.rewrite_sdp(str(message.get("sdp", "")), port, peer.pair.host)
        elif self._link is not None and kind == "ice" and message.get("candidate"):
            return  # the one candidate stands in the SDP; the end of candidates passes
        to.put(message)

    async def _receive(self, socket: web.WebSocketResponse) -> dict[str, Any] | None:
        """The next well-formed message, or None at the end."""
        while True:
            got = await socket.receive()
            if got.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return None
            try:
                message = json.loads(got.data) if got.type == WSMsgType.TEXT else None
            except ValueError:
                message = None
            if isinstance(message, dict) and isinstance(message.get("type"), str):
                return message
            self.ignored += 1

    def _line(self, unit: str) -> Line:
        return self._lines.setdefault(unit, Line(unit))


def _introduce(line: Line, unit: Outlet, peer: Peer) -> None:
    """Tell a console of its unit, and the unit of the console: it offers a session."""
    peer.outlet.put({"type": "unit_here", **line.hello})
    unit.put({"type": "peer_joined", "peer": peer.name})


def _is_text(message: dict[str, Any]) -> bool:
    text, by = message.get("t140"), message.get("by", "")
    return isinstance(text, str) and len(text) <= MAX_TEXT and isinstance(by, str) and len(by) <= 64


async def _ping(outlet: Outlet, in_call: Callable[[], bool]) -> None:
    count = 0
    while True:
        await asyncio.sleep(PING_EVERY_S)
        if not in_call():
            continue
        count += 1
        outlet.put({"type": "ping", "n": count})


def _drop_pair(peer: Peer) -> None:
    if peer.pair is not None:
        peer.pair.close()
        peer.pair = None
