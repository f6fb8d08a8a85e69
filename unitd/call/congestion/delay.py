"""Is a queue building on the way? Read from the times of packets that were sent and have arrived. Pure.

A packet's one-way delay is only known up to the clocks' difference, so its least value of the last BASE_S stands for
the empty queue. Delays are looked at by their lower envelope, the least of each BIN_S: jitter lifts single packets, a
queue lifts all of them. The idea of a trend over several spans is that of draft-ietf-rmcat-gcc-02, 5; its Kalman filter
is not needed, because the question here is not how fast an encoder may go but whether a known stream fits.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise, takewhile

from unitd.call.congestion.packet_log import Sent

BIN_S = 0.02
KEEP_S = 3.4
BASE_S = 12
LONG_BASE_S, LONG_BASE_EVERY_S = 60, 5
"""A queue that grows by a little each second lifts the least value of BASE_S with it, and is not seen."""
SPANS = ((0.24, 0.040), (0.6, 0.040), (1.6, 0.045), (3.2, 0.060))
"""Seconds looked at, and how much the lower envelope must have grown from the first half to the second."""
NOISE_FACTOR = 2.0
"""A link whose envelope goes up and down by itself must grow by so much more: the threshold adapts."""
LEAST_PACKETS = 7
"""In each half; on a small stream the longer spans speak."""
FASTER = 1.04
"""The sender must have sent this much faster than the packets came, or what grew is not its queue."""
FLOOD_S = 0.3
FLOOD_LOST = 12
FLOOD_SHARE = 0.3
QUEUE_SPAN_S = 0.12


@dataclass(slots=True)
class Bin:
    """The packets sent within BIN_S."""

    index: int
    sent_s: float
    arrived_s: float
    bytes: int = 0
    sent_bytes: int = 0
    least_s: float = 1e9
    packets: int = 0
    lost: int = 0


class DelayWatch:
    """Takes results in the order of sending; answers what the bottleneck does."""

    def __init__(self) -> None:
        self._bins: deque[Bin] = deque()
        self._base: deque[tuple[int, float]] = deque()
        self._long_base: deque[tuple[int, float]] = deque()
        self._judged_from_s = -1e18
        self._noise_s: float | None = None
        """Until the next packet is told of: it is asked for several times in each decision."""

    def forget(self) -> None:
        """What came before says nothing any more (an outage); the empty queue's delay is kept."""
        self._bins.clear()
        self._noise_s = None

    def judge_from(self, sent_s: float) -> None:
        """Something else is sent from now on: whether that is too much is read from its own packets."""
        self._judged_from_s = sent_s

    def arrived(self, packet: Sent, arrived_s: float) -> None:
        offset_s = arrived_s - packet.sent_s
        found = self._bin(packet.sent_s)
        if found is None:
            return
        found.bytes += packet.size_bytes
        found.sent_bytes += packet.size_bytes
        found.packets += 1
        found.least_s = min(found.least_s, offset_s)
        found.arrived_s = max(found.arrived_s, arrived_s)
        _least(self._base, int(packet.sent_s), BASE_S, offset_s)
        _least(self._long_base, int(packet.sent_s / LONG_BASE_EVERY_S), LONG_BASE_S // LONG_BASE_EVERY_S, offset_s)

    def lost(self, packet: Sent) -> None:
        found = self._bin(packet.sent_s)
        if found is not None:
            found.lost += 1
            found.sent_bytes += packet.size_bytes

    def _bin(self, sent_s: float) -> Bin | None:
        self._noise_s = None
        index = int(sent_s / BIN_S)
        bins = self._bins
        if bins and index <= bins[-1].index:
            for found in reversed(bins):
                if found.index <= index:
                    return found if found.index == index else None
            return None
        bins.append(Bin(index, sent_s, -1e18))
        while (index - bins[0].index) * BIN_S > KEEP_S:
            bins.popleft()
        return bins[-1]

    def _last(self, span_s: float) -> list[Bin]:
        if not self._bins:
            return []
        first = self._bins[-1].index - int(span_s / BIN_S)
        found = list(takewhile(lambda each: each.index > first, reversed(self._bins)))
        found.reverse()
        return found

    @property
    def queue_s(self) -> float:
        """How long packets wait in the bottleneck now; 0 when nothing is known."""
        return self._above(self._base)

    @property
    def crept_s(self) -> float:
        """The same, against the least of a minute: a queue that came slowly too, or a way that has become longer."""
        return self._above(self._long_base)

    def _above(self, base: deque[tuple[int, float]]) -> float:
        arrived = [each.least_s for each in self._last(QUEUE_SPAN_S) if each.packets]
        if not arrived or not base:
            return 0.0
        return max(0.0, min(arrived) - min(least_s for _, least_s in base))

    @property
    def noise_s(self) -> float:
        """How far the lower envelope falls from one bin to the next, on average of the last second: a queue that grows
        does not fall."""
        if self._noise_s is None:
            least = [each.least_s for each in self._last(1.0) if each.packets]
            falls = [max(0.0, before - after) for before, after in pairwise(least)]
            self._noise_s = sum(falls) / len(falls) if falls else 0.0
        return self._noise_s

    def acked_bit_s(self, span_s: float = 1.0) -> float:
        """What came out of the link of what was sent in the last `span_s`; 0 when nothing did."""
        return _arrival_bit_s([each for each in self._last(span_s) if each.packets])

    def loss(self, span_s: float = 1.0) -> tuple[float, int]:
        """The share that was lost of what was sent in the last `span_s`, and how many packets that is."""
        bins = self._last(span_s)
        lost = sum(each.lost for each in bins)
        total = lost + sum(each.packets for each in bins)
        return (lost / total if total else 0.0), lost

    def bottleneck_bit_s(self) -> float | None:
        """The rate of the bottleneck, when its queue is seen to grow or most packets are dropped there; else None."""
        flood = [each for each in self._last(FLOOD_S) if each.sent_s >= self._judged_from_s]
        lost = sum(each.lost for each in flood)
        if lost >= FLOOD_LOST and lost >= FLOOD_SHARE * (lost + sum(each.packets for each in flood)):
            return _arrival_bit_s([each for each in flood if each.packets])
        noise_s = self.noise_s
        for span_s, growth_s in SPANS:
            rate = self._growing(span_s, growth_s + NOISE_FACTOR * noise_s)
            if rate is not None:
                return rate
        return None

    def _growing(self, span_s: float, growth_s: float) -> float | None:
        bins = [each for each in self._last(span_s) if each.sent_s >= self._judged_from_s]
        if not bins or (bins[-1].index - bins[0].index) * BIN_S < 0.8 * span_s:
            return None
        middle = bins[-1].index - int(span_s / BIN_S / 2)
        halves = [each for each in bins if each.index <= middle], [each for each in bins if each.index > middle]
        if any(sum(each.packets for each in half) < LEAST_PACKETS for half in halves):
            return None
        before, after = ([each for each in half if each.packets] for half in halves)
        if min(each.least_s for each in after) - min(each.least_s for each in before) < growth_s:
            return None
        took_s = after[-1].arrived_s - before[-1].arrived_s
        sent_s = after[-1].sent_s - before[-1].sent_s
        if took_s <= 0 or sent_s <= 0:
            return None
        came_bit_s = sum(each.bytes for each in after) * 8 / took_s
        went_bit_s = sum(each.sent_bytes for each in halves[1]) * 8 / sent_s
        return came_bit_s if went_bit_s > FASTER * came_bit_s else None


def _least(base: deque[tuple[int, float]], index: int, keep: int, offset_s: float) -> None:
    """Note the least offset of each `index`, of the last `keep` of them."""
    if base and base[-1][0] >= index:
        if offset_s < base[-1][1]:
            base[-1] = (base[-1][0], offset_s)
        return
    base.append((index, offset_s))
    while index - base[0][0] > keep:
        base.popleft()


def _arrival_bit_s(bins: list[Bin]) -> float:
    """The first bin only gives the time from which to count."""
    if len(bins) < 2:
        return 0.0
    took_s = bins[-1].arrived_s - bins[0].arrived_s
    return sum(each.bytes for each in bins[1:]) * 8 / took_s if took_s > 0 else 0.0
