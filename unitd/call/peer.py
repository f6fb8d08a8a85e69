"""One operator's console for as long as it is there: offered a session, offered again when that fails."""

import asyncio
import random
import time
from concurrent.futures import Executor
from typing import Literal, Protocol

from unitd.call.bitrate import Controller
from unitd.call.congestion.uncontrolled import Uncontrolled
from unitd.call.link.ice_servers import UsableServers
from unitd.call.peer_picture import PeerPicture
from unitd.call.picture.feeds import Feeds
from unitd.call.picture.still_parts import Still
from unitd.call.rtc.linkstats import LinkStats
from unitd.call.rtc.session import PeerSession
from unitd.call.rtc.session_events import AnsweredTwiceError
from unitd.call.staying import Staying
from unitd.call.voice.playout import Playout
from unitd.errors import WireError
from unitd.messages import duplex
from unitd.messages.duplex import Step
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

CONNECT_TIMEOUT_S = 15.0
TICK_S = 0.1
STATS_EVERY_TICKS = 7
TELL_EVERY_TICKS = 10
START_WITHIN_S = 15.0
CLOSE_WITHIN_S = 5.0
"""An end that hangs in the media library costs a thread; the next session does not wait for it."""
FIRST_PAUSE_S = 0.3
LONGEST_PAUSE_S = 5.0

make_controller: type[Controller | Uncontrolled] = Controller
"""Who decides. A proof puts `Uncontrolled` in its place, to show the same call without."""

Name = Literal["call_offered", "call_connected", "call_lost"]


class PeerPort(Protocol):
    """What a peer needs of the call around it."""

    feeds: Feeds
    executor: Executor

    async def turn(self) -> None:
        """Wait until another session may be set up."""

    def send(self, message: duplex.FromUnit) -> None: ...

    def is_duplex(self, peer: str) -> bool: ...

    def alive_s(self, peer: str) -> float | None:
        """For how long the signalling of this peer has been heard without a gap; None where that cannot be told."""

    def session_servers(self, peer: str) -> UsableServers: ...

    def voice_of(self, peer: str) -> Playout: ...

    def hear_letters(self, peer: str, letters: str) -> None: ...

    def forget_voice(self, peer: str, voice: Playout) -> None: ...

    def report(self, name: Name, peer: str) -> None: ...


