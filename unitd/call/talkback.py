"""The operator's voice from a media server for as long as it is there: a session that only hears, offered again when
it fails."""

import asyncio
import time
from concurrent.futures import Executor
from typing import Protocol

from unitd.call.link.ice_servers import UsableServers
from unitd.call.rtc.linkstats import LinkStats
from unitd.call.rtc.listen import ListenSession
from unitd.call.rtc.session import PeerSession
from unitd.call.voice.playout import Playout
from unitd.errors import WireError
from unitd.messages import duplex
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

CONNECT_TIMEOUT_S = 10.0
SILENT_AFTER_S = 20.0
"""Without a packet the session is made anew. A server may send nothing while nobody speaks: it costs little."""
DISCONNECTED_FOR_S = 5.0
CLOSE_WITHIN_S = 5.0
"""An end that hangs in the media library costs a thread; the next session does not wait for it."""
TICK_S = 0.6
FIRST_PAUSE_S = 0.3
LONGEST_PAUSE_S = 10.0


class TalkbackPort(Protocol):
    """What it needs of the call around it."""

    executor: Executor

    async def turn(self) -> None: ...

    def send(self, message: duplex.FromUnit) -> None: ...

    def voice_of(self, peer: str) -> Playout: ...

    def forget_voice(self, peer: str, voice: Playout) -> None: ...

    def session_servers(self, peer: str) -> UsableServers: ...

    def media(self, peer: str, connected: bool) -> None: ...


class Talkback:
    """`run()` keeps one session after another until cancelled; the rest is on the loop and does not block."""

    def __init__(self, peer: str, port: TalkbackPort, log: Logger) -> None:
        self.peer = peer
        self._port = port
        self._log = log.bind(peer=peer)
        self._session: ListenSession | None = None
        self._over = asyncio.Event()
        self._hurry = asyncio.Event()
        self._bad_since_s: float | None = None
        self._heard = 0
        self._heard_s = 0.0

    @property
    def connected(self) -> bool:
        return self._session is not None and self._session.connected

    def answer(self, sdp: str) -> None:
        if self._session is None:
            return
        try:
            self._session.set_answer(sdp)
        except WireError as error:
            self._log.warning("answer refused", reason=str(error))
            self._over.set()

    def candidate(self, mline: int, candidate: str) -> None:
        if self._session is not None:
            self._session.add_candidate(mline, candidate)

    def restart(self) -> None:
        """Give up the session and offer another."""
        self._over.set()

    def again(self) -> None:
        """As `restart`, at once, whatever went before."""
        self._hurry.set()
        self._over.set()

    def prove(self, is_new_path: bool = False) -> None:
        """Its way is HTTP: there is no link to come back."""

    def look(self, camera: str, pip: str | None) -> None:
        """There is no picture here."""

    def push_voice(self, pcm: bytes) -> None:
        """The caller's voice goes by another session."""

    async def run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._port.turn()
            lasted = await self._one_session()
            pause_s = FIRST_PAUSE_S if lasted else min(2 * pause_s, LONGEST_PAUSE_S)
            await set_within(self._hurry, pause_s)

    async def _one_session(self) -> bool:
        self._over = asyncio.Event()
        self._hurry.clear()
        self._bad_since_s, self._heard = None, 0
        port = self._port
        voice = port.voice_of(self.peer)
        session = self._session = ListenSession(self.peer, self, voice, port.executor, port.session_servers(self.peer))
        started_s = self._heard_s = time.monotonic()
        was_connected = False
        try:
            await session.start()
            while not await set_within(self._over, TICK_S):
                was_connected = was_connected or session.connected
                session.poll(self._judge)
                now_s = time.monotonic()
                if not was_connected and now_s - started_s > CONNECT_TIMEOUT_S:
                    break
                if self._bad_since_s is not None and now_s - self._bad_since_s > DISCONNECTED_FOR_S:
                    break
                if now_s - self._heard_s > SILENT_AFTER_S:
                    break
                if reason := session.deaf():
                    self._log.warning("session is made anew", reason=reason)
                    break
        finally:
            self._session = None
            port.media(self.peer, False)
            port.forget_voice(self.peer, voice)
            await asyncio.wait({asyncio.create_task(session.close())}, timeout=CLOSE_WITHIN_S)
        return was_connected

    def _judge(self, stats: LinkStats) -> None:
        if stats.heard > self._heard:
            self._heard_s = time.monotonic()
        self._heard = stats.heard

    # --- what the session tells -------------------------------------------------------------------------------------

    def session_offers(self, session: PeerSession, sdp: str) -> None:
        self._port.send(duplex.Offer(peer=self.peer, sdp=sdp))

    def session_candidate(self, session: PeerSession, mline: int, candidate: str) -> None:
        if len(candidate) <= duplex.MAX_CANDIDATE_BYTES:
            self._port.send(duplex.Ice(peer=self.peer, candidate=candidate, sdp_mline_index=mline))

    def session_state(self, session: PeerSession, state: str, detail: str) -> None:
        if session is not self._session:
            return  # one that was given up
        self._log.info("talkback", state=state, detail=detail)
        match state:
            case "connected":
                self._bad_since_s = None
                self._heard_s = time.monotonic()
                self._port.media(self.peer, True)
            case "disconnected":
                self._bad_since_s = time.monotonic()
            case "failed" | "closed" | "error":
                self._over.set()

    def session_feedback(self, session: PeerSession, fci: bytes, at_s: float) -> None:
        """Nothing is sent that could be reported."""

    def session_wants_keyframe(self, session: PeerSession) -> None:
        """No picture is sent here."""
