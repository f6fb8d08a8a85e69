"""One resource of a WHIP or WHEP server (RFC 9725): made by POST with an offer, fed by PATCH, ended by DELETE."""

import asyncio
import contextlib
import time
from typing import Protocol
from urllib.parse import urljoin

from unitd.call.link.http import HttpClient, HttpError, HttpForbiddenError, Reply, address_of
from unitd.call.link.link_header import ice_servers_in
from unitd.call.link.sdpfrag import fragment, with_candidates
from unitd.messages import duplex
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

OFFER_WITHIN_S = 5.0
"""A session that has made no offer by then was not made at all."""
GATHER_S = 0.2
QUIET_S = 0.04
"""Candidates go with the offer when they come within GATHER_S, each QUIET_S after the last at most; later ones, a
relay's, follow by PATCH."""
MEDIA_WITHIN_S = 8.0
"""After the answer; then another endpoint is tried as well."""
OTHER_SERVERS_AFTER_S = 2.5
"""An answer that named new ICE servers, and no media since: the session is offered again with them."""
GOODBYE_S = 1.0
MOST_WAITING = 64
"""Candidates of the unit on their way out."""
LONGEST_RETRY_AFTER_S = 30.0
CONFLICTS = (403, 409, 423)
"""Answers of servers that take one publisher at a time, while the session before is still there."""


class BusyError(HttpError):
    """The server asks to be left alone for `after_s` (503, 429)."""

    def __init__(self, words: str, after_s: float) -> None:
        super().__init__(words)
        self.after_s = after_s


class ResourceEvents(Protocol):
    """What a resource tells its way, on the loop."""

    def answered(self, peer: str, sdp: str) -> None: ...

    def servers_named(self, servers: tuple[duplex.IceServer, ...]) -> bool:
        """Keep these for the next session; whether any was new."""

    def offer_again(self, peer: str) -> None: ...


