"""A duplex endpoint as a way: one WebSocket, dialled once."""

from unitd.call.link.endpoint import EndpointLink, Trust
from unitd.call.link.standing import StandingLinks
from unitd.call.link.way import SessionNeeds, Target, WayEvents
from unitd.messages import duplex
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

MOST_AT_ONCE = 3
"""A relay takes the newest connection for the true one: what is dialled beside needlessly costs a link."""
GOODBYE_S = 0.5


class DuplexWay:
    """Implements Way; see there. The relay's ICE servers hold for its own consoles."""

    most_at_once = MOST_AT_ONCE

    def __init__(
        self,
        target: Target,
        hello: duplex.Hello,
        trust: Trust,
        standing: StandingLinks | None,
        events: WayEvents,
        log: Logger,
    ) -> None:
        self._events = events
        self._link = EndpointLink(target.table, hello, trust, self, log, standing)
        self._needs = SessionNeeds()

    async def run(self) -> str:
        return await self._link.dial()

    def send(self, message: duplex.FromUnit) -> None:
        self._link.send(message)

    def media(self, peer: str, connected: bool) -> None:
        """The relay need not know."""

    def needs(self, peer: str) -> SessionNeeds:
        return self._needs

    def silent_s(self) -> float:
        return self._link.silent_s

    def alive_s(self) -> float | None:
        return self._link.alive_s

    async def bye(self, reason: str) -> None:
        if self._link.up is not None:
            self._link.send(duplex.Bye(reason=reason))
            await set_within(self._link.said_bye, GOODBYE_S)

    # --- as its link's owner ----------------------------------------------------------------------------------------

    def link_up(self, endpoint: str) -> None:
        self._events.way_up(self)

    def link_message(self, message: duplex.ToUnit) -> None:
        if isinstance(message, duplex.IceServers):
            self._needs = SessionNeeds(servers=message.servers)
        self._events.way_message(self, message)
