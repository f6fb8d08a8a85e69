"""All the ways to a control room, in their order: which are dialled, which one has the call, and when it moves.

The first of the order is dialled at once, the next after a head start; the first that answers has the call, and the
others are let be. A way that is lost is dialled again for as long as the call is wanted, beside the others. When a
better one is wanted (a hand-over), it is up before the old one is let go.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import msgspec

from unitd.call.link.line import Line
from unitd.call.link.way import MakeWay, SessionNeeds, Target
from unitd.messages import duplex
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

HEAD_START_S = 2.0
"""A slow 4G link opens TCP, TLS and WebSocket within this."""
HAND_OVER_S = 4.0
"""The old way is let go when the new one has media, or after this."""
CONFIRM_S = 5.0
"""After a new link a relay names the peers that are there; those it did not name by then are gone."""
BYE_WITHIN_S = 1.2
ROUTES = 16
"""Peers of one endpoint that are told apart; the call takes fewer."""


class LinkEvents(Protocol):
    """What the ways tell their owner, on the loop."""

    def link_up(self, endpoint: str) -> None: ...

    def link_message(self, message: duplex.ToUnit) -> None: ...

    def link_again(self, peer: str) -> None:
        """A peer is there on a new link as it was on the last: its session may go on as it is."""

    def link_down(self, endpoint: str, reason: str) -> None: ...


@dataclass(frozen=True)
class _Route:
    """How a peer came: by which endpoint, under which name there, and when it was named last."""

    endpoint: str
    wire: str
    joined_s: float
    link: int


class Ways:
    """`run()` dials until cancelled; `send()` goes to the endpoint that the peer came by. `up` names the endpoint that
    has the call, None while there is none. Belongs to the loop."""

    def __init__(self, targets: tuple[Target, ...], make: MakeWay, events: LinkEvents, log: Logger) -> None:
        self._known = {each.name: each for each in targets}
        self._named: tuple[Target, ...] = ()
        self._names: tuple[str, ...] = tuple(self._known)
        self._make = make
        self._events = events
        self._log = log
        self._lines: dict[str, Line] = {}
        self._routes: dict[str, _Route] = {}
        self._holder: str | None = None
        self._better: str | None = None
        self._moving = False
        self._changed = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()
        self._spent_attempts = 0
        self._linked: dict[str, int] = {}
        self.up: str | None = None
        self.links = 0
        self.ignored = 0

    @property
    def attempts(self) -> int:
        """Dials so far."""
        return self._spent_attempts + sum(line.attempts for line in self._lines.values())

    # --- what is wanted ---------------------------------------------------------------------------------------------

    @property
    def preferred(self) -> tuple[str, ...]:
        """The configured endpoints that are dialled, in order."""
        return self._names

    @property
    def most_peers(self) -> int:
        """How many peers there may be: twice as many while the call moves."""
        endpoints = {route.endpoint for route in self._routes.values()}
        return duplex.MAX_PEERS * max(1, min(2, len(endpoints)))

    def prefer(self, names: tuple[str, ...]) -> None:
        """Dial these, in this order, from now on. The call moves when the first of the new order is another: a further
        control room is asked, or one has answered. Unknown names change nothing."""
        wanted = tuple(name for name in names if name in self._known)
        if wanted and wanted != self._names:
            self._names = wanted
            self._reorder()

    def name(self, targets: tuple[Target, ...]) -> None:
        """Endpoints of a control room's own choice, dialled before all others."""
        if targets != self._named:
            self._named = targets
            self._reorder()

    def dial_now(self) -> None:
        """Forget every pause and dial, also beside a way that is up: nothing may come through it any more."""
        for line in self._lines.values():
            line.dial_now()

    def _wanted(self) -> list[Target]:
        return [*self._named, *(self._known[name] for name in self._names)]

    def _reorder(self) -> None:
        self._moving = self._wanted()[0].name != self._holder
        self._changed.set()

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Dial, for ever. Everything is let go when this is cancelled."""
        try:
            while True:
                self._changed.clear()
                await set_within(self._changed, self._arrange())
        finally:
            for name in list(self._lines):
                self._let_go(name, "the unit ends the call")
            if self._ending:
                await asyncio.wait(self._ending, timeout=2.0)

    async def say_bye(self, reason: str) -> None:
        """Tell the far ends that the call ends in order; takes BYE_WITHIN_S at most and never raises."""
        byes = [asyncio.ensure_future(line.bye(reason)) for line in self._lines.values()]
        if not byes:
            return
        await asyncio.wait(byes, timeout=BYE_WITHIN_S)
        for bye in byes:
            bye.cancel()
        await asyncio.gather(*byes, return_exceptions=True)

    def _arrange(self) -> float | None:
        """Start the lines that are due and let go those that nobody wants; seconds until the next is due."""
        wanted = self._wanted()
        names = [each.name for each in wanted]
        for line in list(self._lines.values()):
            is_held = self.up is not None and line.name == self._holder
            in_time = line.name in names and line.target == wanted[names.index(line.name)]
            if not is_held and (not in_time or (self.up is not None and not self._moving)):
                self._let_go(line.name, "another has the call")
        if self.up is not None and not self._moving:
            return None
        now_s = time.monotonic()
        for target in wanted:
            if self.up is not None and target.name == self._holder:
                return None  # what comes behind the one that has the call is no better
            line_or_none = self._lines.get(target.name)
            if line_or_none is None:
                line_or_none = self._lines[target.name] = Line(target, self._make, self, self._log)
            left_s = line_or_none.started_s + HEAD_START_S - now_s
            if left_s > 0 and not line_or_none.failures:
                return left_s
        return None

    def _let_go(self, name: str, reason: str) -> None:
        line = self._lines.pop(name)
        self._spent_attempts += line.attempts
        self._linked.pop(name, None)
        for peer in [peer for peer, route in self._routes.items() if route.endpoint == name]:
            self._forget(peer)
        task = asyncio.create_task(line.end(reason), name=f"let go {name}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _forget(self, peer: str) -> None:
        del self._routes[peer]
        self._events.link_message(duplex.PeerLeft(peer=peer))

    # --- messages ---------------------------------------------------------------------------------------------------

    def send(self, message: duplex.FromUnit) -> None:
        """Hand a message to the endpoint that its peer came by; dropped while there is no way to it."""
        route = self._routes.get(getattr(message, "peer", ""))
        line = self._lines.get((route.endpoint if route is not None else self._holder) or "")
        if line is None or line.talking is None:
            return
        line.talking.send(msgspec.structs.replace(message, peer=route.wire) if route is not None else message)

    def media(self, peer: str, connected: bool) -> None:
        """A peer's session has got its media, or lost it."""
        if (route := self._routes.get(peer)) is None:
            return
        line = self._lines.get(route.endpoint)
        if line is not None and line.talking is not None:
            line.talking.media(route.wire, connected)
        if connected and route.endpoint == self._better:
            self._move()

    def needs(self, peer: str) -> SessionNeeds:
        """How a session with this peer is to be made."""
        route = self._routes.get(peer)
        line = self._lines.get(route.endpoint) if route is not None else None
        if route is None or line is None or line.talking is None:
            return SessionNeeds()
        return line.talking.needs(route.wire)

    def alive_s(self, peer: str) -> float | None:
        """For how long the way to a peer has been heard without a gap; None where that cannot be told."""
        route = self._routes.get(peer)
        line = self._lines.get(route.endpoint) if route is not None else None
        if line is None or line.talking is None:
            return 0.0
        return line.talking.alive_s() if line.is_up else 0.0

    def endpoint_of(self, peer: str) -> str | None:
        """The endpoint that a peer came by."""
        return self._routes[peer].endpoint if peer in self._routes else self.up

    # --- what the lines tell ----------------------------------------------------------------------------------------

    def line_message(self, line: str, message: duplex.ToUnit) -> None:
        """A far end's message; its peer is renamed when another endpoint has one of that name."""
        wire = getattr(message, "peer", None)
        if wire is None:
            self._events.link_message(message)
            return
        peer = self._peer_of(line, wire)
        if isinstance(message, duplex.PeerJoined):
            if peer is None and sum(route.endpoint == line for route in self._routes.values()) < ROUTES:
                peer = self._name_for(line, wire)
            if peer is not None:
                before, link = self._routes.get(peer), self._linked.get(line, 0)
                self._routes[peer] = _Route(line, wire, time.monotonic(), link)
                if before is not None and before.link != link:
                    self._events.link_again(peer)
                    return
        if peer is None:
            self.ignored += 1
            return
        if isinstance(message, duplex.PeerLeft):
            self._forget(peer)
        else:
            self._events.link_message(msgspec.structs.replace(message, peer=peer))

    def _peer_of(self, line: str, wire: str) -> str | None:
        return next((peer for peer, at in self._routes.items() if (at.endpoint, at.wire) == (line, wire)), None)

    def _name_for(self, line: str, wire: str) -> str:
        """A name that no other peer of the call has, whatever two relays, or a clever one, call theirs."""
        names = (wire, f"{wire}@{line}"[-64:], *(f"{wire[:40]}#{number}" for number in range(2 * ROUTES + 1)))
        return next(name for name in names if name not in self._routes)

    def _end_unnamed(self, name: str, since_s: float, links: int) -> None:
        """The peers that a relay has not named on its new link are gone."""
        line = self._lines.get(name)
        if line is None or not line.is_up or self._linked.get(name) != links:
            return
        for peer in [peer for peer, at in self._routes.items() if at.endpoint == name and at.joined_s < since_s]:
            self._forget(peer)

    def line_up(self, line: str) -> None:
        self.links += 1
        self._linked[line] = self.links
        since_s = self._lines[line].began_s
        asyncio.get_running_loop().call_later(CONFIRM_S, self._end_unnamed, line, since_s, self.links)
        if self.up is None or line == self._holder:
            self._holder = self.up = line
            self._moving = self._moving and line != self._wanted()[0].name
            self._events.link_up(line)
        elif self._moving and self._better is None:
            self._log.info("the call moves", to=line, before=self._holder)
            self._better = line
            asyncio.get_running_loop().call_later(HAND_OVER_S, self._move_by_now, line)
            self._events.link_up(line)
        self._changed.set()  # one that is up and has lost the race goes at the next look

    def line_failed(self, line: str) -> None:
        self._changed.set()  # the next need not wait for its head start

    def line_down(self, line: str, reason: str) -> None:
        if line == self._better:
            self._better = None
        if line == self._holder:
            self.up = None
            if self._better is not None:
                self._move()
        self._events.link_down(line, reason)
        self._changed.set()

    def _move_by_now(self, line: str) -> None:
        if self._better == line:
            self._move()

    def _move(self) -> None:
        """The better way has the call from now on; the old one is let go, and its peers with it."""
        before, self._holder, self._better = self._holder, self._better, None
        self.up = self._holder
        self._moving = self._holder != self._wanted()[0].name
        if before is not None and before in self._lines:
            self._let_go(before, "another has the call")
        self._changed.set()
