"""How late a far end's packets come, and how long to wait for one. Pure: times come in, seconds come out."""

from collections import deque

import numpy as np
import numpy.typing as npt

RTP_RATE_HZ = 48_000
"""Of Opus, whatever it carries (RFC 7587, 4.1)."""
BIN_S = 0.005
BINS = 120
LATE_SHARE = 0.03
"""So many packets may come later than is waited for: Opus's own redundancy and concealment make up for that many."""
FORGET = 0.997
"""Per packet: a change for the worse is followed within 0.3 s, one for the better within some 20 s, for as long as the
worst that was seen may come again."""
START_PACKETS = 50
"""What the set-up of a session delays is no measure of its link, and hardly counts after this many."""
BASE_WINDOW_S = 10.0
"""The quickest packet of so long is what the others are late against: long enough to meet one on a busy link, short
enough that two clocks 200 ppm apart make 2 ms of it."""
LEAST_WAIT_S, MOST_WAIT_S = 0.020, 0.400
MARGIN_S = 0.005
FRAME_S = 0.020
"""In hand besides what is waited for, since the card takes a frame at once. Where packets are lost, one more: a lost
frame is made from the packet after it."""
LOSSY_PACKETS = 500
"""So long after the last packet that was missing a link counts as one that loses."""
LEAST_DELAY_S = 0.040


class JitterMeter:
    """Fed with every packet of one stream in the order of arrival. `wait_s`: how long after its time a missing packet
    is waited for. `delay_s`: how much sound to keep in hand so that waiting tears nothing.

    Not thread-safe. A stream that starts again (another sequence of times) is measured afresh.
    """

    def __init__(self) -> None:
        self._last_rtp: int | None = None
        self._last_number: int | None = None
        self._lossy_until = 0
        self._wait_s = LEAST_WAIT_S
        self._is_new = False
        self._forget()

    def _forget(self) -> None:
        self.packets = 0
        self._lossy_until = 0
        self._counts: npt.NDArray[np.float64] = np.zeros(BINS)
        self._media_s = 0.0
        self._quickest: deque[tuple[float, float]] = deque()

    @property
    def wait_s(self) -> float:
        if self._is_new:  # made when it is asked for, not at each packet
            self._is_new = False
            self._wait_s = min(max(self._quantile_s() + MARGIN_S, LEAST_WAIT_S), MOST_WAIT_S)
        return self._wait_s

    @property
    def delay_s(self) -> float:
        return max(LEAST_DELAY_S, self.wait_s + (2 if self.loses else 1) * FRAME_S)

    @property
    def loses(self) -> bool:
        return self.packets < self._lossy_until

    def packet(self, rtp_time: int, number: int, arrival_s: float) -> None:
        """`rtp_time` is the packet's 32-bit timestamp, `number` its 16-bit sequence number, `arrival_s` any steady
        clock's reading."""
        if self._last_number is not None and 2 <= (number - self._last_number) % 2**16 < 2**15:
            self._lossy_until = self.packets + LOSSY_PACKETS
        self._last_number = number
        if self._last_rtp is not None:
            step = (rtp_time - self._last_rtp + 2**31) % 2**32 - 2**31
            if abs(step) > 60 * RTP_RATE_HZ:
                self._forget()
            else:
                self._media_s += step / RTP_RATE_HZ
        self._last_rtp = rtp_time
        late_s = self._late_s(arrival_s - self._media_s, arrival_s)
        self.packets += 1
        if late_s > BINS * BIN_S:
            return  # an outage, not jitter: waiting that long would help nobody
        self._counts *= 0.02 if self.packets == START_PACKETS else min(FORGET, 1 - 1 / (self.packets + 1))
        self._counts[min(int(late_s / BIN_S), BINS - 1)] += 1
        self._is_new = True

    def _late_s(self, transit_s: float, now_s: float) -> float:
        """Against the quickest packet of the window, kept as a queue of rising transits."""
        while self._quickest and self._quickest[-1][1] >= transit_s:
            self._quickest.pop()
        self._quickest.append((now_s, transit_s))
        while now_s - self._quickest[0][0] > BASE_WINDOW_S:
            self._quickest.popleft()
        return transit_s - self._quickest[0][1]

    def _quantile_s(self) -> float:
        share = np.cumsum(self._counts) / self._counts.sum()
        return float(np.searchsorted(share, 1 - LATE_SHARE) + 1) * BIN_S
