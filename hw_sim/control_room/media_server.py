"""A stand-in media server: WHIP in (RFC 9725), WHEP out for the operator's voice, one operator who sees and hears.

aiortc does the media: an implementation that is not the daemon's. A unit is known by its bearer token.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from hw_sim.operator.peer import OperatorPeer
from hw_sim.operator.voice import VoiceTrack

MOST_SDP_BYTES = 64 * 1024
MOST_RESOURCES = 16


@dataclass
class Resource:
    """One session of a unit: `whip` sends to us, `whep` hears the operator."""

    kind: str
    unit: str
    peer: RTCPeerConnection
    etag: str = field(default_factory=lambda: f'"{secrets.token_hex(4)}"')


class MediaServer:
    """`app` serves `/whip/<unit>`, `/whep/<unit>` and the resources made there. All on the loop of the caller.

    `ice_servers` go out as `Link` headers. Figures: `requests` (method, path) in order, `operators` by unit.
    """

    def __init__(self, token: str = "", ice_servers: Sequence[dict[str, Any]] = ()) -> None:
        self._token = token
        self._links = [link for server in ice_servers for link in _links(server)]
        self.resources: dict[str, Resource] = {}
        self.operators: dict[str, OperatorPeer] = {}
        self.requests: list[tuple[str, str]] = []
        self.voice_hz: float | None = None
        self.refuse_with: tuple[int, dict[str, str]] | None = None
        self._voices: set[VoiceTrack] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MOST_SDP_BYTES)
        for kind in ("whip", "whep"):
            app.router.add_route("OPTIONS", f"/{kind}/{{unit}}", self._options)
            app.router.add_post(f"/{kind}/{{unit}}", self._post)
        app.router.add_patch("/resource/{id}", self._patch)
        app.router.add_delete("/resource/{id}", self._delete)
        return app

    def operator(self, unit: str) -> OperatorPeer:
        """Who sees and hears this unit."""
        return self.operators.setdefault(unit, OperatorPeer(""))

    def speak(self, freq_hz: float | None) -> None:
        """The operator speaks a tone to every unit that listens, or (None) is silent."""
        self.voice_hz = freq_hz
        for voice in self._voices:
            voice.speak(freq_hz)

    async def stop(self) -> None:
        for name in list(self.resources):
            await self._end(name)
        for operator in self.operators.values():
            await operator.close()

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _options(self, request: web.Request) -> web.Response:
        self.requests.append(("OPTIONS", request.path))
        return self._reply(204, {"Accept-Post": "application/sdp"}, with_links=True)

    async def _post(self, request: web.Request) -> web.Response:
        self.requests.append(("POST", request.path))
        self._authorised(request)
        if self.refuse_with is not None:
            status, headers = self.refuse_with
            return web.Response(status=status, headers=headers)
        if request.content_type != "application/sdp":
            return web.Response(status=415)
        if len(self.resources) >= MOST_RESOURCES:
            return web.Response(status=503, headers={"Retry-After": "1"})
        kind, unit, offer = request.path.split("/")[1], request.match_info["unit"], await request.text()
        try:
            resource = await (self._take if kind == "whip" else self._speak)(unit, offer)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        name = secrets.token_hex(8)
        self.resources[name] = resource
        headers = {"Location": f"/resource/{name}", "ETag": resource.etag, "Content-Type": "application/sdp"}
        return self._reply(201, headers, body=str(resource.peer.localDescription.sdp), with_links=True)

    async def _patch(self, request: web.Request) -> web.Response:
        self.requests.append(("PATCH", request.path))
        self._authorised(request)
        resource = self._resource(request)
        if request.content_type != "application/trickle-ice-sdpfrag":
            return web.Response(status=415)
        if request.headers.get("If-Match", resource.etag) not in (resource.etag, "*"):
            return web.Response(status=412)
        for line in (await request.text()).splitlines():
            if line.startswith("a=candidate:"):
                candidate = candidate_from_sdp(line.removeprefix("a=candidate:"))
                candidate.sdpMLineIndex = 0
                with contextlib.suppress(ValueError):
                    await resource.peer.addIceCandidate(candidate)
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        self.requests.append(("DELETE", request.path))
        self._authorised(request)
        self._resource(request)
        await self._end(request.match_info["id"])
        return web.Response(status=200)

    def _authorised(self, request: web.Request) -> None:
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            raise web.HTTPUnauthorized

    def _resource(self, request: web.Request) -> Resource:
        resource = self.resources.get(request.match_info["id"])
        if resource is None:
            raise web.HTTPNotFound
        return resource

    def _reply(self, status: int, headers: dict[str, str], body: str = "", with_links: bool = False) -> web.Response:
        response = web.Response(status=status, headers=headers, body=body.encode())
        for link in self._links if with_links else ():
            response.headers.add("Link", link)
        return response

    # --- media ------------------------------------------------------------------------------------------------------

    async def _take(self, unit: str, offer: str) -> Resource:
        operator = self.operator(unit)
        await operator.answer(offer)
        if operator.session is None:
            raise ValueError("no session")
        return Resource("whip", unit, operator.session)

    async def _speak(self, unit: str, offer: str) -> Resource:
        peer = RTCPeerConnection()
        voice = VoiceTrack()
        voice.speak(self.voice_hz)
        self._voices.add(voice)
        peer.addTrack(voice)
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return Resource("whep", unit, peer)

    async def _end(self, name: str) -> None:
        resource = self.resources.pop(name, None)
        if resource is None:
            return
        operator = self.operators.get(resource.unit)
        if operator is not None and resource.peer is operator.session:
            await operator.hang_up()
        else:
            await resource.peer.close()


async def serve(server: MediaServer, host: str, port: int, tls: Any) -> web.AppRunner:
    """Start `server` on an address; the caller cleans the runner up."""
    runner = web.AppRunner(server.app(), shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    await asyncio.sleep(0)
    return runner


def _links(server: dict[str, Any]) -> list[str]:
    """RFC 9725, 4.6."""
    urls = server["urls"] if isinstance(server["urls"], list | tuple) else [server["urls"]]
    user = ""
    if server.get("username"):
        user = f'; username="{server["username"]}"; credential="{server["credential"]}"; credential-type="password"'
    return [f'<{url}>; rel="ice-server"{user}' for url in urls]
