"""What the link carries, as far as feedback has shown. Pure.

A passthrough sender does not fill the link, so most of the time only "at least what is sent" is known. The bottleneck
shows its rate when its queue grows, when it drops most of what comes, and when it spreads a train.
"""

from collections import deque
from typing import NamedTuple

from unitd.call.congestion.delay import DelayWatch
from unitd.call.congestion.ladder import LEAST_BIT_S as LEAST_OF_STEP_BIT_S
from unitd.call.congestion.packet_log import Kind, PacketLog
from unitd.call.congestion.train import Train, Trains
from unitd.call.congestion.twcc import read_feedback
from unitd.messages.duplex import Step

LEAST_BIT_S = 20_000.0
LOSSY_SHARE = 0.9
CREPT_SHARE = 0.8
EASE_PER_S = 0.12
NEAR_LIMIT = 0.9
EASE_OVER_ACKED = 1.4
EASE_ALWAYS_TO_BIT_S = 100_000.0
"""While next to nothing is sent, what came through is no measure: the smallest step is tried without one."""
NEAR = 0.2
NEAR_WEIGHT = 0.25
"""One train is a rough measure: several that nearly agree are averaged."""
TRIED_TRAINS = 3
TRIED_S = 25.0
NATURAL_GROWTH = 1.3
"""A train that was not ordered shows so much more than was known at most."""
UNSEEN_SHARE = 0.75
MOST_FEEDBACK_PER_S = 40.0


class Growth(NamedTuple):
    """How slowly a rate that is ours grows near the one at which the queue grew the last time: for `for_s`, up to
    `past` times it, by `bit_s` each second or that share of it. Else it grows by EASE_PER_S."""

    past: float
    for_s: float
    bit_s: float
    share: float


CODED = Growth(1.4, 60.0, 1500.0, 0.0)
"""The small picture: each try makes the voice wait in a queue, and a train tells of a better link sooner."""
SCARCE = Growth(1.2, 30.0, 0.0, 0.025)
"""Stills or nothing: to the small picture there is no other way."""


def growth_of(step: Step) -> Growth | None:
    """Of the rate of what is sent; None where that is the camera's."""
    if step not in LEAST_OF_STEP_BIT_S:
        return None
    return CODED if step == "low" else SCARCE


