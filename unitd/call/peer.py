"""One operator's console for as long as it is there: offered a session, offered again when that fails."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Literal, Protocol

from unitd.call.congestion.reports import (
    GOOD_LOSS,
    GOOD_ROUND_TRIP_S,
    PictureControl,
    collapsed,
    control_for,
    decide,
)
from unitd.call.link.ice_servers import UsableServers
from unitd.call.picture.corner import Corner
from unitd.call.picture.feeds import Feeds
from unitd.call.picture.still_parts import Still
from unitd.call.picture.view import PeerView
from unitd.call.rtc.linkstats import LinkStats
from unitd.call.rtc.session import PeerSession
from unitd.errors import WireError
from unitd.messages import duplex
from unitd.messages.duplex import Step
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

CONNECT_TIMEOUT_S = 15.0
DISCONNECTED_FOR_S = 5.0
SILENT_AFTER_S = 15.0
"""Without a packet from the far end the session is given up; a link that comes back sooner goes on as it was."""
OUTAGE_S = 2.5
OUTAGE_REPORTS_S = 3.0
TICK_S = 0.2
STATS_EVERY_TICKS = 3
LAST_MOMENTS_TICKS = 4
TELL_EVERY_TICKS = 5
CLEAN_REPORTS = 2
"""So many good reports in a row, and the pace is eased."""
KEYFRAME_REPLAY_S = 1.0
FIRST_LOW_BIT_S = 200_000.0
FIRST_PAUSE_S = 0.3
LONGEST_PAUSE_S = 5.0

Name = Literal["call_offered", "call_connected", "call_lost"]


class PeerPort(Protocol):
    """What a peer needs of the call around it."""

    feeds: Feeds
    executor: Executor

    async def turn(self) -> None:
        """Wait until another session may be set up."""

    def send(self, message: duplex.FromUnit) -> None: ...

    def is_duplex(self, peer: str) -> bool: ...

    def session_servers(self, peer: str) -> UsableServers: ...

    def voice_of(self, peer: str) -> Callable[[bytes], None]: ...

    def forget_voice(self, peer: str) -> None: ...

    def report(self, name: Name, peer: str) -> None: ...


class Peer:
    """`run()` keeps one session after another until cancelled; the rest is on the loop and does not block."""

    def __init__(self, peer: str, port: PeerPort, log: Logger) -> None:
        self.peer = peer
        self._port = port
        self._log = log.bind(peer=peer)
        self._session: PeerSession | None = None
        self._over = asyncio.Event()
        self._bad_since_s: float | None = None
        self.view = PeerView(port.feeds, self, self._log)
        self.corner = Corner(port.feeds, self._log)
        self._control: PictureControl = control_for(self.view.steps, 0.0)
        self._replayed_s = 0.0
        self._heard_s = 0.0
        self._outage_until_s = 0.0
        self._resends: deque[tuple[int, int]] = deque(maxlen=LAST_MOMENTS_TICKS)
        self._clean_reports = 0
        self._seen_received = 0
        self.stats = LinkStats()
        self.sessions = 0
        self.refused_answers = 0

    @property
    def connected(self) -> bool:
        return self._session is not None and self._session.connected

    @property
    def step(self) -> Step:
        return self.view.step

    def look(self, camera: str, pip: str | None) -> None:
        """The console asks to see this camera, and `pip` in its corner; a name that is unknown changes nothing."""
        self.view.look(camera)
        self.corner.ask(pip)

    # --- signalling -------------------------------------------------------------------------------------------------

    def answer(self, sdp: str) -> None:
        if self._session is None:
            return
        try:
            self._session.set_answer(sdp)
        except WireError as error:
            self.refused_answers += 1
            if self.refused_answers.bit_count() == 1:  # the 1st, 2nd, 4th: a flood does not fill the log
                self._log.warning("answer refused", reason=str(error), refused=self.refused_answers)

    def candidate(self, mline: int, candidate: str) -> None:
        if self._session is not None:
            self._session.add_candidate(mline, candidate)

    def restart(self) -> None:
        """Give up the session and offer another."""
        self._over.set()

    def push_voice(self, pcm: bytes) -> None:
        if self._session is not None:
            self._session.push_voice(pcm)

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._port.turn()
            lasted = await self._one_session()
            pause_s = FIRST_PAUSE_S if lasted else min(2 * pause_s, LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret

    async def _one_session(self) -> bool:
        """Whether it was connected at all."""
        self._over = asyncio.Event()
        self._bad_since_s = None
        self.stats = LinkStats()
        self.sessions += 1
        was_connected = False
        self._resends.clear()
        self._clean_reports = 0
        ticks = 0
        is_duplex = self._port.is_duplex(self.peer)
        session = self._session = PeerSession(
            self.peer,
            self,
            self._port.voice_of(self.peer),
            self._port.executor,
            data=is_duplex,
            hears=is_duplex,
            servers=self._port.session_servers(self.peer),
            pip=is_duplex and len(self._port.feeds.cameras) > 1,
        )
        session.on_pip_keyframe = self.corner.renew
        started_s = time.monotonic()
        try:
            await session.start()
            while not self._over.is_set():
                if not await set_within(self._over, TICK_S):
                    ticks += 1
                    self._watch_resends(session)
                    if ticks % STATS_EVERY_TICKS == 0:
                        session.poll(self._judge)
                    if ticks % TELL_EVERY_TICKS == 0 and session.connected:
                        self._tell()
                was_connected = was_connected or session.connected
                now_s = time.monotonic()
                if not was_connected and now_s - started_s > CONNECT_TIMEOUT_S:
                    self._log.warning("peer did not connect", within_s=CONNECT_TIMEOUT_S)
                    break
                if self._bad_since_s is not None and now_s - self._bad_since_s > DISCONNECTED_FOR_S:
                    break
        finally:
            self.view.close()
            self.corner.close()
            if session.connected:
                self._port.report("call_lost", self.peer)
            self._port.forget_voice(self.peer)
            self._session = None
            await asyncio.shield(session.close())
        return was_connected

    # --- what the session tells -------------------------------------------------------------------------------------

    def session_offers(self, session: PeerSession, sdp: str) -> None:
        self._port.send(duplex.Offer(peer=self.peer, sdp=sdp))
        self._port.report("call_offered", self.peer)

    def session_candidate(self, session: PeerSession, mline: int, candidate: str) -> None:
        if len(candidate) <= duplex.MAX_CANDIDATE_BYTES:
            self._port.send(duplex.Ice(peer=self.peer, candidate=candidate, sdp_mline_index=mline))

    def session_state(self, session: PeerSession, state: str, detail: str) -> None:
        self._log.info("peer", state=state, detail=detail)
        match state:
            case "connected":
                self._bad_since_s = None
                self._heard_s = time.monotonic()
                if not self.view.is_open:
                    self._control = control_for(self.view.steps, time.monotonic())
                    self._port.report("call_connected", self.peer)
                    session.picture.pace(self.view.stream_bit_s, is_clean=False)
                    self.view.follow(self._control.step, FIRST_LOW_BIT_S)
                    self._replayed_s = time.monotonic()
                    self.view.open(session.picture)
                    if session.pip is not None and session.has_pip:
                        self.corner.open(session.pip)
            case "disconnected":
                self._bad_since_s = time.monotonic()
            case "failed" | "closed" | "error":
                self._over.set()

    def session_wants_keyframe(self, session: PeerSession) -> None:
        now_s = time.monotonic()
        if now_s - self._replayed_s > KEYFRAME_REPLAY_S:
            self._replayed_s = now_s
            self.view.renew()

    # --- picture ----------------------------------------------------------------------------------------------------

    def _judge(self, stats: LinkStats) -> None:
        now_s = time.monotonic()
        silent_s = now_s - self._heard_s
        if stats.heard > self.stats.heard:  # fewer: a source of before was forgotten
            self._heard_s = now_s
            if silent_s > OUTAGE_S:
                self._log.info("link back", after_s=round(silent_s, 1))
                self._outage_until_s = now_s + OUTAGE_REPORTS_S
        elif silent_s > SILENT_AFTER_S:
            self._log.warning("peer silent", for_s=round(silent_s, 1))
            self._over.set()
        self.stats = stats
        if silent_s > OUTAGE_S or now_s < self._outage_until_s:
            return  # what an outage lost says nothing about what the link can carry
        self._note_clean(stats)
        self._follow(decide(self._control, stats, now_s))

    def _note_clean(self, stats: LinkStats) -> None:
        if stats.picture_loss is None or (stats.round_trip_s or 0.0) > GOOD_ROUND_TRIP_S:
            self._clean_reports = 0
        elif stats.picture_received != self._seen_received:
            self._clean_reports = self._clean_reports + 1 if stats.picture_loss <= GOOD_LOSS else 0
        self._seen_received = stats.picture_received

    def _watch_resends(self, session: PeerSession) -> None:
        """What the far end asks for again tells of a collapse long before its report does."""
        if not session.connected:
            return
        now_s = time.monotonic()
        self.view.tick()
        self.corner.tick()
        if session.pip is not None and session.has_pip:
            self.corner.follow(self._control.step == "main" and self._clean_reports >= CLEAN_REPORTS)
            session.pip.pace(self.corner.stream_bit_s, self._clean_reports >= CLEAN_REPORTS)
        session.picture.pace(self.view.stream_bit_s, self._clean_reports >= CLEAN_REPORTS)
        self._resends.append(session.resends())
        asked_again, sent = (self._resends[-1][index] - self._resends[0][index] for index in (0, 1))
        if now_s - self._heard_s < OUTAGE_S and now_s > self._outage_until_s:
            self._follow(collapsed(self._control, asked_again, sent, now_s), asked_again=asked_again, sent=sent)

    def _follow(self, control: PictureControl, **why: int) -> None:
        """Make the picture agree with the control."""
        before, self._control = self._control.step, control
        if control.step == before:
            return
        stats = self.stats
        self._log.info(
            "picture step",
            step=control.step,
            picture_loss=stats.picture_loss,
            voice_loss=stats.voice_loss,
            round_trip_s=stats.round_trip_s,
            **why,
        )
        self._clean_reports = 0
        self._resends.clear()
        self._replayed_s = time.monotonic()
        self.view.follow(control.step, FIRST_LOW_BIT_S)

    def _tell(self) -> None:
        """Say to the console what it is sent: a picture never goes, or stands, without a word."""
        stats = self.stats
        self._port.send(
            duplex.Link(
                peer=self.peer,
                step=self.view.step,
                camera=self.view.camera or "",
                pip=self.corner.camera,
                kbit_s=round((self.view.sending_bit_s + self.corner.sending_bit_s) / 1000),
                loss_percent=round(100 * max(stats.picture_loss or 0.0, stats.voice_loss or 0.0), 1),
                round_trip_ms=round(1000 * (stats.round_trip_s or 0.0)),
            )
        )

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
