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
