"""A media server by WHIP (RFC 9725), and the operator's voice from it by WHEP, told as if a relay had two consoles: one
that sees and hears, one that speaks.

A session that breaks is offered anew, by a new POST: webrtcbin 1.22 cannot restart ICE
(docs/adr/0013-whip-and-ice-servers.md).
"""

import asyncio
from pathlib import Path

from unitd.call.link.http import Context, HttpClient, HttpError
from unitd.call.link.way import SessionNeeds, Target, WayEvents
from unitd.call.link.whip_resource import BusyError, Resource
from unitd.messages import duplex
from unitd.runtime.logs import Logger

ANSWER_LIMIT_S = 5.0
CONNECT_LIMIT_S = 2.5
"""A slow 4G link opens TCP and TLS in less; a link that comes back is not to wait for the last try."""
MOST_TOKEN_BYTES = 4096
TALKBACK = "talkback"
TALKBACK_PAUSE_S = 1.0
TALKBACK_LONGEST_PAUSE_S = 15.0
MOST_SERVERS = 8


class KnownServers:
    """The ICE servers that one endpoint has named last: the next session has them from its start."""

    def __init__(self) -> None:
        self.servers: tuple[duplex.IceServer, ...] = ()

    def learn(self, servers: tuple[duplex.IceServer, ...]) -> bool:
        """Keep these in place of the last, credentials being short-lived; whether any address is new."""
        if not servers:
            return False
        known = {url for server in self.servers for url in server.urls}
        self.servers = servers[:MOST_SERVERS]
        return any(url not in known for server in servers for url in server.urls)


class WhipWay:
    """One attempt at a media server, and the stay there. Implements Way; see there.

    `up` when the session has its media: an answer alone proves nothing.
    """

    most_at_once = 1

    def __init__(
        self,
        target: Target,
        hosts: frozenset[str],
        context: Context,
        known: KnownServers,
        events: WayEvents,
        log: Logger,
    ) -> None:
        self._target = target
        self._hosts = hosts
        self._context = context
        self._known = known
        self._events = events
        self._log = log.bind(endpoint=target.name)
        self._main = target.name
        self._resources: dict[str, Resource] = {}
        self._is_up = False
        self._here: set[str] = set()

    # --- as a way ---------------------------------------------------------------------------------------------------

    async def run(self) -> str:
        talkback: asyncio.Task[None] | None = None
        try:
            token = self._target.token or await asyncio.to_thread(_token_in, self._target.table.token_file)
            main = self._resource(self._main, self._target.table.url, token)
            await main.open(asks_servers=not self._known.servers)
            if self._target.table.whep_url is not None:
                talkback = asyncio.create_task(self._talkback(self._target.table.whep_url, token), name="talkback")
            self._joined(self._main)
            await main.run()
            return "ended"
        except BusyError as error:
            self._left(self._main)
            self._log.warning("media server is busy", for_s=error.after_s)
            await asyncio.sleep(error.after_s)
            return str(error)
        except (HttpError, OSError, ValueError) as error:
            reason = str(error)[:200]
            self._log.warning("media server does not take the call", reason=reason)
            return reason
        finally:
            if talkback is not None:
                talkback.cancel()
            for peer in list(self._resources):
                self._left(peer)
            await asyncio.shield(self._leave())

    def send(self, message: duplex.FromUnit) -> None:
        """Offers and candidates go to the server; nothing else of a duplex endpoint's has a place there."""
        if isinstance(message, duplex.Offer | duplex.Ice) and message.peer in self._resources:
            self._resources[message.peer].put(message)

    def media(self, peer: str, connected: bool) -> None:
        if peer in self._resources:
            self._resources[peer].media(connected)
        if peer == self._main and connected and not self._is_up:
            self._is_up = True
            self._events.way_up(self)

    def needs(self, peer: str) -> SessionNeeds:
        return SessionNeeds(servers=self._known.servers, duplex=False, listens=peer == TALKBACK)

    def silent_s(self) -> float:
        return 0.0

    def alive_s(self) -> float | None:
        return None

    async def bye(self, reason: str) -> None:
        await self._leave()

    # --- as its resources' owner ------------------------------------------------------------------------------------

    def answered(self, peer: str, sdp: str) -> None:
        if 0 < len(sdp) <= duplex.MAX_SDP_BYTES:
            self._events.way_message(self, duplex.Answer(peer=peer, sdp=sdp))

    def servers_named(self, servers: tuple[duplex.IceServer, ...]) -> bool:
        return self._known.learn(servers)

    def offer_again(self, peer: str) -> None:
        self._events.way_message(self, duplex.Restart(peer=peer))

    # --- life -------------------------------------------------------------------------------------------------------

    def _resource(self, peer: str, url: str, token: str) -> Resource:
        client = HttpClient(self._hosts, self._context, ANSWER_LIMIT_S, CONNECT_LIMIT_S)
        resource = self._resources[peer] = Resource(peer, url, token, client, self, self._log)
        return resource

    async def _talkback(self, url: str, token: str) -> None:
        """The operator's voice, beside the picture: what goes wrong with it costs the picture nothing."""
        pause_s = TALKBACK_PAUSE_S
        while True:
            resource = self._resource(TALKBACK, url, token)
            try:
                await resource.open(asks_servers=False)
                self._joined(TALKBACK)
                await resource.run()
            except (HttpError, ValueError) as error:
                self._log.warning("no talkback", reason=str(error)[:200])
            self._left(TALKBACK)
            await resource.leave()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, TALKBACK_LONGEST_PAUSE_S)

    def _joined(self, peer: str) -> None:
        self._here.add(peer)
        self._events.way_message(self, duplex.PeerJoined(peer=peer))

    def _left(self, peer: str) -> None:
        if peer not in self._here:
            return
        self._here.discard(peer)
        self._events.way_message(self, duplex.PeerLeft(peer=peer))

    async def _leave(self) -> None:
        await asyncio.gather(*(resource.leave() for resource in self._resources.values()))


def _token_in(file: str | None) -> str:
    """The bearer token (RFC 6750, 2.1: no spaces in it); blocks on the disk. Raises OSError, ValueError."""
    if file is None:
        return ""
    with Path(file).open("rb") as opened:
        token = opened.read(MOST_TOKEN_BYTES + 1).decode("ascii").strip()
    if not token or len(token) > MOST_TOKEN_BYTES or not token.isprintable() or " " in token:
        raise ValueError(f"{file} holds no bearer token")
    return token
