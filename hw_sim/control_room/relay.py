"""The duplex relay: introduces a unit to operator consoles and passes their messages (docs/design/seams.md).

Units come by TLS WebSocket with a certificate whose common name is the unit's; consoles come by plain WebSocket on
loopback and get their peer id here. Beyond the seam, consoles (only they) are told `{"type":"unit_here",...hello}`
and `{"type":"unit_gone"}`; a fourth console gets `{"type":"refused","reason"}`.

With a `Link`, the media of each peer takes one pair of UDP sockets through the emulated link: every candidate of
either side is replaced by the pair's own address at that side's end.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from hw_sim.control_room import ice
from hw_sim.control_room.tls import common_name

MAX_MESSAGE_BYTES = 64 * 1024
MAX_PEERS = 3
PING_EVERY_S = 3.0
SILENT_AFTER_S = 10.0
SEND_TIMEOUT_S = 5.0


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
    pair: UdpPair | None = None
    told_candidate: bool = False


@dataclass
class Line:
    """One unit: its connection while there is one, and the consoles that want it."""

    unit: str
    socket: web.WebSocketResponse | None = None
    hello: dict[str, Any] = field(default_factory=dict)
    peers: dict[str, Peer] = field(default_factory=dict)


class Relay:
    """See the module. `ignored` counts messages of unknown type or form."""

    def __init__(self, link: Link | None = None) -> None:
        self._link = link
        self._lines: dict[str, Line] = {}
        self._next_peer = 0
        self.ignored = 0
        self.on_change: Callable[[], None] = lambda: None

    def unit_is_here(self, unit: str) -> bool:
        line = self._lines.get(unit)
        return line is not None and line.socket is not None

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
        line.socket, line.hello = socket, {}
        try:
            await self._serve_unit(line, socket)
        finally:
            await self._unit_gone(line, socket)
        return socket

    async def _serve_unit(self, line: Line, socket: web.WebSocketResponse) -> None:
        pings = asyncio.create_task(_ping(socket))
        try:
            while True:
                async with asyncio.timeout(SILENT_AFTER_S):
                    message = await self._receive(socket)
                if message is None or message["type"] == "bye":
                    return
                await self._from_unit(line, socket, message)
        except TimeoutError:
            return
        finally:
            pings.cancel()

    async def _from_unit(self, line: Line, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "ping":
            await _send(socket, {"type": "pong", "n": message.get("n", 0)})
        elif kind == "hello":
            line.hello = {key: message.get(key) for key in ("unit", "incident_id", "kind", "cameras")}
            self.on_change()
            for peer in list(line.peers.values()):
                await _send(peer.socket, {"type": "unit_here", **line.hello})
                await _send(socket, {"type": "peer_joined", "peer": peer.name})
        elif kind in ("offer", "ice"):
            peer_or_none = line.peers.get(str(message.get("peer")))
            if peer_or_none is not None:
                await self._pass(message, peer_or_none, peer_or_none.socket, from_unit=True)
        elif kind != "pong":
            self.ignored += 1

    async def _unit_gone(self, line: Line, socket: web.WebSocketResponse) -> None:
        if line.socket is socket:
            line.socket = None
            self.on_change()
            for peer in list(line.peers.values()):
                _drop_pair(peer)
                await _send(peer.socket, {"type": "unit_gone"})
        if not socket.closed:
            await socket.close()

    # --- a console --------------------------------------------------------------------------------------------------

    async def handle_peer(self, request: web.Request) -> web.WebSocketResponse:
        """GET /duplex/<unit> on the console listener (loopback only)."""
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, heartbeat=5.0)
        await socket.prepare(request)
        line = self._line(request.match_info["unit"])
        if len(line.peers) >= MAX_PEERS:
            await _send(socket, {"type": "refused", "reason": f"{MAX_PEERS} consoles watch this unit already"})
            await socket.close()
            return socket
        self._next_peer += 1
        peer = line.peers[f"peer-{self._next_peer}"] = Peer(f"peer-{self._next_peer}", socket)
        try:
            if line.socket is not None and line.hello:
                await _send(socket, {"type": "unit_here", **line.hello})
                await _send(line.socket, {"type": "peer_joined", "peer": peer.name})
            await self._serve_peer(line, peer)
        finally:
            del line.peers[peer.name]
            _drop_pair(peer)
            if line.socket is not None:
                await _send(line.socket, {"type": "peer_left", "peer": peer.name})
        return socket

    async def _serve_peer(self, line: Line, peer: Peer) -> None:
        while (message := await self._receive(peer.socket)) is not None:
            kind = message["type"]
            if kind == "ping":
                await _send(peer.socket, {"type": "pong", "n": message.get("n", 0)})
            elif kind in ("answer", "ice", "restart") and line.socket is not None:
                await self._pass(message, peer, line.socket, from_unit=False)
            elif kind != "pong":
                self.ignored += 1

    # --- both -------------------------------------------------------------------------------------------------------

    async def _pass(self, message: dict[str, Any], peer: Peer, to: web.WebSocketResponse, *, from_unit: bool) -> None:
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
        await _send(to, message)

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


async def _send(socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
    """Send, or give the connection up: a stalled reader must not hold the others."""
    await _unless_stalled(socket, socket.send_str(json.dumps(message)))


async def _unless_stalled(socket: web.WebSocketResponse, sending: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await sending
    except (TimeoutError, OSError, RuntimeError):
        transport = socket._req.transport if socket._req is not None else None  # no public way to abort
        if transport is not None:
            transport.abort()


async def _ping(socket: web.WebSocketResponse) -> None:
    count = 0
    while not socket.closed:
        await asyncio.sleep(PING_EVERY_S)
        count += 1
        await _send(socket, {"type": "ping", "n": count})


def _drop_pair(peer: Peer) -> None:
    if peer.pair is not None:
        peer.pair.close()
        peer.pair = None
