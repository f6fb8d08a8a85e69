"""How the call reaches its control rooms: the targets of a configuration, and a way for each of their kinds."""

import asyncio
import functools
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from unitd.call.link.duplex_way import DuplexWay
from unitd.call.link.endpoint import Trust
from unitd.call.link.http import HttpForbiddenError, address_of
from unitd.call.link.standing import StandingLinks
from unitd.call.link.way import Target, Way, WayEvents
from unitd.call.link.whip import KnownServers, WhipWay
from unitd.config import Config, EndpointTable, IceServerTable
from unitd.messages import duplex
from unitd.messages.workers import NamedEndpoint
from unitd.runtime.logs import Logger

MOST_NAMED = 4
MOST_PASSWORD_BYTES = 512
MOST_REMEMBERED = 16


class Reach:
    """Makes ways; one for each conversation. Belongs to the loop."""

    def __init__(
        self, config: Config, hello: duplex.Hello, trust: Trust, standing: StandingLinks | None, log: Logger
    ) -> None:
        self._config = config
        self._hello = hello
        self._trust = trust
        self._standing = standing
        self._log = log
        self._known: dict[str, KnownServers] = {}
        self._allowed = frozenset(each.lower() for each in config.call.hosts)

    def make(self, target: Target, events: WayEvents) -> Way:
        """A way to this target, not dialled yet."""
        if target.table.kind == "duplex":
            return DuplexWay(target, self._hello, self._trust, self._standing, events, self._log)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        known = self._known.setdefault(target.table.url, KnownServers())
        context = functools.partial(self._context, target.table)
        return WhipWay(target, self._hosts(target), context, known, events, self._log)

    async def _context(self, table: EndpointTable) -> ssl.SSLContext | None:
        return await self._trust(table)

    async def public_context(self) -> ssl.SSLContext | None:
        """For a server that is not the site's own: its certificate may be of the site's authority or of a public one.
        Raises OSError."""
        if not self._config.endpoints:
            return None
        context = await self._trust(self._config.endpoints[0])
        if context is not None:
            await asyncio.to_thread(context.load_default_certs)
        return context

    def _hosts(self, target: Target) -> frozenset[str]:
        """Where requests of this target may go: where it is, and where the site lets a control room lead a call."""
        return self._allowed | own_hosts(target.table)

    def named(self, endpoints: tuple[NamedEndpoint, ...]) -> tuple[Target, ...]:
        """The targets that a control room has named; those at hosts that the site does not allow are left out."""
        targets: list[Target] = []
        like = self._config.endpoints[0] if self._config.endpoints else EndpointTable(name="named", url="")
        for number, named in enumerate(endpoints[:MOST_NAMED], 1):
            try:
                for url in (named.url, named.whep_url):
                    if url:
                        address_of(url, self._allowed)
            except HttpForbiddenError as error:
                self._log.warning("a named endpoint is not dialled", reason=str(error))
                continue
            table = EndpointTable(
                name=f"named-{number}",
                kind="whip_whep",
                url=named.url,
                whep_url=named.whep_url or None,
                ca_file=like.ca_file,
                cert_file=like.cert_file,
                key_file=like.key_file,
            )
            targets.append(Target(table, named.token))
        return tuple(targets)


def targets_of(config: Config) -> tuple[Target, ...]:
    """The configured endpoints, in order."""
    return tuple(Target(table) for table in config.endpoints)


def own_hosts(table: EndpointTable) -> frozenset[str]:
    """Host and port of an endpoint's own addresses."""
    hosts = set()
    for url in (table.url, table.whep_url):
        if url is not None:
            parts = urlsplit(url)
            hosts.add(f"{parts.hostname}:{parts.port or 443}")
    return frozenset(hosts)


async def configured_servers(tables: tuple[IceServerTable, ...], log: Logger) -> tuple[duplex.IceServer, ...]:
    """The ICE servers of the configuration, their passwords read. One whose file cannot be read is left out."""
    servers: list[duplex.IceServer] = []
    for table in tables:
        try:
            credential = await asyncio.to_thread(_password_in, table.password_file)
        except (OSError, ValueError) as error:
            log.warning("ICE server without its password is not used", urls=list(table.urls), reason=str(error))
            continue
        servers.append(duplex.IceServer(urls=table.urls, username=table.username, credential=credential))
    return tuple(servers)


def _password_in(file: str | None) -> str:
    if file is None:
        return ""
    with Path(file).open("rb") as opened:
        return opened.read(MOST_PASSWORD_BYTES).decode().strip("\r\n")
