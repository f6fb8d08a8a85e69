"""WHIP (RFC 9725) against servers that answer oddly, slowly, endlessly or not at all: each costs seconds and kilobytes
at most, and is a reason that can be read."""

import asyncio
import contextlib
import itertools
import ssl
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from hw_sim.control_room.tls import client_context, server_context
from hw_sim.pki import Pki
from unitd.call.link.http import HttpClient, HttpError, HttpForbiddenError, address_of
from unitd.call.link.way import Target
from unitd.call.link.whip import KnownServers, WhipWay
from unitd.config import EndpointTable
from unitd.messages import duplex

OFFER = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:video0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789\r\n"
CANDIDATE = "candidate:1 1 UDP 2015363327 192.0.2.2 41914 typ host"
MADE = (
    "HTTP/1.1 201 Created\r\nLocation: /r/1\r\nETag: \"e\"\r\nContent-Type: application/sdp\r\n"
    "Link: <stun:stun.example>; rel=\"ice-server\"\r\nContent-Length: 3\r\n\r\nv=0"
)  # fmt: skip
NO_CONTENT = "HTTP/1.1 204 No Content\r\n\r\n"
MOST_BYTES = 8_000_000
ENDLESS = b"x" * 65536

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads requests and answers with what it is told; `requests` are the heads, `bodies` what came behind them."""

    def __init__(self, certificate: ssl.SSLContext, answers: dict[str, str | Answer]) -> None:
        self._tls = certificate
        self.answers = answers
        self.requests: list[str] = []
        self.bodies: list[str] = []
        self.port = 0

    async def __aenter__(self) -> "Server":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                size = next(
                    (int(line[16:]) for line in head.lower().split("\r\n") if line.startswith("content-length: ")), 0
                )
                self.requests.append(head)
                self.bodies.append((await reader.readexactly(size)).decode())
                answer = self.answers.get(head.split(" ", 1)[0], "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
                if isinstance(answer, str):
                    writer.write(answer.encode())
                    await writer.drain()
                else:
                    await answer(head, writer)

    def methods(self) -> list[str]:
        return [head.split(" ", 1)[0] for head in self.requests]


@contextlib.asynccontextmanager
async def serving(directory: Path, **answers: str | Answer) -> AsyncIterator[tuple[Server, HttpClient, str]]:
    pki = Pki(directory / "pki")
    async with Server(server_context(pki.control_room), dict(answers)) as server:
        context = client_context(pki.unit("pole-0001"))

        async def trust() -> ssl.SSLContext:
            return context

        client = HttpClient(frozenset({f"127.0.0.1:{server.port}"}), trust, limit_s=1.0)
        yield server, client, f"https://127.0.0.1:{server.port}/whip"
        client.close()


async def _endless_body(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\nLocation: /r\r\nContent-Length: 1000000000\r\n\r\n")
    for _count in range(16_000):
        writer.write(ENDLESS)
        await writer.drain()


async def _endless_chunks(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + ENDLESS + b"\r\n")
        await writer.drain()


async def _slow_body(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\nLocation: /r\r\nContent-Length: 1000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"v")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _many_links(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\nLocation: /r\r\n")
    for _count in range(1000):
        writer.write(b'Link: <stun:a>; rel="ice-server"\r\n' * 100)
        await writer.drain()
    writer.write(b"Content-Length: 0\r\n\r\n")


async def _silence(_: str, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _continues(_: str, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0)  # drain() does not yield while the buffer is empty: the loss would never be heard of


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_endless_body, "more than 65536 bytes"),
        (_endless_chunks, "more than 65536 bytes"),
        (_slow_body, "no answer within 1 s"),
        (_many_links, "127.0.0.1"),
        (_silence, "no answer within 1 s"),
        (_continues, "and no end"),
        ("HTTP/1.1 307 Over there\r\nLocation: /whip\r\nContent-Length: 0\r\n\r\n", "redirects"),
        ("HTTP/1.1 307 Over there\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n", "not allowed"),
        ("HTTP/1.1 308 Over there\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "not an https"),
        ("HTTP/1.1 307 Over there\r\nContent-Length: 0\r\n\r\n", "redirects"),
        ("HTTP/1.1 307 Over there\r\nLocation: https://[\r\nContent-Length: 0\r\n\r\n", "no URL"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "127.0.0.1"),
        ("HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n", "127.0.0.1"),
        ("HTTP/1.1 201 Created\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "127.0.0.1"),
    ],
)  # fmt: skip
def test_fail__a_server_that_does_not_answer_as_one(tmp_path: Path, answer: str | Answer, reason: str) -> None:
    async def play() -> None:
        async with serving(tmp_path, POST=answer) as (_, client, url):
            tracemalloc.start()
            began_s = time.monotonic()
            with pytest.raises(HttpError, match=reason):
                await client.request("POST", url, {}, b"v=0")
            assert time.monotonic() - began_s < 3.0
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
            tracemalloc.stop()

    asyncio.run(play())


def test_one_connection_serves_several_requests(tmp_path: Path) -> None:
    async def play() -> None:
        async with serving(tmp_path, POST=MADE, PATCH=NO_CONTENT) as (server, client, url):
            reply = await client.request("POST", url, {"authorization": "Bearer t"}, b"v=0")
            assert (reply.status, reply.body, reply.value("location")) == (201, b"v=0", "/r/1")
            kept = client._kept
            assert (await client.request("PATCH", url, {}, b"a")).status == 204
            assert client._kept is kept
            assert server.bodies == ["v=0", "a"]

    asyncio.run(play())


@pytest.mark.parametrize(
    "url",
    ["http://h/", "https://u:p@h/", "https:///x", "https://h:99999/", "https://other/", "https://h/ä", "https://h/a b"],
)  # fmt: skip
def test_fail__addresses_that_are_not_asked(url: str) -> None:
    with pytest.raises(HttpForbiddenError):
        address_of(url, frozenset({"h"}))


# --- a way -----------------------------------------------------------------------------------------------------------


class Owner:
    """Offers a session whenever a peer joins, and has media when it is answered, as the call does."""

    def __init__(self, connects: bool = True) -> None:
        self.told: list[duplex.ToUnit] = []
        self.up = asyncio.Event()
        self.answered = asyncio.Event()
        self._connects = connects

    def way_up(self, way: object) -> None:
        self.up.set()

    def way_message(self, way: WhipWay, message: duplex.ToUnit) -> None:  # type: ignore[override]
        self.told.append(message)
        match message:
            case duplex.PeerJoined(peer=peer) | duplex.Restart(peer=peer):
                way.send(duplex.Offer(peer=peer, sdp=OFFER))
                way.send(duplex.Ice(peer=peer, candidate=CANDIDATE))
            case duplex.Answer(peer=peer):
                self.answered.set()
                if self._connects:
                    way.media(peer, True)


@contextlib.asynccontextmanager
async def way(directory: Path, connects: bool = True, **answers: str | Answer) -> AsyncIterator[
    tuple[Server, Owner, WhipWay, "asyncio.Task[str]"]
]:  # fmt: skip
    pki = Pki(directory / "pki")
    token = directory / "token"
    token.write_text("secret\n")
    owner = Owner(connects)
    async with Server(server_context(pki.control_room), dict(answers)) as server:
        context = client_context(pki.unit("pole-0001"))

        async def trust() -> ssl.SSLContext:
            return context

        table = EndpointTable(
            name="studio", kind="whip_whep", url=f"https://127.0.0.1:{server.port}/whip", token_file=str(token)
        )
        hosts = frozenset({f"127.0.0.1:{server.port}"})
        made = WhipWay(Target(table), hosts, trust, KnownServers(), owner, structlog.get_logger())  # type: ignore[arg-type]
        task = asyncio.create_task(made.run())
        try:
            yield server, owner, made, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not condition():  # noqa: ASYNC110 - waits for what the server has been told
            await asyncio.sleep(0.01)


def test_a_session_is_posted_fed_and_deleted(tmp_path: Path) -> None:
    async def play() -> None:
        numbers = itertools.count(1)

        async def make(_: str, writer: asyncio.StreamWriter) -> None:
            writer.write(MADE.replace("/r/1", f"/r/{next(numbers)}").encode())

        async with way(tmp_path, OPTIONS=NO_CONTENT, POST=make, PATCH=NO_CONTENT, DELETE=NO_CONTENT) as parts:
            server, owner, made, task = parts
            async with asyncio.timeout(5):
                await owner.up.wait()
            assert f"a={CANDIDATE}" in server.bodies[1]
            made.send(duplex.Ice(peer="studio", candidate=CANDIDATE.replace("host", "relay")))
            await until(lambda: "PATCH" in server.methods())
            assert 'if-match: "e"' in server.requests[-1]
            assert "typ relay" in server.bodies[-1]
            assert all("authorization: Bearer secret" in head for head in server.requests)
            assert made.needs("studio").servers == (duplex.IceServer(urls=("stun:stun.example",)),)
            made.send(duplex.Offer(peer="studio", sdp=OFFER))  # the session is made anew
            await until(lambda: server.methods()[-2:] == ["POST", "DELETE"])
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            asked = [tuple(head.split(" ", 2)[:2]) for head in server.requests]
            assert asked[0] == ("OPTIONS", "/whip")
            assert asked[2] == ("PATCH", "/r/1")
            assert asked[3:] == [("POST", "/whip"), ("DELETE", "/r/1"), ("DELETE", "/r/2")]
            assert owner.told[-1] == duplex.PeerLeft(peer="studio")

    asyncio.run(play())


@pytest.mark.parametrize(
    ("status", "reason"),
    [("401 Unauthorized", "answered 401"), ("404 Not Found", "answered 404"), ("200 OK", "answered 200"),
     ("500 Oops", "answered 500"), ("503 Busy\r\nRetry-After: 0", "answered 503")],
)  # fmt: skip
def test_fail__a_server_that_takes_no_session(tmp_path: Path, status: str, reason: str) -> None:
    async def play() -> None:
        answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"
        async with way(tmp_path, OPTIONS=NO_CONTENT, POST=answer) as (_, owner, _made, task):
            async with asyncio.timeout(5):
                assert reason in await task
            assert owner.told == [duplex.PeerJoined(peer="studio"), duplex.PeerLeft(peer="studio")]
            assert not owner.up.is_set()

    asyncio.run(play())


def test_an_answer_without_media_is_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unitd.call.link.whip_resource.MEDIA_WITHIN_S", 0.3)
    monkeypatch.setattr("unitd.call.link.whip_resource.OTHER_SERVERS_AFTER_S", 0.2)

    async def play() -> None:
        answers = {"OPTIONS": NO_CONTENT, "POST": MADE, "DELETE": NO_CONTENT}
        async with way(tmp_path, connects=False, **answers) as (server, owner, _, task):
            async with asyncio.timeout(5):
                assert "no media within" in await task
            # the answer named ICE servers that were new: one more try, with them
            assert duplex.Restart(peer="studio") in owner.told
            assert server.methods().count("POST") == 2
            assert not owner.up.is_set()

    asyncio.run(play())


def test_a_resource_elsewhere_is_not_asked_for(tmp_path: Path) -> None:
    async def play() -> None:
        answer = MADE.replace("/r/1", "https://evil.example/r/1")
        async with way(tmp_path, OPTIONS=NO_CONTENT, POST=answer) as (server, owner, made, task):
            async with asyncio.timeout(5):
                await owner.up.wait()
            made.send(duplex.Ice(peer="studio", candidate=CANDIDATE))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert server.methods() == ["OPTIONS", "POST"]

    asyncio.run(play())
