"""What one far end sees, kept in agreement with what the controller decides; one for as long as the peer is there."""

import asyncio
import time
from collections import deque
from typing import Protocol

from unitd.call.bitrate import Controller
from unitd.call.congestion.decision import Decision
from unitd.call.congestion.pacer import START_LOOK_S
from unitd.call.congestion.train import planned
from unitd.call.congestion.uncontrolled import Uncontrolled
from unitd.call.picture.corner import Corner
from unitd.call.picture.feeds import Feeds
from unitd.call.picture.stills import StillPort
from unitd.call.picture.view import PeerView
from unitd.call.rtc.linkstats import LinkStats
from unitd.call.rtc.session import PeerSession
from unitd.call.staying import Staying
from unitd.messages import duplex
from unitd.messages.duplex import Step
from unitd.runtime.logs import Logger

OUTAGE_S = 2.5
OUTAGE_REPORTS_S = 3.0
LAST_MOMENTS_TICKS = 8
KEYFRAME_REPLAY_S = 1.0
RATE_CHANGE = 0.04
"""A smaller one is not worth an encoder's attention."""
MEND_LEAST_S = 1.5


class PicturePort(Protocol):
    """What it needs of the call around it."""

    feeds: Feeds

    def send(self, message: duplex.FromUnit) -> None: ...


