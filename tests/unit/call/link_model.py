"""A link, a far end and senders in virtual time: what the controller's tests run on. Pure, seeded, quick.

`Bottleneck` is a serialising queue with delay, jitter (in order, as a radio link layer delivers) and loss; several
senders may share one. `Pole` sends voice and a camera's stream as the call does, ruled by a `Controller`; `Tcp` is a
long or short transfer with additive increase and multiplicative decrease. Times are seconds; a tick is TICK_S.
"""

from __future__ import annotations

import heapq
import itertools
import random
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from unitd.call.bitrate import Controller
from unitd.call.congestion.decision import Decision
from unitd.call.congestion.pacer import START_LOOK_S
from unitd.call.congestion.packet_log import WIRE_BYTES
from unitd.call.congestion.train import planned

TICK_S = 0.005
PACKET_BYTES = 1190
FEEDBACK_EVERY_S = 0.1


class Clock:
    """Virtual time: events in order."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def at(self, when_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when_s, self.now_s), next(self._count), what))

    def every(self, period_s: float, what: Callable[[], None]) -> None:
        def again() -> None:
            what()
            self.at(self.now_s + period_s, again)

        self.at(self.now_s + period_s, again)

    def run(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, what = heapq.heappop(self._events)
            what()
        self.now_s = until_s


@dataclass
class Bottleneck:
    """`capacity(s)` in bit/s at a time since the start; `send` gives the time of arrival or None."""

    clock: Clock
    rng: random.Random
    capacity: Callable[[float], float]
    delay_s: float = 0.05
    jitter_s: float = 0.0
    loss: float = 0.0
    queue_s: float = 0.3
    outages: tuple[tuple[float, float], ...] = ()
    free_s: float = 0.0
    last_s: float = 0.0
    dropped: int = 0
    began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.began_s = self.clock.now_s

    @property
    def at_s(self) -> float:
        return self.clock.now_s - self.began_s

    def is_out(self) -> bool:
        return any(begin <= self.at_s < end for begin, end in self.outages)

    def send(self, size_bytes: int) -> float | None:
        now_s = self.clock.now_s
        waiting_s = max(0.0, self.free_s - now_s)
        if self.is_out() or waiting_s > self.queue_s or self.rng.random() < self.loss:
            self.dropped += 1
            return None
        self.free_s = max(now_s, self.free_s) + size_bytes * 8 / self.capacity(self.at_s)
        arrives_s = self.free_s + self.delay_s + self.rng.random() * self.jitter_s
        self.last_s = max(self.last_s, arrives_s)
        return self.last_s


def feedback_of(base: int, number: int, arrivals: list[float | None]) -> bytes:
    """The control information as a far end writes it (seven symbols of two bits in a chunk)."""
    first_s = next((each for each in arrivals if each is not None), 0.0)
    reference = int(first_s / 0.064)
    at = reference * 256
    symbols, deltas = [], b""
    for arrival_s in arrivals:
        if arrival_s is None:
            symbols.append(0)
            continue
        ticks = round(arrival_s / 0.00025) - at
        at += ticks
        if 0 <= ticks < 256:
            symbols.append(1)
            deltas += bytes([ticks])
        else:
            symbols.append(2)
            deltas += struct.pack(">h", max(-32768, min(32767, ticks)))
    symbols += [0] * (-len(symbols) % 7)
    chunks = b"".join(
        struct.pack(">H", 0xC000 | sum(symbol << (12 - 2 * at) for at, symbol in enumerate(symbols[first : first + 7])))
        for first in range(0, len(symbols), 7)
    )
    head = struct.pack(">HH", base & 0xFFFF, len(arrivals)) + (reference & 0xFFFFFF).to_bytes(3, "big")
    return head + bytes([number & 0xFF]) + chunks + deltas


class FarEnd:
    """Reports what arrives every FEEDBACK_EVERY_S, over `back`; its clock is another one."""

    def __init__(self, clock: Clock, back: Bottleneck, take: Callable[[bytes], None]) -> None:
        self.clock, self.back, self.take = clock, back, take
        self._came: dict[int, float] = {}
        self._next = 0
        self._number = 0
        clock.every(FEEDBACK_EVERY_S, self._report)

    def arrived(self, sequence: int) -> None:
        self._came[sequence] = self.clock.now_s + 12_345.6

    def _report(self) -> None:
        new = [sequence for sequence in self._came if sequence >= self._next]
        if not new:
            return
        last = max(new)
        fci = feedback_of(self._next, self._number, [self._came.get(each) for each in range(self._next, last + 1)])
        self._next, self._number = last + 1, self._number + 1
        self._came = {}
        arrives_s = self.back.send(len(fci) + 60)
        if arrives_s is not None:
            self.clock.at(arrives_s, lambda: self.take(fci))


@dataclass
class Stream:
    """A camera's stream: `fps` pictures a second, a group of a second, the keyframe `key` times its neighbours."""

    bit_s: float
    fps: int = 20
    key: float = 6.0

    def size(self, number: int, rng: random.Random) -> int:
        share = self.bit_s / 8 / (self.fps - 1 + self.key)
        return int(share * (self.key if number % self.fps == 0 else 1) * rng.uniform(0.85, 1.15))