class Resource:
    """One peer of the call at one URL. `run()` serves the offers as they come, each with a resource of its own on the
    server: the next is there before the last is ended. Belongs to the loop."""

    def __init__(self, peer: str, url: str, token: str, client: HttpClient, events: ResourceEvents, log: Logger):
        self._peer = peer
        self._url = url
        self._token = token
        self._client = client
        self._events = events
        self._log = log
        self._offer = ""
        self._has_offer = asyncio.Event()
        self._woken = asyncio.Event()
        self._candidates: list[str] = []
        self._media = False
        self._resource: str | None = None
        self._etag = ""
        self._trickles = True
        self.refused_patches = 0

    # --- from the session -------------------------------------------------------------------------------------------

    def put(self, message: duplex.Offer | duplex.Ice) -> None:
        """Take an offer, which is a session's first word, or one of its candidates."""
        if isinstance(message, duplex.Offer):
            self._offer, self._candidates = message.sdp, []
            self._media = False
            self._has_offer.set()
        elif message.candidate and len(self._candidates) < MOST_WAITING:
            self._candidates.append(message.candidate)
        self._woken.set()

    def media(self, connected: bool) -> None:
        """The session has its media, or has lost it."""
        self._media = connected
        self._woken.set()

    # --- life -------------------------------------------------------------------------------------------------------

    async def open(self, asks_servers: bool) -> None:
        """Connect before there is an offer; with `asks_servers` the server's ICE servers are asked for as well (many
        tell them only here: those of the 201 come when the session is made). Raises HttpError."""
        if not asks_servers:
            await self._client.connect(self._url)
            return
        reply = await self._client.request("OPTIONS", self._url, self._headers())
        self._events.servers_named(ice_servers_in(reply.values("link")))

    async def run(self) -> None:
        """Serve offers, for ever. Raises HttpError when the server takes one no more, or when nothing flows."""
        within_s: float | None = OFFER_WITHIN_S
        while True:
            if not await set_within(self._has_offer, within_s):
                raise HttpError("no session could be offered")
            within_s = None
            self._has_offer.clear()
            offer = self._offer
            await self._gather()
            before, told = self._resource, self._take_candidates()
            is_new = await self._post(with_candidates(offer, told), before)
            if before is not None and before != self._resource:
                await self._delete(before)
            await self._serve(offer, is_new)

    async def leave(self) -> None:
        """End the resource on the server; takes a second at most and never raises."""
        resource, self._resource = self._resource, None
        if resource is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._delete(resource)
        self._client.close()

    async def _gather(self) -> None:
        end_s = time.monotonic() + GATHER_S
        while (left_s := end_s - time.monotonic()) > 0:
            self._woken.clear()
            if not await set_within(self._woken, min(QUIET_S if self._candidates else left_s, left_s)):
                return

    def _take_candidates(self) -> list[str]:
        taken, self._candidates = self._candidates, []
        return taken

    async def _serve(self, offer: str, has_new_servers: bool) -> None:
        """Trickle until the session is offered anew."""
        answered_s = time.monotonic()
        while not self._has_offer.is_set():
            now_s = time.monotonic()
            end_s = answered_s + MEDIA_WITHIN_S
            if not self._media and has_new_servers:
                end_s = answered_s + OTHER_SERVERS_AFTER_S
            if not self._media and now_s >= end_s:
                if not has_new_servers:
                    raise HttpError(f"answered, and no media within {MEDIA_WITHIN_S:.0f} s")
                has_new_servers = False
                self._events.offer_again(self._peer)
            if self._candidates and self._trickles:
                await self._patch(fragment(offer, self._take_candidates()))
                continue
            self._woken.clear()
            if self._has_offer.is_set():
                return
            await set_within(self._woken, None if self._media else max(0.05, end_s - now_s))

    # --- requests ---------------------------------------------------------------------------------------------------

    def _headers(self, **more: str) -> dict[str, str]:
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        return headers | ({"authorization": f"Bearer {self._token}"} if self._token else {})

    async def _post(self, sdp: str, before: str | None) -> bool:
        """Make a resource with this offer and hand on its answer; whether it named ICE servers that are new."""
        headers = self._headers(content_type="application/sdp", accept="application/sdp")
        reply = await self._client.request("POST", self._url, headers, sdp.encode())
        if reply.status in CONFLICTS and before is not None:
            await self._delete(before)
            self._resource = None
            reply = await self._client.request("POST", self._url, headers, sdp.encode())
        _check(reply)
        self._resource = self._location(reply)
        self._etag = reply.value("etag")
        self._trickles = True
        try:
            answer = reply.body.decode("ascii")
        except UnicodeError:
            raise HttpError("its answer is not ASCII") from None
        is_new = self._events.servers_named(ice_servers_in(reply.values("link")))
        self._events.answered(self._peer, answer)
        return is_new

    def _location(self, reply: Reply) -> str | None:
        """Where the resource is; None when it cannot be ended or fed."""
        location = reply.value("location")
        try:
            url = urljoin(reply.url, location)
            address_of(url, self._client.hosts)
        except (HttpForbiddenError, ValueError) as error:
            self._log.warning("resource cannot be used", reason=str(error)[:200])
            return None
        return url if location else None

    async def _patch(self, body: str) -> None:
        """Tell of more candidates. A server that does not want them finds the unit by its own checks."""
        if self._resource is None:
            self._trickles = False
            return
        headers = self._headers(content_type="application/trickle-ice-sdpfrag")
        if self._etag:
            headers["if-match"] = self._etag
        try:
            reply = await self._client.request("PATCH", self._resource, headers, body.encode())
        except HttpError as error:
            self._log.debug("candidates not sent", error=str(error))
            return
        if reply.status not in (200, 204):
            self.refused_patches += 1
            self._trickles = reply.status in (428, 412) and self.refused_patches < 3
            self._log.debug("candidates not taken", status=reply.status)

    async def _delete(self, resource: str) -> None:
        with contextlib.suppress(HttpError):
            await self._client.request("DELETE", resource, self._headers())


def _check(reply: Reply) -> None:
    """Raises HttpError unless a resource was made."""
    if reply.status == 201:
        return
    words = f"the media server answered {reply.status}"
    if reply.status in (429, 503):
        after = reply.value("retry-after").strip()
        raise BusyError(words, min(float(after) if after.isdigit() and len(after) < 6 else 1.0, LONGEST_RETRY_AFTER_S))
    raise HttpError(words)
