"""The picture's packets leave at a pace: a group of pictures sent at once overflows a 4G link's queue. Pure.

A new peer gets the current group from its keyframe. In one burst that is a second of picture in a few milliseconds; at
the edge of coverage half of it is lost, and a link that carries the stream well looks as if it did not.
"""

from collections import deque

START_FACTOR = 1.8
"""With 2.5 a group of a second overflowed the queue (0.4 s) of a link that had half as much again to spare."""
LEAST_BIT_S = 400_000.0
CLEAN_FACTOR = 8.0
CLEAN_LEAST_BIT_S = 12_000_000.0
"""On a link that has shown itself clean only the edge is taken off: a keyframe ten times its neighbours' size must not
come 200 ms late every second."""
LONGEST_WAIT_S = 1.5
"""What waits is out after this long, whatever the stream: a live picture is not worth a longer one."""
BURST_S = 0.01
"""So much of an idle time may be made up for (`rtc/packets.py`)."""
START_PACE_BIT_S, START_BYTES, WAITING_PACE_BIT_S = 2_000_000.0, 12_000, 120_000.0
"""An unknown link gets so much at the start pace before its first answer, then little."""
START_LOOK_S = 0.05
"""After so long that much has left: the controller is to be asked again then."""
LEAST_PACE_BIT_S, MOST_PACE_BIT_S = 60_000.0, 100e6
DRAIN_QUEUE_S, DRAIN_SHARE = 0.06, 0.6
DEEP_QUEUE_S, DEEP_DRAIN_SHARE = 0.18, 0.25
"""While a queue stands in the bottleneck the picture leaves below its rate, so that it drains."""
WINDOW_NS = 2_000_000_000
LEAST_SPAN_NS = 400_000_000


class BitRate:
    """A stream's bit rate over the last two seconds of its own time line."""

    def __init__(self, until_known_bit_s: float) -> None:
        self._units: deque[tuple[int, int]] = deque()
        self._bytes = 0
        self._guess = until_known_bit_s

    def add(self, source_ns: int, size_bytes: int) -> None:
        """Count one picture; a time line that goes backwards is a new one."""
        if self._units and source_ns < self._units[-1][0]:
            self._units.clear()
            self._bytes = 0
        self._units.append((source_ns, size_bytes))
        self._bytes += size_bytes
        while source_ns - self._units[0][0] > WINDOW_NS:
            self._bytes -= self._units.popleft()[1]

    @property
    def bit_s(self) -> float:
        """The rate, or the guess before LEAST_SPAN_NS of it was seen."""
        span_ns = self._units[-1][0] - self._units[0][0] if self._units else 0
        return self._guess if span_ns < LEAST_SPAN_NS else self._bytes * 8e9 / span_ns


def pace_bit_s(stream_bit_s: float, is_clean: bool, waiting_bytes: int) -> float:
    """How fast packets may leave: faster than the stream, so that a backlog shrinks, and `waiting_bytes` are out within
    LONGEST_WAIT_S."""
    if is_clean:
        pace = max(CLEAN_FACTOR * stream_bit_s, CLEAN_LEAST_BIT_S)
    else:
        pace = max(START_FACTOR * stream_bit_s, LEAST_BIT_S)
    return max(pace, waiting_bytes * 8 / LONGEST_WAIT_S)


def unknown_pace_bit_s(sent_bytes: int) -> float:
    """On a link of which nothing is known, that has been sent so much of the picture."""
    return START_PACE_BIT_S if sent_bytes < START_BYTES else WAITING_PACE_BIT_S


def known_pace_bit_s(
    left_bit_s: float, need_bit_s: float, queue_s: float, *, is_limit: bool, is_congested: bool
) -> float:
    """`left_bit_s` is the picture's part of the capacity, `is_limit` whether that is all there is, `need_bit_s` what a
    camera's stream takes by itself; `queue_s` is certainly waiting in the bottleneck, and `is_congested` just now."""
    pace = 0.97 * left_bit_s if is_limit else 1.6 * left_bit_s
    if queue_s > DRAIN_QUEUE_S:
        pace = (DEEP_DRAIN_SHARE if queue_s > DEEP_QUEUE_S else DRAIN_SHARE) * left_bit_s
    elif not is_congested:
        # A stream that is sent at all must get through; the ladder ends one that does not fit.
        pace = max(pace, 1.1 * need_bit_s)
    return min(MOST_PACE_BIT_S, max(LEAST_PACE_BIT_S, pace))
