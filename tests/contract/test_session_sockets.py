"""What one media session opens on a street: its UDP ports, and nothing that listens or asks for more."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from unitd.call.rtc.session import PeerSession
from unitd.call.voice.playout import Playout

DEADLINE_S = 10.0


class Owner:
    def __init__(self) -> None:
        self.gathered = asyncio.Event()

    def session_offers(self, *_: Any) -> None: ...

    def session_candidate(self, *_: Any) -> None:
        self.gathered.set()

    def session_state(self, *_: Any) -> None: ...

    def session_wants_keyframe(self, *_: Any) -> None: ...

    def session_feedback(self, *_: Any) -> None: ...


def test_a_session_opens_no_port_for_tcp_and_asks_no_router_for_anything() -> None:
    def inet() -> list[Any]:
        return psutil.Process().net_connections("inet")

    async def play() -> None:
        before = {(each.fd, each.laddr) for each in inet()}
        owner = Owner()
        with ThreadPoolExecutor(1) as executor:
            session = PeerSession("p", owner, Playout(), executor)
            try:
                await session.start()
                async with asyncio.timeout(DEADLINE_S):
                    await owner.gathered.wait()
                opened = [each for each in inet() if (each.fd, each.laddr) not in before]
                assert opened
                addresses = {each.laddr.ip for each in opened}
                assert {each.type.name for each in opened} == {"SOCK_DGRAM"}, opened
                # One port for each address: SSDP has two more and its group's on each.
                assert len(opened) == len(addresses), opened
            finally:
                await session.close()

    asyncio.run(play())