class Peer:
    """`run()` keeps one session after another until cancelled; the rest is on the loop and does not block."""

    def __init__(self, peer: str, port: PeerPort, log: Logger) -> None:
        self.peer = peer
        self._port = port
        self._log = log.bind(peer=peer)
        self._session: PeerSession | None = None
        self._over = asyncio.Event()
        self._staying = Staying()
        self._hurry = asyncio.Event()
        self._answer = ""
        self._closing: asyncio.Task[None] | None = None
        self._picture = PeerPicture(peer, port, self, make_controller, self._log)
        self.sessions = 0
        self.refused_answers = 0

    @property
    def connected(self) -> bool:
        return self._session is not None and self._session.connected

    @property
    def step(self) -> Step:
        return self._picture.view.step

    @property
    def stats(self) -> LinkStats:
        """The last reading of the session's figures."""
        return self._picture.stats

    def look(self, camera: str, pip: str | None) -> None:
        """The console asks to see this camera, and `pip` in its corner; a name that is unknown changes nothing."""
        self._picture.view.look(camera)
        self._picture.corner.ask(pip)

    # --- signalling -------------------------------------------------------------------------------------------------

    def answer(self, sdp: str) -> None:
        if self._session is None:
            return
        try:
            self._session.set_answer(sdp)
            self._answer = sdp
        except AnsweredTwiceError:
            # Two offers have crossed, and the answer to the first was taken for the second's.
            if not self.connected and sdp != self._answer:
                self._log.info("answers have crossed")
                self.restart()
        except WireError as error:
            self.refused_answers += 1
            if self.refused_answers.bit_count() == 1:  # the 1st, 2nd, 4th: a flood does not fill the log
                self._log.warning("answer refused", reason=str(error), refused=self.refused_answers)

    def candidate(self, mline: int, candidate: str) -> None:
        if self._session is not None:
            self._session.add_candidate(mline, candidate)

    def restart(self) -> None:
        """Give up the session and offer another; a console that asks without end waits longer and longer."""
        self._over.set()

    def again(self) -> None:
        """As `restart`, at once, whatever went before."""
        self._hurry.set()
        self._over.set()

    def send_letters(self, letters: str) -> bool:
        """By the data channel; False when there is none (now)."""
        return self._session is not None and self._session.data.send_text(letters)

    def prove(self, is_new_path: bool = False) -> None:
        """The far end is there on a new link: a session that is heard goes on, another is offered afresh, at once."""
        if is_new_path or not self.connected or not self._staying.prove(time.monotonic()):
            self.again()

    def push_voice(self, pcm: bytes) -> None:
        """On any thread."""
        session = self._session
        if session is not None:
            session.push_voice(pcm)

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        try:
            await self._keep()
        finally:
            if self._closing is not None:
                await self._closed(self._closing)

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._port.turn()
            lasted = await self._one_session()
            pause_s = FIRST_PAUSE_S if lasted else min(2 * pause_s, LONGEST_PAUSE_S)
            await set_within(self._hurry, pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret

    async def _one_session(self) -> bool:
        """Whether it was connected at all."""
        self._over = asyncio.Event()
        self._hurry.clear()
        self._answer = ""
        self._staying = Staying()
        self.sessions += 1
        was_connected = False
        ticks = 0
        is_duplex = self._port.is_duplex(self.peer)
        picture = self._picture
        picture.renew(self._staying, has_stills=is_duplex)
        voice = self._port.voice_of(self.peer)
        session = self._session = PeerSession(
            self.peer,
            self,
            voice,
            self._port.executor,
            lambda letters: self._port.hear_letters(self.peer, letters),
            data=is_duplex,
            hears=is_duplex,
            servers=self._port.session_servers(self.peer),
            pip=is_duplex and len(self._port.feeds.cameras) > 1,
        )
        session.on_pip_keyframe = picture.corner.renew
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(START_WITHIN_S):
                await session.start()
            while not self._over.is_set():
                if not await set_within(self._over, TICK_S):
                    ticks += 1
                    picture.tick(session)
                    if ticks % STATS_EVERY_TICKS == 0:
                        session.poll(picture.report)
                    if ticks % TELL_EVERY_TICKS == 0 and session.connected:
                        picture.tell()
                was_connected = was_connected or session.connected
                now_s = time.monotonic()
                if not was_connected and now_s - started_s > CONNECT_TIMEOUT_S:
                    self._log.warning("peer did not connect", within_s=CONNECT_TIMEOUT_S)
                    break
                if self._is_lost(session, now_s):
                    break
        except TimeoutError:
            self._log.error("session does not start", within_s=START_WITHIN_S)
        finally:
            picture.end()
            if session.connected:
                self._port.report("call_lost", self.peer)
            self._port.forget_voice(self.peer, voice)
            self._session = None
            await self._close(session)
        return was_connected

    async def _close(self, session: PeerSession) -> None:
        """Free a session: a new one that is wanted at once does not wait for it, the one after that does."""
        before, self._closing = self._closing, asyncio.create_task(session.close())
        if before is not None:
            await self._closed(before)
        if not self._hurry.is_set():
            await self._closed(self._closing)

    async def _closed(self, closing: asyncio.Task[None]) -> None:
        await asyncio.wait({closing}, timeout=CLOSE_WITHIN_S)
        if not closing.done():
            self._log.error("session does not end", within_s=CLOSE_WITHIN_S)

    def _is_lost(self, session: PeerSession, now_s: float) -> bool:
        signalling_s = self._port.alive_s(self.peer)
        reason = self._staying.lost(now_s, session.connected, session.has_feedback, signalling_s) or session.deaf()
        if reason:
            self._log.warning("session is made anew", reason=reason, signalling_s=signalling_s)
            self._hurry.set()
        return bool(reason)

    # --- what the session tells; the word of one that was given up, on its way to the loop, is not heard ------------

    def session_offers(self, session: PeerSession, sdp: str) -> None:
        if session is self._session:
            self._port.send(duplex.Offer(peer=self.peer, sdp=sdp))
            self._port.report("call_offered", self.peer)

    def session_candidate(self, session: PeerSession, mline: int, candidate: str) -> None:
        if session is self._session and len(candidate) <= duplex.MAX_CANDIDATE_BYTES:
            self._port.send(duplex.Ice(peer=self.peer, candidate=candidate, sdp_mline_index=mline))

    def session_state(self, session: PeerSession, state: str, detail: str) -> None:
        if session is not self._session:
            return
        self._log.info("peer", state=state, detail=detail)
        match state:
            case "connected":
                self._staying.connected(time.monotonic())
                if not self._picture.view.is_open:
                    self._picture.begin(session)
                    self._port.report("call_connected", self.peer)
            case "disconnected":
                self._staying.disconnected(time.monotonic())
            case "failed" | "closed" | "error":
                self._over.set()

    def session_wants_keyframe(self, session: PeerSession) -> None:
        if session is self._session:
            self._picture.wants_keyframe()

    def session_feedback(self, session: PeerSession, fci: bytes, at_s: float) -> None:
        if session is self._session:
            self._staying.reported = True
            self._picture.feedback(session, fci, at_s)

    # --- stills -----------------------------------------------------------------------------------------------------

    def still_channel_waiting(self) -> int | None:
        """Bytes of stills on their way into the network; None without a data channel."""
        data = self._session.data if self._session is not None else None
        return data.waiting_still_bytes() if data is not None and data.stills_open else None

    def send_still_part(self, part: bytes) -> bool:
        return self._session is not None and self._session.data.send_still(part)

    def send_still_whole(self, still: Still) -> bool:
        if len(still.jpeg) > duplex.MAX_STILL_BYTES:
            return False
        caption = still.caption
        self._port.send(
            duplex.StillPart(peer=self.peer, camera=caption.camera, at_utc_us=caption.at_utc_us, jpeg=still.jpeg)
        )
        return True
