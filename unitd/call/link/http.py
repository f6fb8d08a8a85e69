"""HTTPS as WHIP and WHEP need it (RFC 9725): small requests to a media server, each bounded in time and bytes.

HTTP/1.1 is read by h11, over asyncio's TLS: a wait for a server that stalls is given up by cancelling it, with no
thread left behind.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import h11

from unitd.call.link.tcp import connect_tcp
from unitd.errors import UnitdError

REQUEST_LIMIT_S = 8.0
"""Name, TCP, TLS and answer together."""
CONNECT_LIMIT_S = 5.0
MOST_HEADER_BYTES = 16 * 1024
MOST_BODY_BYTES = 64 * 1024
MOST_RECEIVED_BYTES = 4 * MOST_BODY_BYTES
"""For one answer with everything around it."""
MOST_INTERIM = 16
"""100 Continue and 103 Early Hints: a server has reason for a few."""
READ_BYTES = 16 * 1024
MOST_REDIRECTS = 4
"""RFC 9725, 4.5 asks for 307 and 308; the rest is a loop."""
IDLE_FOR_S = 4.0
"""A connection that was idle for longer is not used again: many servers close theirs after 5 s."""
USER_AGENT = "unitd"

Context = Callable[[], Coroutine[Any, Any, ssl.SSLContext | None]]


class HttpError(UnitdError, OSError):
    """The request was not answered: name, link, TLS, time or a far end that does not speak HTTP."""


class HttpForbiddenError(HttpError):
    """The address is none that the unit may talk to; asking again does not help."""


@dataclass(frozen=True)
class Reply:
    """An answer in full. `url` is the address that gave it, after redirects."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name.lower()]

    def value(self, name: str) -> str:
        """The first value of a header; empty when there is none."""
        return next(iter(self.values(name)), "")


@dataclass(frozen=True)
class Address:
    """Where a URL leads."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


def address_of(url: str, hosts: frozenset[str]) -> Address:
    """Host, port and path of an https URL. Raises HttpForbiddenError unless its host (or host:port) is in `hosts`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError as error:
        raise HttpForbiddenError(f"no URL: {error}") from None
    if parts.scheme != "https" or "@" in parts.netloc or not host:
        raise HttpForbiddenError(f"not an https:// address without credentials: {url[:80]!r}")
    if host not in hosts and f"{host}:{port}" not in hosts:
        raise HttpForbiddenError(f"host {host!r} is not allowed")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or not target.isprintable() or " " in target:
        raise HttpForbiddenError("the address has characters that belong into no request")
    return Address(host, port, target)


