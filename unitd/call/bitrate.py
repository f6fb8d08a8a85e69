"""What is sent to one far end: the one place that decides. Pure: no clock, no I/O, nothing raised.

Fed with what was sent, with transport-wide feedback, with reports; asked for a `Decision`. Voice's bits are taken off
the link's capacity before anything else (C1). docs/design/live-call.md, "The controller", has the idea,
docs/adr/0012-our-own-congestion-control.md why it is ours. Times are seconds of one monotonic clock.
"""

from collections.abc import Iterable
from dataclasses import replace

from unitd.call.congestion.capacity import Capacity, growth_of
from unitd.call.congestion.decision import Decision
from unitd.call.congestion.ladder import LEAST_BIT_S, USABLE, Fit, Ladder, fits
from unitd.call.congestion.losses import LossWatch
from unitd.call.congestion.pacer import START_PACE_BIT_S, known_pace_bit_s, pace_bit_s, unknown_pace_bit_s
from unitd.call.congestion.packet_log import Kind
from unitd.call.congestion.patience import Patience
from unitd.call.congestion.reports import GOOD_LOSS, GOOD_ROUND_TRIP_S, collapsed, control_for, decide
from unitd.call.congestion.voice_plan import VoicePlan
from unitd.call.congestion.words import words_for
from unitd.call.rtc.linkstats import LinkStats
from unitd.messages.duplex import Step

LOW_BIT_S = (80_000.0, 400_000.0)
STILLS_BIT_S = (30_000.0, 120_000.0)
UNSEEN_S, STILLS_SHARE = 1.0, 0.8
LOW_SHARE, LEAST_FACTOR = 0.85, 1.1
"""Of what is left to it: a re-encoder's keyframes are larger than its average."""
START_CAME_BYTES = 8_000
"""No train before so much of it has come: on a thin link the second one would stand behind the first."""
RESEND_SHARE, LOW_RESEND_SHARE = 0.15, 0.25
"""A small picture's packets are few, and each missing one costs a keyframe."""
RESEND_OF_SPARE, MOST_RESEND_SHARE = 0.5, 0.5
"""Where there is room: of a keyframe several packets are lost at once, and some of them twice."""
RESEND_NOT_AFTER_S = 0.5
ROOM_CLEAN_S, UNASKED_LOSS, UNASKED_FOR_S = 3.0, 0.02, 5.0
"""A second loss of the same packet costs the picture another round trip, and all pictures behind it wait for it."""
FULL_QUEUE_S = 0.15
CLEAN_QUEUE_S = 0.05
NO_FEEDBACK_S = 3.0
"""So long without any although it was agreed on: the reports are believed instead."""
SILENT_S = 0.9
LONG_SILENCE_S = 5.0
"""After a longer one the link is taken for another one."""
CLEARLY_LESS = 0.75
OVER_MAIN_S = 0.05
OVER_FOR_S = (0.3, 1.0)
"""How long too much has to come through before a step is given up: for main two feedbacks, because a picture is left;
for the small ones longer, when it is clearly too much and else. A stall of the radio, or somebody else's burst, is over
by then, and what came through best meanwhile is what counts."""
UNKNOWN_S = 2.0
"""After the start, or a long silence, the first evidence is believed."""
OVER_GAP_S = 0.5
STANDING_QUEUE_S, STANDING_FOR_S, STANDING_AGAIN_S = 0.2, 2.0, 10.0
CREPT_S = 0.08
"""Where the rate is ours a lesser one is enough, for it is the voice that waits in it."""
CLEAN_REPORTS = 2
"""So many good reports in a row, and the pace of a far end without feedback is eased."""
PIP_HEADROOM, PIP_CLEAN_S = 1.4, 8.0
UNTIL_KNOWN_BIT_S: dict[Step, float] = {"main": 2_000_000.0, "sub": 400_000.0}
PACKETING = 1.06
"""RTP, UDP and IP headers over a picture stream in packets of 1200 bytes."""


