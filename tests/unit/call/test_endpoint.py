"""For how long a signalling link has been heard."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog

from unitd.call.link.endpoint import EndpointLink
from unitd.config import EndpointTable
from unitd.messages import duplex


class Owner:
    def link_up(self, endpoint: str) -> None: ...

    def link_message(self, message: duplex.ToUnit) -> None: ...


async def no_trust(_table: EndpointTable) -> Any:
    return None


def test_a_link_that_has_just_come_up_was_not_heard_for_ever() -> None:
    """Else a session that was silent in the outage is made anew twice: by this, and by the console that comes back."""

    async def play() -> None:
        table = EndpointTable(name="hub", url="ws://127.0.0.1:9")
        hello = duplex.Hello(unit="u-1", incident_id="11111111-2222-4333-8444-555555555555", kind="duress", cameras=())
        link = EndpointLink(table, hello, no_trust, Owner(), structlog.get_logger())
        link.up, link._heard_s = "hub", time.monotonic()
        assert link.alive_s == 0.0
        link._heard.set()
        link._alive_since_s = time.monotonic() - 1.5
        assert 1.4 < link.alive_s < 2.5

    asyncio.run(play())
