"""One way of the emulated link: a bottleneck with a finite queue, then delay, jitter and seeded loss. Pure: time is
given, and the same packets at the same times fare the same for the same seed."""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

from tests.live.shape import Shape

JITTER_SLOT_S = 0.04
"""Some four scheduling grants of LTE: packets that go out together arrive together."""
BIN_S = 0.1
LEAST_QUEUE_BYTES = 3_000
"""Two full packets, or nothing would pass a slow link with a short queue."""
SHORTEST_WAIT_S = 0.0005


@dataclass
class Counts:
    """Bytes and packets of one way in each BIN_S since the start."""

    offered: list[int] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)
    """Of these, what a competing flow offered."""
    delivered: list[int] = field(default_factory=list)
    lost: int = 0
    overflowed: int = 0
    packets: int = 0

    def count(self, series: list[int], now_s: float, size: int) -> None:
        index = int(now_s / BIN_S)
        series.extend([0] * (index + 1 - len(series)))
        series[index] += size


class OneWay:
    """`offer` a packet, `due` gives those that arrive; `next_s` is when to look again. Seconds from the start."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.counts = Counts()
        self._shape = shape
        self._random = random.Random(seed)
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._leaves_s: float | None = None
        self._flying: list[tuple[float, int, bytes]] = []
        self._serial = 0
        self._last_s = 0.0
        self._slot = -1
        self._slot_jitter_s = 0.0

    def change(self, shape: Shape, now_s: float) -> None:
        """From now on. What waits is sent at the new rate; what flies arrives unless the link is cut."""
        self._serve(now_s)
        self._shape = shape
        if shape.cut:
            self.counts.lost += len(self._queue) + len(self._flying)
            self._queue.clear()
            self._flying.clear()
            self._queued_bytes, self._leaves_s = 0, None
        elif self._queue:
            self._leaves_s = now_s + self._takes_s(self._queue[0])

    def offer(self, packet: bytes, now_s: float, *, foreign: bool = False) -> None:
        counts, shape = self.counts, self._shape
        counts.packets += 1
        if foreign:
            counts.count(counts.foreign, now_s, len(packet))
        counts.count(counts.offered, now_s, len(packet))
        self._serve(now_s)
        if shape.cut or (shape.loss > 0 and self._random.random() < shape.loss):
            counts.lost += 1
            return
        if shape.kbit_s is None:
            self._fly(packet, now_s)
            return
        room = max(LEAST_QUEUE_BYTES, shape.queue_ms * shape.kbit_s / 8)
        if self._queued_bytes + len(packet) > room:
            counts.overflowed += 1
            return
        self._queue.append(packet)
        self._queued_bytes += len(packet)
        if self._leaves_s is None:
            self._leaves_s = now_s + self._takes_s(packet)

    def due(self, now_s: float) -> list[bytes]:
        """What has arrived at the other end by now."""
        self._serve(now_s)
        arrived = []
        while self._flying and self._flying[0][0] <= now_s + SHORTEST_WAIT_S:
            packet = heapq.heappop(self._flying)[2]
            self.counts.count(self.counts.delivered, now_s, len(packet))
            arrived.append(packet)
        return arrived

    def next_s(self) -> float | None:
        """When something happens next, or None."""
        times = [self._leaves_s] if self._leaves_s is not None else []
        if self._flying:
            times.append(self._flying[0][0])
        return min(times) if times else None

    def _takes_s(self, packet: bytes) -> float:
        return len(packet) * 8 / (self._shape.kbit_s * 1000) if self._shape.kbit_s else 0.0

    def _serve(self, now_s: float) -> None:
        """Let go what has left the bottleneck by now."""
        while self._leaves_s is not None and self._leaves_s <= now_s:
            packet, left_s = self._queue.popleft(), self._leaves_s
            self._queued_bytes -= len(packet)
            self._fly(packet, left_s)
            self._leaves_s = left_s + self._takes_s(self._queue[0]) if self._queue else None

    def _fly(self, packet: bytes, from_s: float) -> None:
        shape = self._shape
        arrives_s = from_s + shape.delay_ms / 1000
        if shape.reorder:
            arrives_s += self._random.uniform(0, shape.jitter_ms / 1000)
        else:
            if shape.jitter_ms > 0:
                slot = int(from_s / JITTER_SLOT_S)
                if slot != self._slot:
                    self._slot, self._slot_jitter_s = slot, self._random.uniform(0, shape.jitter_ms / 1000)
                arrives_s += self._slot_jitter_s
            arrives_s = self._last_s = max(arrives_s, self._last_s)
        self._serial += 1
        heapq.heappush(self._flying, (arrives_s, self._serial, packet))