class Capacity:
    """`bit_s` on the wire, voice included; None while nothing is known. `is_limit`: it is the bottleneck's own rate,
    else the link carries at least that."""

    def __init__(self, known_bit_s: float | None) -> None:
        self.bit_s = known_bit_s
        self.is_limit = False
        self.is_exceeded = False
        """By the last feedback: more was sent than comes through."""
        self.train_answered = False
        self.unseen_bit_s = 0.0
        """Sent besides of late, in packets without a number (stills over a data channel)."""
        self.sent_bytes = self.acked_bytes = 0
        self.lost: list[int] = []
        """Of the picture's packets, by the last feedback: their numbers as in the packet, 16 bits."""
        self.bad_feedback = 0
        self.too_much_feedback = 0
        self.delay = DelayWatch()
        self.log = PacketLog()
        self._trains = Trains()
        self._tried: deque[tuple[float, float]] = deque(maxlen=TRIED_TRAINS)
        self._limit = (0.0, -1e18)
        self._ignore_before_s = -1e18
        self._tokens = MOST_FEEDBACK_PER_S
        self._tokens_s: float | None = None

    def sent(self, sequence: int, size_bytes: int, sent_s: float, kind: Kind) -> None:
        self.sent_bytes += size_bytes
        self.log.add(sequence, size_bytes, sent_s, kind)

    def read(self, fci: bytes, now_s: float, *, is_back: bool) -> bool:
        """Take one feedback; False for one that is none, or one too many. With `is_back` it is the first after a
        silence, and what was sent before now is not judged."""
        self._tokens += 0.0 if self._tokens_s is None else MOST_FEEDBACK_PER_S * max(0.0, now_s - self._tokens_s)
        self._tokens = min(self._tokens, MOST_FEEDBACK_PER_S)
        self._tokens_s = now_s
        if self._tokens < 1.0:
            self.too_much_feedback += 1
            return False
        self._tokens -= 1.0
        feedback = read_feedback(fci)
        if feedback is None:
            self.bad_feedback += 1
            return False
        results = self.log.read(feedback)
        if not results:
            return False  # nothing new: made up, or an old one again
        self.is_exceeded = self.train_answered = False
        self.lost = []
        if is_back:
            self._ignore_before_s = now_s
            self.delay.forget()
            self._trains.forget()
        for packet, arrived_s in results:
            if packet.sent_s < self._ignore_before_s:
                continue
            if arrived_s is None:
                self.delay.lost(packet)
                if packet.kind == "picture":
                    self.lost.append(packet.sequence & 0xFFFF)
                continue
            self.acked_bytes += packet.size_bytes
            self.delay.arrived(packet, arrived_s)
            train = self._trains.arrived(packet, arrived_s)
            if train is not None:
                self._learn(train, now_s)
        unfinished_bit_s = self._trains.so_far()
        if unfinished_bit_s is not None and self.bit_s is None:
            self.bit_s, self.is_limit, self.is_exceeded = max(LEAST_BIT_S, unfinished_bit_s), True, True
            self._limit = (self.bit_s, now_s)
        bottleneck_bit_s = self.delay.bottleneck_bit_s()
        if bottleneck_bit_s is not None:
            self.bit_s = max(LEAST_BIT_S, bottleneck_bit_s + UNSEEN_SHARE * self.unseen_bit_s)
            self.is_limit = self.is_exceeded = True
            self._limit = (self.bit_s, now_s)
            self._tried.clear()
        return True

    def tried_bit_s(self, now_s: float, *, twice: bool, patient: bool = False) -> tuple[float | None, float | None]:
        """What the link is taken to carry when a step up is thought of, and what the last train alone said.

        The first is the second best of the last three ordered trains (with `twice`, nothing new before there are two):
        jitter spreads a train as well as a bottleneck does, but not every one; a stall squeezes one, hardly two. Who
        has been `patient` believes the best one."""
        told = [bit_s for bit_s, at_s in self._tried if now_s - at_s < TRIED_S]
        best = sorted(told, reverse=True)[:2]
        if not told or (twice and not patient and len(told) < 2):
            return self.bit_s, told[-1] if told else None
        tried_bit_s = best[0 if patient else -1]
        # Short trains are told slower rather than faster than they are; what keyframes have shown counts where near.
        return max(tried_bit_s, min(self.bit_s or 0.0, NATURAL_GROWTH * tried_bit_s)), told[-1]

    def _learn(self, train: Train, now_s: float) -> None:
        """One train. It cannot be slower than what comes through."""
        is_limit, bit_s = train.is_limit, max(train.bit_s, self.delay.acked_bit_s())
        if train.is_ordered:
            self._tried.append((bit_s, now_s))
            self.train_answered = True
        if is_limit:
            self._limit = (bit_s, now_s)
        before_bit_s = self.bit_s
        is_near = before_bit_s is not None and self.is_limit and abs(bit_s / before_bit_s - 1) < NEAR
        if is_near and before_bit_s is not None:
            self.bit_s = before_bit_s + NEAR_WEIGHT * (bit_s - before_bit_s)
        elif is_limit:
            self.bit_s, self.is_limit = max(LEAST_BIT_S, bit_s), True
        elif before_bit_s is None or bit_s > before_bit_s:
            most_bit_s = bit_s if before_bit_s is None else NATURAL_GROWTH * before_bit_s
            self.bit_s, self.is_limit = min(bit_s, most_bit_s), False

    def ease(self, elapsed_s: float, now_s: float, growth: Growth | None) -> None:
        """A clean moment: what came through is carried at least; where the rate is ours it may grow, by `growth`."""
        acked_bit_s = self.delay.acked_bit_s()
        if self.bit_s is None:
            self.bit_s = max(LEAST_BIT_S, acked_bit_s) if acked_bit_s > 0 else None
            return
        if growth is not None:
            most_bit_s = max(EASE_OVER_ACKED * (acked_bit_s + self.unseen_bit_s), EASE_ALWAYS_TO_BIT_S)
            limit_bit_s, at_s = self._limit
            is_near = NEAR_LIMIT < self.bit_s / max(1.0, limit_bit_s) < growth.past and now_s - at_s < growth.for_s
            more_bit_s = growth.bit_s + growth.share * self.bit_s if is_near else EASE_PER_S * self.bit_s
            grown_bit_s = self.bit_s + more_bit_s * min(elapsed_s, 1.0)
            self.bit_s = max(self.bit_s, min(grown_bit_s, most_bit_s))
        elif acked_bit_s > self.bit_s:
            self.bit_s = acked_bit_s

    def lossy(self) -> None:
        """Less than what comes through now is to be sent."""
        acked_bit_s = self.delay.acked_bit_s()
        if acked_bit_s > 0:
            self.bit_s = max(LEAST_BIT_S, LOSSY_SHARE * (acked_bit_s + UNSEEN_SHARE * self.unseen_bit_s))
            self.is_limit = True

    def crept(self, least_bit_s: float, now_s: float) -> None:
        """A queue has come slowly, or the way is longer now: a little less, and no less than this."""
        acked_bit_s = self.delay.acked_bit_s()
        if self.bit_s is not None and acked_bit_s > 0:
            self.bit_s = min(self.bit_s, max(least_bit_s, LOSSY_SHARE * acked_bit_s, CREPT_SHARE * self.bit_s))
            self.is_limit, self._limit = True, (self.bit_s, now_s)

    def forget(self) -> None:
        """The link may be another one."""
        self.bit_s, self.is_limit, self._limit = None, False, (0.0, -1e18)
        self._tried.clear()
