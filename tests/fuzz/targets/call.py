"""What far ends of a live call send besides duplex messages: answers, candidates, ICE servers, Link headers, HTTP."""

from __future__ import annotations

import asyncio
import contextlib

from tests.fuzz.target import Target, registry
from unitd.call.link import http
from unitd.call.link.http import Address
from unitd.call.link.ice_servers import usable
from unitd.call.link.link_header import ice_servers_in
from unitd.call.rtc.answer import read_answer, read_candidate, read_voice_answer
from unitd.errors import WireError
from unitd.messages.duplex import IceServer

MIDS = ("video0", "audio1")


def answer(data: bytes) -> None:
    """Read as a console's, a media server's and a talkback's; what is taken is read again and taken again."""
    text = data.decode("utf-8", "replace")
    for hears in (True, False):
        with contextlib.suppress(WireError):
            read = read_answer(text, MIDS, hears)
            assert read_answer(read.sdp, MIDS, hears).sdp == read.sdp
    with contextlib.suppress(WireError):
        read_voice_answer(text, MIDS[1:])
    for line in text.splitlines()[:16]:
        read_candidate(line)


def servers(data: bytes) -> None:
    """Lines: a URL, a user, a password, and the whole as a Link header."""
    url, user, password, *_ = [*data.decode("utf-8", "replace").split("\n", 2), "", ""]
    named = (IceServer(urls=(url,), username=user, credential=password), *ice_servers_in([data.decode("latin-1")]))
    found = usable(named)
    assert all(each.startswith("turn://") and each.count("@") == 1 and each.isascii() for each in found.turn)
    assert len(found.turn) + len(found.turn_tls) <= 6


class _Writer:
    """Takes a request."""

    transport = None

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def is_closing(self) -> bool:
        return False


def reply(data: bytes) -> None:
    """A media server's whole answer to one POST."""

    async def play() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        connection = http._Connection(("h", 443), reader, _Writer())  # type: ignore[arg-type]
        with contextlib.suppress(OSError, EOFError, ValueError, http.h11.ProtocolError):
            got = await connection.exchange("POST", "https://h/", Address("h", 443, "/"), {}, b"v=0")
            assert len(got.body) <= http.MOST_BODY_BYTES

    asyncio.run(play())


SDP_WORDS = (
    b"a=group:BUNDLE video0 audio1\n",
    b"m=video 9 UDP/TLS/RTP/SAVPF 96\n",
    b"a=mid:",
    b"a=setup:",
    b"a=candidate:",
)
TARGETS = registry(
    Target("answer", answer, SDP_WORDS, max_bytes=8192, share=0.5),
    Target(
        "ice-servers",
        servers,
        (b"turn:", b"turns:", b"stun:", b"?transport=", b'; rel="ice-server"', b"[::1]"),
        share=0.5,
    ),
    Target(
        "whip",
        reply,
        (b"HTTP/1.1 201 Created\r\n", b"Content-Length: ", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n"),
        share=0.03,
    ),
)
