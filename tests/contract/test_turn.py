"""A session through coturn alone, by UDP, TCP and TLS: as behind a carrier's NAT, where nothing else gets through."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from hw_sim.pki import Pki
from tests.contract.turn_server import PASSWORD, USER, TurnServer, own_address, turn_server
from unitd.call.link.ice_servers import usable
from unitd.call.link.turn_tunnel import Tunnels
from unitd.call.rtc.session import PeerSession
from unitd.call.voice.playout import Playout
from unitd.messages.duplex import IceServer

WITHIN_S = 10.0


class FarEnd:
    """Answers the session's offer with aiortc; takes the session's candidates as they come."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.candidates: list[str] = []
        self.gathered = asyncio.Event()
        self._pc = RTCPeerConnection()
        self._work: set[asyncio.Task[None]] = set()
        self._answered = asyncio.Event()

    def session_offers(self, session: PeerSession, sdp: str) -> None:
        self._do(self._answer(session, sdp))

    def session_candidate(self, session: PeerSession, mline: int, candidate: str) -> None:
        self.candidates.append(candidate)
        self.gathered.set()
        self._do(self._add(candidate))

    def session_state(self, session: PeerSession, state: str, detail: str) -> None:
        if state == "connected":
            self.connected.set()

    def session_wants_keyframe(self, session: PeerSession) -> None: ...

    async def close(self) -> None:
        for task in self._work:
            task.cancel()
        await self._pc.close()

    def _do(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._work.add(task)

    async def _answer(self, session: PeerSession, sdp: str) -> None:
        await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        session.set_answer(self._pc.localDescription.sdp)
        self._answered.set()

    async def _add(self, text: str) -> None:
        await self._answered.wait()
        candidate = candidate_from_sdp(text.removeprefix("candidate:"))
        candidate.sdpMLineIndex = 0
        await self._pc.addIceCandidate(candidate)


async def _connects(server: TurnServer, way: str, tunnels: Tunnels, within_s: float = WITHIN_S) -> FarEnd:
    """A session that may use nothing but this server; the far end afterwards."""
    offered = usable([IceServer(urls=(server.url(way),), username=USER, credential=PASSWORD)])
    far_end = FarEnd()
    with ThreadPoolExecutor(1) as executor:
        session = PeerSession(
            "p", far_end, Playout(), executor, data=False, servers=tunnels.through(offered), relay_only=True
        )
        try:
            await session.start()
            async with asyncio.timeout(within_s):
                await far_end.connected.wait()
        except TimeoutError:
            pass
        finally:
            await session.close()
            await far_end.close()
    return far_end


def _tunnels(ca_file: Path) -> Tunnels:
    async def context() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(ca_file))

    return Tunnels(context, structlog.get_logger())


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
def test_a_session_goes_through_a_relay_alone(tmp_path: Path, way: str) -> None:
    async def play() -> None:
        pki = Pki(tmp_path / "pki", (own_address(),))
        tunnels = _tunnels(pki.ca_file)
        async with turn_server(tmp_path, pki.control_room) as server:
            far_end = await _connects(server, way, tunnels)
            assert far_end.connected.is_set(), server.log.read_text()[-2000:]
            assert all(" typ relay" in candidate for candidate in far_end.candidates)
            assert tunnels.failures == 0
            await tunnels.close()

    asyncio.run(play())


def test_a_relay_whose_certificate_is_not_trusted_gets_no_byte(tmp_path: Path) -> None:
    async def play() -> None:
        pki = Pki(tmp_path / "pki", (own_address(),))
        tunnels = _tunnels(Pki(tmp_path / "other").ca_file)
        async with turn_server(tmp_path, pki.control_room) as server:
            far_end = await _connects(server, "tls", tunnels, within_s=2.0)
            assert not far_end.candidates
            assert tunnels.failures > 0
            assert USER not in server.log.read_text()
            await tunnels.close()

    asyncio.run(play())