class HttpClient:
    """One connection at a time to one server, kept between requests. Belongs to the loop; requests take turns.

    `hosts` are all the names it ever connects to, redirects included.
    """

    def __init__(
        self,
        hosts: frozenset[str],
        context: Context,
        limit_s: float = REQUEST_LIMIT_S,
        connect_limit_s: float = CONNECT_LIMIT_S,
    ) -> None:
        self.hosts = hosts
        self._context = context
        self._limit_s = limit_s
        self._connect_limit_s = connect_limit_s
        self._turn = asyncio.Lock()
        self._kept: _Connection | None = None

    async def request(self, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        """Send and return the answer in full, whatever its status; 307 and 308 are followed to allowed hosts.

        Raises HttpError after `limit_s` at most. A bearer token goes wherever a redirect within `hosts` leads.
        """
        try:
            async with asyncio.timeout(self._limit_s), self._turn:
                for _ in range(MOST_REDIRECTS):
                    reply = await self._once(method, url, headers, body)
                    if reply.status not in (307, 308):
                        return reply
                    url = _led_to(reply)
        except TimeoutError:
            self.close()
            raise HttpError(f"no answer within {self._limit_s:.0f} s") from None
        raise HttpError(f"more than {MOST_REDIRECTS - 1} redirects")

    async def connect(self, url: str) -> None:
        """Open the connection before there is anything to send. Raises HttpError."""
        try:
            async with asyncio.timeout(self._limit_s), self._turn:
                await self._ready(address_of(url, self.hosts))
        except TimeoutError:
            self.close()
            raise HttpError(f"not reached within {self._limit_s:.0f} s") from None

    def close(self) -> None:
        """Drop the connection, at once."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    async def _once(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Reply:
        address = address_of(url, self.hosts)
        connection = await self._ready(address)
        try:
            reply = await connection.exchange(method, url, address, headers, body)
        except (OSError, EOFError, h11.ProtocolError, ValueError) as error:
            self.close()
            raise HttpError(f"{address.host}: {_words(error)}") from None
        except BaseException:  # given up in the middle: what comes next on this connection belongs to nobody
            self.close()
            raise
        if not connection.again():
            self.close()
        return reply

    async def _ready(self, address: Address) -> "_Connection":
        kept = self._kept
        if kept is not None and kept.serves(address):
            return kept
        self.close()
        try:
            async with asyncio.timeout(self._connect_limit_s):
                context = await self._context()
                reached = await connect_tcp(address.host, address.port, self._connect_limit_s)
                reader, writer = await asyncio.open_connection(
                    sock=reached,
                    ssl=context,
                    server_hostname=address.host if context is not None else None,
                    limit=READ_BYTES,
                )
        except (OSError, ValueError, TimeoutError) as error:  # ValueError: a name with odd letters
            raise HttpError(f"{address.host}: {_words(error)}") from None
        self._kept = _Connection((address.host, address.port), reader, writer)
        return self._kept


class _Connection:
    """One TLS connection and what h11 knows of it."""

    def __init__(self, where: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._where = where
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEADER_BYTES)
        self._used_s = asyncio.get_running_loop().time()

    def serves(self, address: Address) -> bool:
        idle_s = asyncio.get_running_loop().time() - self._used_s
        return (
            self._where == (address.host, address.port)
            and idle_s < IDLE_FOR_S
            and self._state.our_state is h11.IDLE
            and not self._reader.at_eof()
            and not self._writer.is_closing()
        )

    async def exchange(self, method: str, url: str, address: Address, headers: dict[str, str], body: bytes) -> Reply:
        lines = [("host", address.authority), ("user-agent", USER_AGENT), *headers.items()]
        if body or method in ("POST", "PATCH"):
            lines.append(("content-length", str(len(body))))
        out = self._state.send(h11.Request(method=method, target=address.target, headers=lines)) or b""
        if body:
            out += self._state.send(h11.Data(data=body)) or b""
        out += self._state.send(h11.EndOfMessage()) or b""
        self._writer.write(out)
        await self._writer.drain()
        response, read, received, interim = None, b"", 0, 0
        while True:
            event = self._state.next_event()
            match event:
                case h11.NEED_DATA:
                    data = await self._reader.read(READ_BYTES)
                    if not data and response is None:
                        raise EOFError("closed before it answered")
                    received += len(data)
                    if received > MOST_RECEIVED_BYTES:
                        raise ValueError(f"more than {MOST_RECEIVED_BYTES} bytes, and no end")
                    self._state.receive_data(data)
                case h11.InformationalResponse():
                    interim += 1
                    if interim > MOST_INTERIM:
                        raise ValueError(f"more than {MOST_INTERIM} interim answers, and no end")
                case h11.Response():
                    response = event
                case h11.Data(data=part):
                    read += part
                    if len(read) > MOST_BODY_BYTES:
                        raise ValueError(f"an answer of more than {MOST_BODY_BYTES} bytes")
                case h11.EndOfMessage():
                    break
                case h11.ConnectionClosed() | h11.PAUSED:
                    raise EOFError("closed before it answered")
        if response is None:
            raise EOFError("no answer")
        found = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers)
        return Reply(url, response.status_code, found, read)

    def again(self) -> bool:
        """Make ready for the next request; False when the far end wants none."""
        self._used_s = asyncio.get_running_loop().time()
        with contextlib.suppress(h11.ProtocolError):
            self._state.start_next_cycle()
        return self._state.our_state is h11.IDLE

    def close(self) -> None:
        transport = self._writer.transport
        if transport is not None:
            transport.abort()  # a far end that reads nothing would hold an orderly end up


def _led_to(reply: Reply) -> str:
    """Where a redirect leads. Raises HttpForbiddenError for what is no address."""
    try:
        return urljoin(reply.url, reply.value("location"))
    except ValueError as error:
        raise HttpForbiddenError(f"no URL: {error}") from None


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:200]