class PeerPicture:
    """`renew`, `begin` and `end` follow the sessions; `tick`, ten times a second, and each feedback of a session make
    what it sends agree with the decision. All on the loop; nothing blocks."""

    def __init__(
        self, peer: str, port: PicturePort, stills: StillPort, make: type[Controller | Uncontrolled], log: Logger
    ) -> None:
        self._peer = peer
        self._port = port
        self._make = make
        self._log = log
        self.view = PeerView(port.feeds, stills, log)
        self.corner = Corner(port.feeds, log)
        self.stats = LinkStats()
        self._staying = Staying()
        self._controller = make(self.view.steps, time.monotonic(), has_feedback=False)
        self._decision: Decision = self._controller.decide(time.monotonic())
        self._followed_bit_s = 0.0
        self._refused = 0
        self._owes_keyframe = False
        self._mended_s = 0.0
        self._replayed_s = 0.0
        self._outage_until_s = 0.0
        self._resends: deque[tuple[int, int]] = deque(maxlen=LAST_MOMENTS_TICKS)

    # --- sessions ---------------------------------------------------------------------------------------------------

    def renew(self, staying: Staying, has_stills: bool) -> None:
        """Another session is made; `staying` is told what is heard of it."""
        self._staying = staying
        self.stats = LinkStats()
        self._resends.clear()
        self.view.has_stills = has_stills

    def end(self) -> None:
        """The session has ended. What was asked for is kept for the next one."""
        self.view.close()
        self.corner.close()

    def wants_keyframe(self) -> None:
        """The far end has lost its picture; every KEYFRAME_REPLAY_S at most."""
        now_s = time.monotonic()
        if now_s - self._replayed_s > KEYFRAME_REPLAY_S:
            self._replayed_s = now_s
            self.view.renew()

    def begin(self, session: PeerSession) -> None:
        """Connected: from now on the controller decides."""
        now_s = time.monotonic()
        self._controller = self._make(self.view.steps, now_s, has_feedback=session.has_feedback)
        self._controller.needs(self._needs())
        self._decision = decision = self._controller.decide(now_s)
        session.picture.set_pace(decision.pace_bit_s)
        self.view.follow(decision.step, _picture_bit_s(decision))
        self._replayed_s = now_s
        self.view.open(session.picture)
        if session.pip is not None and session.has_pip:
            self.corner.open(session.pip)
        asyncio.get_running_loop().call_later(START_LOOK_S, self.tick, session)

    # --- what the far end reports -------------------------------------------------------------------------------------

    def feedback(self, session: PeerSession, fci: bytes, at_s: float) -> None:
        """Transport-wide feedback as it came."""
        self._controller.sent(session.feedback.sent())
        self._controller.feedback(fci, at_s)
        if self._decision.resends_unasked:
            session.feedback.resend(self._controller.take_lost())
        self._staying.heard_s = at_s
        self._obey(session)

    def report(self, stats: LinkStats) -> None:
        """A reading of the session's figures."""
        now_s = time.monotonic()
        silent_s = now_s - self._staying.heard_s
        if stats.heard > self.stats.heard:  # fewer: a source of before was forgotten
            self._staying.heard_s = now_s
            if silent_s > OUTAGE_S:
                self._log.info("link back", after_s=round(silent_s, 1))
                self._outage_until_s = now_s + OUTAGE_REPORTS_S
        self.stats = stats
        if silent_s > OUTAGE_S or now_s < self._outage_until_s:
            return  # what an outage lost says nothing about what the link can carry
        self._controller.report(stats, now_s)

    # --- making it so -------------------------------------------------------------------------------------------------

    def tick(self, session: PeerSession) -> None:
        """To be called ten times a second."""
        if not session.connected:
            return
        self.view.tick()
        self.corner.tick()
        now_s = time.monotonic()
        self._controller.needs(self._needs(), self.corner.need_bit_s)
        self._controller.sent(session.feedback.sent())
        self._resends.append(session.resends())
        asked_again, sent = (self._resends[-1][index] - self._resends[0][index] for index in (0, 1))
        if now_s - self._staying.heard_s < OUTAGE_S and now_s > self._outage_until_s:
            self._controller.asked_again(asked_again, sent, now_s)
        self._obey(session)

    def _needs(self) -> dict[Step, float]:
        """What the camera's streams take by themselves."""
        needs: dict[Step, float] = {}
        for step in ("main", "sub"):
            stream = self._port.feeds.get(self.view.camera, step)
            if stream is not None:
                needs[step] = stream.rate.bit_s
        return needs

    def _obey(self, session: PeerSession) -> None:
        """Make what is sent agree with the decision."""
        before, decision = self._decision, self._controller.decide(time.monotonic())
        self._decision = decision
        for track in (session.picture, session.pip):
            if track is not None:
                track.set_pace(decision.pace_bit_s)
                track.hold(decision.holds)
        session.voice.set_rate(decision.voice_bit_s, decision.voice_is_lossy)
        session.feedback.budget.rate_bit_s = decision.resend_bit_s
        if decision.flushes != before.flushes:
            session.picture.flush()
        if decision.step != before.step:
            self._log.info(
                "picture step",
                step=decision.step,
                capacity_kbit_s=round((decision.capacity_bit_s or 0.0) / 1000),
                queue_ms=round(1000 * decision.queue_s),
                loss=round(decision.loss, 3),
                round_trip_s=decision.round_trip_s,
            )
            self._resends.clear()
            self._replayed_s = time.monotonic()
        bit_s = _picture_bit_s(decision)
        if decision.step != before.step or abs(bit_s - self._followed_bit_s) > RATE_CHANGE * self._followed_bit_s:
            self._followed_bit_s = bit_s
            self.view.follow(decision.step, bit_s)
        elif (before.holds and not decision.holds) or decision.flushes != before.flushes:
            self.view.renew()
        self._mend(session, decision)
        if session.pip is not None and session.has_pip:
            self.corner.follow(decision.pip)
        if decision.trains != before.trains:
            session.feedback.send_train(planned(decision.capacity_bit_s))

    def _mend(self, session: PeerSession, decision: Decision) -> None:
        """A packet that was asked for and not sent again leaves a browser without a picture until it asks for a
        keyframe, some 3.5 s later. In the low step it gets one unasked, as soon as the link takes resends again."""
        refused, now_s = session.feedback.budget.refused, time.monotonic()
        self._owes_keyframe = self._owes_keyframe or refused > self._refused
        self._refused = refused
        if decision.step != "low":
            self._owes_keyframe = False
        elif self._owes_keyframe and decision.resend_bit_s > 0 and now_s - self._mended_s > MEND_LEAST_S:
            self._owes_keyframe, self._mended_s = False, now_s
            self.view.renew()

    def tell(self) -> None:
        """Say to the console what it is sent: a picture never goes, or stands, without a word."""
        stats = self.stats
        self._port.send(
            duplex.Link(
                peer=self._peer,
                step=self.view.step,
                camera=self.view.camera or "",
                pip=self.corner.camera,
                kbit_s=round((self.view.sending_bit_s + self.corner.sending_bit_s) / 1000),
                capacity_kbit_s=round((self._decision.capacity_bit_s or 0.0) / 1000),
                loss_percent=round(100 * self._decision.loss, 1),
                round_trip_ms=round(1000 * (stats.round_trip_s or 0.0)),
                words="; ".join(filter(None, (self._decision.words, self.view.trouble))),
            )
        )


def _picture_bit_s(decision: Decision) -> float:
    """What a step whose rate is ours may take."""
    return decision.low_bit_s if decision.step == "low" else decision.target_bit_s
