"""A camera's RTP times made into presentation and decoding times that a file can hold. Pure.

RTP says when a picture is shown (RFC 6184 and 7798, 5.1). With B-frames pictures come in another order; when one is
decoded follows from that alone: with at most `reorder` pictures before one that is shown earlier, the n-th picture is
decoded at the (n - reorder)-th smallest time. Times of presentation are kept to the tick.

What cameras do to their clocks, and what is made of it: steps of more than 10 s, steps ahead that arrival does not bear
out, steps back, standing still, or a rate that is not 90 kHz: time then goes on by that of arrival, and it is counted.
"""

import heapq

from unitd.drivers.h264_sps import MAX_REORDER

_WRAP = 1 << 32
START_90KHZ = 10 * 90_000
"""Time of the first picture: above zero, so that pictures shown before it have a time as well."""

JUMP_90KHZ = 10 * 90_000
"""A step of the camera's clock beyond this, either way, is a new clock."""

AHEAD_90KHZ = 3 * 90_000
"""A step ahead of arrival beyond this is a new clock: pictures that were held back in between end a session sooner."""

BACK_90KHZ = 2 * 90_000
"""B-frames step back by some pictures; more than this is a clock that was set."""

ORDERLY_UNITS = 50
"""A step back within these first pictures means B-frames; later a single one is a clock that was set."""

RATE_WINDOW_NS = 10_000_000_000
RATE_TOLERANCE = 3
"""A clock three times too fast or too slow over 10 s is none; a camera that starts with a stored GOP may double."""

SLOW_AFTER_NS = 1_000_000_000
SLOW_PICTURES = 4
SLOWNESS = 20
"""A clock that many times too slow is seen at once: some cameras count milliseconds [vendors' knowledge]."""

OWED_90KHZ = 60_000
"""More than what gathers while nobody is in a hurry."""

USUAL_OVER = 32
_GUESS_90KHZ = 3000


class ReorderedError(ValueError):
    """Pictures are shown in another order than they come in, with more between than was known: `reorder` may do."""

    def __init__(self, reorder: int) -> None:
        super().__init__("pictures out of order")
        self.reorder = reorder


class RtpClock:
    """One stream's. `reorder`: from the parameter sets, 0 while nothing else is known."""

    def __init__(self, reorder: int = 0) -> None:
        self.reorder = reorder
        self.mended_times = 0
        self.last_timestamp: int | None = None
        """The RTP time of the picture that came last, and its `last_pts`: how the sound finds the picture's time."""
        self.last_pts = self._highest = START_90KHZ
        self.last_arrival_ns = 0
        self._last_dts = -(1 << 62)
        self._usual: float | None = None
        self._owed = 0
        self._new = False
        self._by_arrival = False
        self._window: tuple[int, int] | None = None
        self._waiting: list[int] = []
        self._first_pts = START_90KHZ
        self._pictures = 0
        self._stepped_back_at: int | None = None

    def renew(self) -> None:
        """The times that follow are another clock's."""
        self._new = True
        self._window = None

    def stamp(self, timestamp: int, arrival_ns: int) -> tuple[int, int]:
        """(pts, dts) of the picture with this RTP time. Raises ReorderedError; times of decoding rise strictly."""
        pts = self.last_pts if self.last_timestamp is None else self._next(timestamp, arrival_ns)
        if self.reorder:
            dts = self._decoded_at(pts)
            shown = max(pts, dts)  # later than it says only where a stream is joined; the next go by what it says
        else:
            shown = dts = pts
        self.last_timestamp, self.last_pts, self.last_arrival_ns = timestamp, pts, arrival_ns
        self._highest = max(self._highest, pts)
        self._last_dts = dts
        self._pictures += 1
        return shown, dts

    def _next(self, timestamp: int, arrival_ns: int) -> int:
        arrived = (arrival_ns - self.last_arrival_ns) * 9 // 100_000
        self._usual = arrived if self._usual is None else self._usual + (arrived - self._usual) / USUAL_OVER
        step = (timestamp - (self.last_timestamp or 0) + _WRAP // 2) % _WRAP - _WRAP // 2
        if self._new or self._by_arrival or abs(step) > JUMP_90KHZ or step - arrived > AHEAD_90KHZ:
            return self._mend(arrived)
        if step > 0:
            return self.last_pts + step if self._runs(timestamp, arrival_ns) else self._mend(arrived)
        if self.reorder and -BACK_90KHZ < step < 0:
            return self.last_pts + step
        if -BACK_90KHZ < step < 0:
            self._step_back()
        return self._mend(arrived)

    def _mend(self, arrived: int) -> int:
        """On by a usual step, as long as that and arrival are not too far apart: pictures arrive in bursts."""
        self._new = False
        self.mended_times += 1
        self._window = None
        usual = round(self._usual) if self._usual is not None else arrived
        self._owed += arrived - usual
        if abs(self._owed) > OWED_90KHZ:
            usual, self._owed = max(usual + self._owed, 1), 0
        return self._highest + max(usual, 1)

    def _runs(self, timestamp: int, arrival_ns: int) -> bool:
        """Whether the clock goes at about the speed of ours, judged each RATE_WINDOW_NS."""
        if self._window is None:
            self._window = (timestamp, arrival_ns)
            return True
        took_ns = arrival_ns - self._window[1]
        advance = (timestamp - self._window[0]) % _WRAP
        took = took_ns * 9 // 100_000
        slow = SLOW_PICTURES <= self._pictures < ORDERLY_UNITS and took_ns > SLOW_AFTER_NS and advance * SLOWNESS < took
        if took_ns < RATE_WINDOW_NS and not slow:
            return True
        self._window = (timestamp, arrival_ns)
        self._by_arrival = not took // RATE_TOLERANCE < advance < took * RATE_TOLERANCE
        return not self._by_arrival

    def _step_back(self) -> None:
        before, self._stepped_back_at = self._stepped_back_at, self._pictures
        if self._pictures < ORDERLY_UNITS or (before is not None and self._pictures - before < ORDERLY_UNITS):
            raise ReorderedError(2)

    def _decoded_at(self, pts: int) -> int:
        waiting = self._waiting
        if len(waiting) < self.reorder:
            if not waiting:
                self._first_pts = pts
            dts = self._first_pts - (self.reorder - len(waiting)) * _GUESS_90KHZ
            heapq.heappush(waiting, pts)
        else:
            dts = heapq.heappushpop(waiting, pts)
        if dts > self._last_dts:
            return dts
        if self._pictures > 3 * self.reorder and self.reorder < MAX_REORDER:
            raise ReorderedError(min(self.reorder + 2, MAX_REORDER))
        self.mended_times += 1
        return self._last_dts + 1