class Pole:
    """The unit's sender as `peer` and `rtc` do it: pacer, backlog, resends aside. `history` has (s, decision)."""

    def __init__(
        self,
        clock: Clock,
        way: Bottleneck,
        back: Bottleneck,
        rng: random.Random,
        *,
        main_bit_s: float = 4e6,
        sub_bit_s: float = 5e5,
        make: Callable[..., Any] = Controller,
        steps: tuple[str, ...] = ("main", "sub", "low", "stills", "voice"),
        feedback: bool = True,
        known_bit_s: float | None = None,
        low_use: float = 0.93,
    ) -> None:
        self._low_use = low_use
        self.clock, self.way, self.rng = clock, way, rng
        self.streams = {"main": Stream(main_bit_s), "sub": Stream(sub_bit_s)}
        self.controller = make(steps, clock.now_s, has_feedback=feedback, known_bit_s=known_bit_s)
        self.controller.needs({"main": main_bit_s, "sub": sub_bit_s})
        self.decision: Decision = self.controller.decide(clock.now_s)
        self.history: list[tuple[float, Decision]] = []
        self.sent: list[tuple[float, int]] = []
        self.voice: list[tuple[float, float | None]] = []
        self.pictures: list[tuple[float, float, str]] = []
        """(sent at, whole at, step)"""
        self.paused = False
        self._far = FarEnd(clock, back, self._feedback)
        self._sequence = 0
        self._waiting: deque[tuple[int, float, bool, str]] = deque()
        self._free_s = clock.now_s
        self._frame = 0
        self._group: list[int] = []
        self._await_key = False
        self._lost_in_group = False
        clock.every(0.02, self._speak)
        clock.every(1 / 20, self._film)
        clock.every(0.1, self._decide)
        clock.every(TICK_S, self._leave)
        clock.every(0.02, self._still)
        clock.at(clock.now_s + START_LOOK_S, self._decide)
        self._begin(self.decision)

    # --- out

    def _packet(self, size_bytes: int, kind: str) -> float | None:
        sequence = self._sequence
        self._sequence += 1
        self.controller.sent([(sequence & 0xFFFF, size_bytes, self.clock.now_s, kind)])
        self.sent.append((self.clock.now_s, size_bytes + WIRE_BYTES))
        arrives_s = self.way.send(size_bytes + WIRE_BYTES)
        if arrives_s is not None:
            self.clock.at(arrives_s, lambda: self._far.arrived(sequence))
        return arrives_s

    def _speak(self) -> None:
        now_s = self.clock.now_s
        self.voice.append((now_s, self._packet(20 + self.decision.voice_bit_s // 400, "voice")))

    def _stream(self) -> Stream | None:
        if self.decision.step == "low":
            return Stream(self.decision.low_bit_s * self._low_use, 10, 2.5)
        return self.streams.get(self.decision.step)

    def _film(self) -> None:
        self._frame += 1
        stream = self._stream()
        if self.paused or stream is None:
            return
        if stream.fps == 10 and self._frame % 2:
            return
        number = self._frame if stream.fps == 20 else self._frame // 2
        size_bytes = stream.size(number, self.rng)
        is_key = number % stream.fps == 0
        self._group = [size_bytes] if is_key else [*self._group, size_bytes]
        if self.decision.holds:
            self._await_key = True
            return
        if is_key:
            self._await_key = False
        if not self._await_key:
            self._push(size_bytes)

    def _push(self, size_bytes: int) -> None:
        now_s = self.clock.now_s
        while size_bytes > 0:
            part = min(size_bytes, PACKET_BYTES - 20)
            size_bytes -= part
            self._waiting.append((part + 20, now_s, size_bytes <= 0, self.decision.step))

    def _still(self) -> None:
        """Stills go over a data channel: they fill the link, without numbers."""
        if self.decision.step == "stills" and not self.decision.holds:
            size_bytes = int(self.decision.target_bit_s / 8 * 0.02)
            self.sent.append((self.clock.now_s, size_bytes))
            self.way.send(size_bytes)

    def _leave(self) -> None:
        now_s = self.clock.now_s
        self._free_s = max(self._free_s, now_s - 0.01)
        while self._waiting and self._free_s <= now_s:
            size_bytes, filmed_s, is_last, step = self._waiting.popleft()
            self._free_s += size_bytes * 8 / self.decision.pace_bit_s
            arrives_s = self._packet(size_bytes, "picture")
            self._lost_in_group = self._lost_in_group or arrives_s is None
            if is_last:
                if not self._lost_in_group and arrives_s is not None:
                    self.pictures.append((filmed_s, arrives_s, step))
                self._lost_in_group = False

    # --- in

    def _feedback(self, fci: bytes) -> None:
        self.controller.feedback(fci, self.clock.now_s)
        self._decide()

    def _decide(self) -> None:
        before, self.decision = self.decision, self.controller.decide(self.clock.now_s)
        self.history.append((self.way.at_s, self.decision))
        if self.decision.flushes != before.flushes:
            self._waiting.clear()
            self._await_key = True
        if self.decision.trains != before.trains:
            train = planned(self.decision.capacity_bit_s)
            for _ in range(train.packets):
                self._packet(train.packet_bytes, "resend")
        if self.decision.step != before.step:
            self._waiting.clear()
            self._begin(self.decision)
        elif before.holds and not self.decision.holds:
            self._begin(self.decision)

    def _begin(self, decision: Decision) -> None:
        """The new stream's group in hand, when it is soon out; else its keyframe alone."""
        stream = self._stream()
        self._await_key = True
        if stream is None or decision.holds:
            return
        fps = stream.fps
        number = self._frame if fps == 20 else self._frame // 2
        sizes = [stream.size(each, self.rng) for each in range(number - number % fps, number + 1)]
        if fps == 10:
            sizes = [stream.size(0, self.rng)]  # the re-encoder begins with a keyframe
        if sum(sizes) * 8 / decision.pace_bit_s < 0.6:
            self._await_key = False
        else:
            sizes = sizes[:1]
        for size_bytes in sizes:
            self._push(size_bytes)

    # --- judged

    def step_at(self, at_s: float) -> str:
        return next(decision.step for when_s, decision in reversed(self.history) if when_s <= at_s)

    def steps(self) -> list[tuple[float, str]]:
        changes: list[tuple[float, str]] = []
        for when_s, decision in self.history:
            if not changes or changes[-1][1] != decision.step:
                changes.append((round(when_s, 1), decision.step))
        return changes

    def sent_bit_s(self, begin_s: float, end_s: float) -> float:
        began_s = self.way.began_s
        sizes = sum(size for when_s, size in self.sent if begin_s <= when_s - began_s < end_s)
        return sizes * 8 / (end_s - begin_s)

    def worst_excess(self, span_s: float = 10.0) -> tuple[float, float]:
        """The largest share of bytes sent above the link's capacity in any `span_s`, and where it begins. Outages are
        left out: there is no capacity to be above."""
        began_s, last_s = self.way.began_s, self.way.at_s
        sent = [0.0] * (int(last_s / 0.1) + 2)
        for when_s, size in self.sent:
            sent[int((when_s - began_s) / 0.1)] += size
        worst = (0.0, 0.0)
        for begin in range(max(1, int((last_s - span_s) / 0.1))):
            spans = range(begin, begin + int(span_s / 0.1))
            could = sum(self.way.capacity(each * 0.1) * 0.1 / 8 for each in spans)
            did = sum(sent[each] for each in spans if each < len(sent))
            worst = max(worst, ((did - could) / could, begin * 0.1))
        return worst

    def voice_lost(self, begin_s: float = 0.0, end_s: float = 1e9) -> float:
        began_s = self.way.began_s
        heard = [arrives for when_s, arrives in self.voice if begin_s <= when_s - began_s < end_s]
        return sum(each is None for each in heard) / max(1, len(heard))

    def voice_delay_p95_s(self, begin_s: float = 0.0, end_s: float = 1e9) -> float:
        began_s = self.way.began_s
        delays = sorted(
            arrives - when_s for when_s, arrives in self.voice if arrives and begin_s <= when_s - began_s < end_s
        )
        return delays[int(0.95 * len(delays))] if delays else float("inf")

    def voice_later_than(self, delay_s: float, begin_s: float) -> float:
        """The share that came later, or not at all."""
        began_s = self.way.began_s
        said = [(when_s, arrives) for when_s, arrives in self.voice if when_s - began_s >= begin_s]
        late = sum(arrives is None or arrives - when_s > delay_s for when_s, arrives in said)
        return late / max(1, len(said))

    def longest_gap_s(self, begin_s: float = 0.0, end_s: float = 1e9) -> float:
        """Between two pictures that came whole."""
        began_s = self.way.began_s
        times = [began_s + begin_s] + [came for _, came, _ in self.pictures if begin_s <= came - began_s < end_s]
        times.append(min(began_s + end_s, self.clock.now_s))
        return max(later - earlier for earlier, later in itertools.pairwise(times))


class Tcp:
    """A transfer with a window: one more packet a round trip, half after a loss."""

    def __init__(self, clock: Clock, way: Bottleneck, back_s: float = 0.05, total_bytes: int = 1 << 60) -> None:
        self.clock, self.way, self.back_s = clock, way, back_s
        self.left_bytes = total_bytes
        self.window = 2.0
        self.slow_start = 1e9
        self.in_flight = 0
        self.arrived_bytes = 0
        self._cut_s = 0.0
        self._fill()

    def _fill(self) -> None:
        while self.in_flight < self.window and self.left_bytes > 0:
            self.in_flight += 1
            self.left_bytes -= 1448
            arrives_s = self.way.send(1500)
            if arrives_s is None:
                self.clock.at(self.clock.now_s + self.way.delay_s + self.back_s + 0.05, self._lost)
            else:
                self.clock.at(arrives_s + self.back_s, self._acked)

    def _acked(self) -> None:
        self.in_flight -= 1
        self.arrived_bytes += 1448
        self.window += 1.0 if self.window < self.slow_start else 1.0 / self.window
        self._fill()

    def _lost(self) -> None:
        self.in_flight -= 1
        self.left_bytes += 1448
        if self.clock.now_s > self._cut_s:
            self.window = self.slow_start = max(2.0, self.window / 2)
            self._cut_s = self.clock.now_s + 0.2
        self._fill()


def staircase(*steps: tuple[float, float]) -> Callable[[float], float]:
    """(from second, bit/s) in order."""

    def capacity(at_s: float) -> float:
        return [bit_s for since_s, bit_s in steps if since_s <= at_s or since_s == steps[0][0]][-1]

    return capacity


def one_pole(capacity: Callable[[float], float], seed: int = 1, **way: Any) -> tuple[Clock, Bottleneck, Pole]:
    """A pole alone on a link; `pole_*` of `way` go to the pole."""
    rng = random.Random(seed)
    clock = Clock()
    of_pole = {name.removeprefix("pole_"): way.pop(name) for name in list(way) if name.startswith("pole_")}
    bottleneck = Bottleneck(clock, rng, capacity, **way)
    back = Bottleneck(clock, rng, lambda _s: 1e8, bottleneck.delay_s, outages=bottleneck.outages)
    return clock, bottleneck, Pole(clock, bottleneck, back, rng, **of_pole)
