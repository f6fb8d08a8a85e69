"""Janus (Debian) behind a small WHIP front: a media server that we did not write.

The front speaks Janus' own HTTP API: a session, a handle on the videoroom plugin, "joinandconfigure" with the offer,
and the answer from the event that follows. What the room gets of a publisher is forwarded as plain RTP to sockets
here, so that a test sees the media that Janus has decrypted.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.contract.turn_server import own_address
from tests.system.call_rig import free_port

ROOM = 1234
READY_S = 15.0
PLUGIN = "janus.plugin.videoroom"


class Heard(asyncio.DatagramProtocol):
    """Plain RTP packets of one medium."""

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0
        self.payload_types: set[int] = set()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) > 12:
            self.packets += 1
            self.bytes += len(data)
            self.payload_types.add(data[1] & 0x7F)


@dataclass
class Front:
    """WHIP in front of one Janus. `picture` and `voice` count what came out of it."""

    api: str
    http: aiohttp.ClientSession
    picture: Heard = field(default_factory=Heard)
    voice: Heard = field(default_factory=Heard)
    ports: dict[str, int] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    patches: int = 0
    resources: dict[str, tuple[int, int]] = field(default_factory=dict)
    polls: list[asyncio.Task[None]] = field(default_factory=list)
    _answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/whip/{unit}", self._post)
        app.router.add_patch("/resource/{id}", self._patch)
        app.router.add_delete("/resource/{id}", self._delete)
        return app

    async def janus(self, path: str, **body: Any) -> dict[str, Any]:
        message = {"transaction": secrets.token_hex(6), **body}
        async with self.http.post(f"{self.api}{path}", json=message) as reply:
            answer: dict[str, Any] = await reply.json()
        if answer.get("janus") not in ("success", "ack"):
            raise RuntimeError(f"Janus: {answer}")
        return answer

    async def _post(self, request: web.Request) -> web.Response:
        offer = await request.text()
        session = (await self.janus("", janus="create"))["data"]["id"]
        handle = (await self.janus(f"/{session}", janus="attach", plugin=PLUGIN))["data"]["id"]
        self.polls.append(asyncio.create_task(self._poll(session)))
        self._answers[handle] = asyncio.get_running_loop().create_future()
        await self.janus(
            f"/{session}/{handle}",
            janus="message",
            body={"request": "joinandconfigure", "room": ROOM, "ptype": "publisher", "display": "pole"},
            jsep={"type": "offer", "sdp": offer},
        )
        event = await self._answers[handle]
        if "jsep" not in event:
            return web.Response(status=400, text=str(event))
        await self._forward(session, event["plugindata"]["data"]["id"])
        name = secrets.token_hex(6)
        self.resources[name] = (session, handle)
        self.answers.append(event["jsep"]["sdp"])
        headers = {"Location": f"/resource/{name}", "ETag": f'"{name}"', "Content-Type": "application/sdp"}
        return web.Response(status=201, headers=headers, body=event["jsep"]["sdp"].encode())

    async def _forward(self, session: int, publisher: int) -> None:
        handle = (await self.janus(f"/{session}", janus="attach", plugin=PLUGIN))["data"]["id"]
        body = {"request": "rtp_forward", "room": ROOM, "publisher_id": publisher, "host": "127.0.0.1"}
        streams = [{"mid": mid, "host": "127.0.0.1", "port": port} for mid, port in self.ports.items()]
        await self.janus(f"/{session}/{handle}", janus="message", body={**body, "streams": streams})

    async def _poll(self, session: int) -> None:
        while True:
            async with self.http.get(f"{self.api}/{session}", params={"maxev": "5"}) as reply:
                events = await reply.json()
            for event in events if isinstance(events, list) else [events]:
                waiting = self._answers.get(event.get("sender", 0))
                if event.get("janus") == "event" and waiting is not None and not waiting.done():
                    waiting.set_result(event)

    async def _patch(self, request: web.Request) -> web.Response:
        session, handle = self.resources[request.match_info["id"]]
        self.patches += 1
        for line in (await request.text()).splitlines():
            if line.startswith("a=candidate:"):
                candidate = {"candidate": line[2:], "sdpMLineIndex": 0}
                await self.janus(f"/{session}/{handle}", janus="trickle", candidate=candidate)
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        session, _ = self.resources.pop(request.match_info["id"])
        await self.janus(f"/{session}", janus="destroy")
        return web.Response(status=200)


@contextlib.asynccontextmanager
async def janus(directory: Path) -> AsyncIterator[Front]:
    """A Janus with one room, on free ports, as long as this is open; its front has yet to be served."""
    port = free_port()
    configs = directory / "janus"
    configs.mkdir()
    (configs / "janus.jcfg").write_text(
        _JANUS
        % {
            "own": own_address(),
            "lib": _library_folder(),
            "plugins": _libraries(_OTHER_PLUGINS),
            "transports": _libraries(_OTHER_TRANSPORTS),
        }
    )
    (configs / "janus.transport.http.jcfg").write_text(
        f'general: {{ json = "plain" http = true port = {port} ip = "127.0.0.1" base_path = "/janus" }}\n'
    )
    (configs / "janus.plugin.videoroom.jcfg").write_text(_ROOM)
    log_file = configs / "log"
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "janus", "-F", str(configs), "-o", "-i", own_address(),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    front = None
    transports = []
    loop = asyncio.get_running_loop()
    try:
        async with aiohttp.ClientSession() as http:
            front = Front(f"http://127.0.0.1:{port}/janus", http)
            for mid, heard in (("video0", front.picture), ("audio1", front.voice)):
                transport, _ = await loop.create_datagram_endpoint(lambda h=heard: h, local_addr=("127.0.0.1", 0))
                transports.append(transport)
                front.ports[mid] = transport.get_extra_info("sockname")[1]
            await _ready(http, f"http://127.0.0.1:{port}/janus/info", log_file)
            yield front
            for task in front.polls:
                task.cancel()
            await asyncio.gather(*front.polls, return_exceptions=True)
    finally:
        for transport in transports:
            transport.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(http: aiohttp.ClientSession, url: str, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_S):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(url) as reply:
                        if reply.status == 200:
                            return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(log.read_text()[-3000:]) from None  # noqa: ASYNC240 - it is over


_OTHER_PLUGINS = (
    "audiobridge duktape echotest lua nosip recordplay sip streaming textroom videocall voicemail".split()  # noqa: SIM905
)
_OTHER_TRANSPORTS = ("mqtt", "nanomsg", "pfunix", "rabbitmq", "websockets")
_JANUS = """
general: { plugins_folder = "%(lib)s/plugins" transports_folder = "%(lib)s/transports"
  events_folder = "%(lib)s/events" loggers_folder = "%(lib)s/loggers" debug_level = 4 }
media: { ipv6 = false }
nat: { ice_enforce_list = "%(own)s" }
plugins: { disable = "%(plugins)s" }
transports: { disable = "%(transports)s" }
"""

_ROOM = """
room-1234: { description = "poles" publishers = 6 bitrate = 0 audiocodec = "opus" videocodec = "h264" fir_freq = 0 }
"""


def _library_folder() -> str:
    """Debian's folder, whatever the processor."""
    return str(next(Path("/usr/lib").glob("*/janus")))


def _libraries(names: Iterable[str]) -> str:
    return ",".join(f"libjanus_{name}.so" for name in names)