class Controller:
    """One far end's. `has_feedback`: it agreed to send transport-wide feedback; else its reports are judged.

    `steps` are those there are, best first. `known_bit_s` is what this link carried a moment ago, if anybody knows.
    Nothing here raises, whatever comes in; a target is never below nothing and the voice's reserve never touched.
    """

    def __init__(
        self, steps: tuple[Step, ...], now_s: float, *, has_feedback: bool, known_bit_s: float | None = None
    ) -> None:
        self._steps = steps
        self._has_feedback = self._believed = has_feedback
        self._began_s, self._began_bytes = now_s, (0, 0)
        self._needs = {step: PACKETING * bit_s for step, bit_s in UNTIL_KNOWN_BIT_S.items()}
        self._pip_bit_s = 0.0
        self._pip = False
        self.capacity = Capacity(known_bit_s)
        self._voice = VoicePlan()
        self._losses = LossWatch()
        first: Step = "sub" if has_feedback and "sub" in steps else steps[0]
        if known_bit_s is not None and fits(steps[0], self._fit(now_s)):
            first = steps[0]
        self._ladder = Ladder(steps, first, now_s)
        self._reports = control_for(steps, now_s)
        self._reported = LinkStats()
        self._feedback_s: float | None = None
        self._heard_s = now_s
        self._second_s = now_s
        self._ticked_s = now_s
        self._congested_s = self._over_s = self._over_since_s = -1e9
        self._over_best_bit_s = 0.0
        self._unclean_s = now_s
        self._standing_since_s: float | None = None
        self._standing_judged_s = -1e9
        self._lossy: tuple[float, float] | None = None
        self._unseen_s = now_s
        self._flushes = 0
        self._loss = 0.0
        self._lost_s = -1e9
        self._patience = Patience()
        self._clean_reports = 0
        self._seen_received = 0

    # --- in ---------------------------------------------------------------------------------------------------------

    def needs(self, bit_s: dict[Step, float], pip_bit_s: float = 0.0) -> None:
        """What the streams passed through take by themselves, without packet headers."""
        self._needs.update({step: PACKETING * rate for step, rate in bit_s.items()})
        self._pip_bit_s = PACKETING * pip_bit_s

    def sent(self, packets: Iterable[tuple[int, int, float, Kind]]) -> None:
        """Packets that have left: (transport-wide sequence number, bytes of RTP, when, kind)."""
        for packet in packets:
            self.capacity.sent(*packet)

    def feedback(self, fci: bytes, now_s: float) -> None:
        """One transport-wide feedback as it came; what is none is counted and changes nothing."""
        silent_s = 0.0 if self._feedback_s is None else now_s - self._feedback_s
        if not self.capacity.read(fci, now_s, is_back=silent_s > SILENT_S):
            return
        self._feedback_s = now_s
        self._believed = True
        if silent_s > SILENT_S:
            self._back(silent_s, now_s)
            return
        if self.capacity.train_answered:
            self._ladder.proved(now_s)
        if self.capacity.is_exceeded:
            self._exceeded(now_s)

    def report(self, stats: LinkStats, now_s: float) -> None:
        """One reading of the far end's reports."""
        had = (self._reported.picture_received, self._reported.voice_received)
        if (stats.picture_received, stats.voice_received) != had:
            self._heard_s = now_s
        self._reported = stats
        if not self._by_feedback(now_s):
            if self._believed:
                self._believed = False
                self._reports = replace(self._reports, at=self._steps.index(self._ladder.step), stepped_s=now_s)
            before = self._reports.step
            self._reports = decide(self._reports, stats, now_s)
            self._note_clean(stats)
            self._loss = max(stats.picture_loss or 0.0, stats.voice_loss or 0.0)
            self._follow_reports(before)

    def _note_clean(self, stats: LinkStats) -> None:
        if stats.picture_loss is None or (stats.round_trip_s or 0.0) > GOOD_ROUND_TRIP_S:
            self._clean_reports = 0
        elif stats.picture_received != self._seen_received:
            self._clean_reports = self._clean_reports + 1 if stats.picture_loss <= GOOD_LOSS else 0
        self._seen_received = stats.picture_received

    def asked_again(self, asked: int, sent: int, now_s: float) -> None:
        """The far end asked for `asked` of the last moments' `sent` packets of the picture again."""
        if not self._by_feedback(now_s):
            before = self._reports.step
            self._reports = collapsed(self._reports, asked, sent, now_s)
            self._follow_reports(before)

    def take_lost(self) -> list[int]:
        """The numbers of the picture's packets that the last feedback told lost; once."""
        lost, self.capacity.lost = self.capacity.lost, []
        return lost

    # --- out --------------------------------------------------------------------------------------------------------

    def decide(self, now_s: float) -> Decision:
        """What is to be sent from now on; to be asked some ten times a second."""
        by_feedback = self._by_feedback(now_s)
        holds = by_feedback and self._feedback_s is not None and now_s - self._feedback_s > SILENT_S
        if by_feedback and self._feedback_s is not None and not holds:
            self._tick(now_s)
        self._ticked_s = now_s
        step = self._ladder.step if by_feedback else self._reports.step
        capacity_bit_s = self.capacity.bit_s if by_feedback else None
        left_bit_s = None if capacity_bit_s is None else max(0.0, capacity_bit_s - self._voice.cost_bit_s)
        self._voice.follow(capacity_bit_s, self._loss, now_s)
        target_bit_s = self._target(step, left_bit_s)
        self._note_unseen(target_bit_s if step == "stills" and not holds else 0.0, now_s)
        return Decision(
            step=step,
            target_bit_s=target_bit_s,
            pace_bit_s=self._pace(step, left_bit_s, now_s),
            low_bit_s=int(self._low_bit_s(left_bit_s)),
            voice_bit_s=self._voice.bit_s,
            voice_is_lossy=self._voice.is_lossy,
            resend_bit_s=self._resend(step, target_bit_s, left_bit_s, holds, now_s),
            resends_unasked=self._resends_unasked(step, now_s),
            pip=step == "main" and (self._pip if by_feedback else self._clean_reports >= CLEAN_REPORTS),
            words=words_for(step, holds),
            holds=holds,
            flushes=self._flushes,
            trains=self._ladder.trains,
            capacity_bit_s=capacity_bit_s,
            queue_s=self.capacity.delay.queue_s,
            loss=self._loss,
            round_trip_s=self._reported.round_trip_s or 0.0,
        )

    # --- how --------------------------------------------------------------------------------------------------------

    def _by_feedback(self, now_s: float) -> bool:
        """Whether feedback is believed: it was agreed on, and has not stayed away while reports came in."""
        if not self._has_feedback:
            return False
        last_s = self._began_s if self._feedback_s is None else self._feedback_s
        return now_s - last_s < NO_FEEDBACK_S or self._heard_s < last_s + SILENT_S

    def _fit(self, now_s: float) -> Fit:
        delay = self.capacity.delay
        needs = dict(self._needs)
        if self._pip:
            needs["main"] += self._pip_bit_s
        queue_s = delay.queue_s
        is_clean = queue_s < CLEAN_QUEUE_S + 2 * delay.noise_s and not self.capacity.is_exceeded
        return Fit(needs, self._voice.cost_bit_s, self.capacity.bit_s, is_clean)

    def _exceeded(self, now_s: float) -> None:
        """The bottleneck has shown its rate."""
        self._unclean_s = now_s
        bit_s = self.capacity.bit_s or 0.0
        if now_s - self._over_s > OVER_GAP_S:
            self._over_since_s, self._over_best_bit_s = now_s, 0.0
        self._over_s, self._over_best_bit_s = now_s, max(self._over_best_bit_s, bit_s)
        fit = replace(self._fit(now_s), capacity_bit_s=self._over_best_bit_s)
        step = self._ladder.step
        if fits(step, fit):
            return
        need_bit_s = max(fit.need_bit_s.get(step, 0.0), LEAST_BIT_S.get(step, 0.0)) + fit.voice_cost_bit_s
        wait_s = OVER_FOR_S[0] if self._over_best_bit_s < CLEARLY_LESS * need_bit_s else OVER_FOR_S[1]
        wait_s = OVER_MAIN_S if step == "main" else wait_s
        if now_s - self._over_since_s < wait_s and now_s - self._began_s > UNKNOWN_S:
            return
        self._congested_s = now_s
        if self._pip:
            self._pip = False
            fit = replace(self._fit(now_s), capacity_bit_s=self._over_best_bit_s)
            if fits(step, fit):
                self._flushes += 1
                return
        self._down(fit, now_s)

    def _down(self, fit: Fit, now_s: float, *, at_least_one: bool = False) -> bool:
        if not self._ladder.down(fit, now_s, at_least_one=at_least_one):
            return False
        self._flushes += 1
        self._pip = False
        self._congested_s = self._unclean_s = now_s
        self.capacity.delay.judge_from(now_s)
        self._losses.forget()
        self._standing_since_s = None
        return True

    def _back(self, silent_s: float, now_s: float) -> None:
        """The link is there again; what an outage lost says nothing about what it carries."""
        self._losses.forget()
        self._standing_since_s = None
        self._lossy = None
        self._unclean_s = self._second_s = now_s
        self._flushes += 1
        if silent_s > LONG_SILENCE_S:
            self.capacity.forget()
            first: Step = "sub" if "sub" in self._steps and self._ladder.step == "main" else self._ladder.step
            self._pip = False
            self._ladder = Ladder(self._steps, first, now_s, trains=self._ladder.trains)
            self._began_s, self._began_bytes = now_s, (self.capacity.sent_bytes, self.capacity.acked_bytes)

    def _follow_reports(self, before: Step) -> None:
        if self._reports.step != before:
            self._clean_reports = 0
            if self._steps.index(self._reports.step) > self._steps.index(before):
                self._flushes += 1

    def _tick(self, now_s: float) -> None:
        fit = self._fit(now_s)
        if not fit.is_clean:
            self._unclean_s = now_s
        if now_s - self._second_s >= 1.0:
            self._second_s = now_s
            self._judge_losses(fit, now_s)
        self._judge_standing(now_s)
        if fit.is_clean:
            self.capacity.ease(now_s - self._ticked_s, now_s, growth_of(self._ladder.step))
        came_bytes = self.capacity.acked_bytes - self._began_bytes[1]
        if came_bytes < START_CAME_BYTES and now_s - self._began_s < UNKNOWN_S:
            return
        fit = self._fit(now_s)
        is_least = self._low_bit_s((fit.capacity_bit_s or 0.0) - fit.voice_cost_bit_s) < LEAST_FACTOR * LOW_BIT_S[0]
        is_over = self._patience.is_over(self._ladder.step == "low", now_s, is_least=is_least)
        if self._ladder.step == "low" and not (is_over or self._low_is_full(fit)):
            return
        sure_bit_s, last_bit_s = self.capacity.tried_bit_s(
            now_s, twice=not self._ladder.is_new(now_s), patient=self._ladder.is_patient(now_s)
        )
        self._ladder.up(replace(fit, capacity_bit_s=sure_bit_s), now_s, last_bit_s)
        if self._pip_bit_s > 0 and self._ladder.step == "main" and now_s - self._unclean_s > PIP_CLEAN_S:
            room_bit_s = PIP_HEADROOM * (self._needs["main"] + self._pip_bit_s) + self._voice.cost_bit_s
            self._pip = self._pip or (fit.capacity_bit_s or 0.0) > room_bit_s
        elif self._pip_bit_s == 0.0:
            self._pip = False

    def _judge_losses(self, fit: Fit, now_s: float) -> None:
        loss, lost = self.capacity.delay.loss()
        self._loss = loss
        if self._lossy is not None and now_s - self._lossy[1] > 2.0:
            if loss > 0.7 * self._lossy[0]:
                self._losses.not_ours(loss)
            self._lossy = None
        if self._losses.second(loss, lost):
            self.capacity.lossy()
            if self._down(self._fit(now_s), now_s, at_least_one=True):
                self._lossy = (loss, now_s)

    def _judge_standing(self, now_s: float) -> None:
        """A queue that neither grows nor goes may be another's: one step for it, and again only after a while, by when
        it counts as the way this link is."""
        delay, step = self.capacity.delay, self._ladder.step
        is_ours = step in LEAST_BIT_S
        queue_s, most_s = (delay.crept_s, CREPT_S) if is_ours else (delay.queue_s, STANDING_QUEUE_S)
        if queue_s < most_s + 2 * delay.noise_s:
            self._standing_since_s = None
            return
        if self._standing_since_s is None:
            self._standing_since_s = now_s
        if now_s - self._standing_since_s < STANDING_FOR_S or now_s - self._standing_judged_s < STANDING_AGAIN_S:
            return
        self._standing_judged_s = now_s
        if is_ours and delay.queue_s < STANDING_QUEUE_S + 2 * delay.noise_s:
            self.capacity.crept((LEAST_BIT_S[step] + self._voice.cost_bit_s) / USABLE, now_s)
            return
        self.capacity.lossy()
        self._down(self._fit(now_s), now_s, at_least_one=step == "main")

    def _note_unseen(self, bit_s: float, now_s: float) -> None:
        """What stills take; the most of the last UNSEEN_S, because feedback speaks of a moment ago."""
        if bit_s >= self.capacity.unseen_bit_s or now_s - self._unseen_s > UNSEEN_S:
            self.capacity.unseen_bit_s, self._unseen_s = bit_s, now_s

    def _low_is_full(self, fit: Fit) -> bool:
        """The re-encoder's rate has grown to where the next step is near: only then is that tried."""
        near_bit_s = min(LOW_BIT_S[1], 0.7 * self._needs["sub" if "sub" in self._steps else "main"])
        left_bit_s = (fit.capacity_bit_s or 0.0) - fit.voice_cost_bit_s
        return self._low_bit_s(left_bit_s) >= 0.95 * near_bit_s

    def _low_bit_s(self, left_bit_s: float | None) -> float:
        wanted = LOW_BIT_S[1] if left_bit_s is None else LOW_SHARE * left_bit_s
        return min(LOW_BIT_S[1], max(LOW_BIT_S[0], wanted))

    def _target(self, step: Step, left_bit_s: float | None) -> float:
        match step:
            case "main" | "sub":
                need_bit_s = self._needs[step] + (self._pip_bit_s if self._pip and step == "main" else 0.0)
                return need_bit_s if left_bit_s is None else min(need_bit_s, left_bit_s)
            case "low":
                return self._low_bit_s(left_bit_s)
            case "stills":
                return (
                    STILLS_BIT_S[1]
                    if left_bit_s is None
                    else max(STILLS_BIT_S[0], min(STILLS_BIT_S[1], STILLS_SHARE * left_bit_s))
                )
            case "voice":
                return 0.0

    def _pace(self, step: Step, left_bit_s: float | None, now_s: float) -> float:
        if left_bit_s is None:
            if not self._by_feedback(now_s):
                return pace_bit_s(self._needs.get(step, START_PACE_BIT_S), self._clean_reports >= CLEAN_REPORTS, 0)
            return unknown_pace_bit_s(self.capacity.sent_bytes - self._began_bytes[0])
        delay = self.capacity.delay
        return known_pace_bit_s(
            left_bit_s,
            self._needs.get(step, 0.0),
            delay.queue_s - 2 * delay.noise_s,
            is_limit=self.capacity.is_limit,
            is_congested=now_s - self._congested_s <= RESEND_NOT_AFTER_S,
        )

    def _resends_unasked(self, step: Step, now_s: float) -> bool:
        if self._loss > UNASKED_LOSS:
            self._lost_s = now_s
        return self._has_room(step, now_s) and now_s - self._lost_s < UNASKED_FOR_S

    def _has_room(self, step: Step, now_s: float) -> bool:
        return step in ("main", "sub") and now_s - self._unclean_s > ROOM_CLEAN_S

    def _resend(self, step: Step, target_bit_s: float, left_bit_s: float | None, holds: bool, now_s: float) -> float:
        is_full = self.capacity.delay.queue_s > FULL_QUEUE_S + 2 * self.capacity.delay.noise_s
        if holds or is_full or now_s - self._congested_s < RESEND_NOT_AFTER_S:
            return 0.0
        share = LOW_RESEND_SHARE if step == "low" else RESEND_SHARE
        if left_bit_s is not None and self._has_room(step, now_s):
            spare_bit_s = RESEND_OF_SPARE * (left_bit_s - target_bit_s)
            return min(MOST_RESEND_SHARE * target_bit_s, max(share * target_bit_s, spare_bit_s))
        return share * target_bit_s
