"""Capacity from packet trains: what left close together comes apart at the bottleneck's rate. Pure.

A keyframe that leaves at the pace is a train, and so is a handful of resends sent at once to learn what a link carries
above the present stream. The dispersion is an upper bound where others use the link as well, so a step that follows it
is watched (`ladder`).
"""

from unitd.call.congestion.packet_log import Sent

GAP_S = 0.006
LEAST_PACKETS = 6
MOST_PACKETS = 48
LEAST_SPAN_S = 0.0005
SPREAD = 0.85
"""A train that came at less than this share of the rate it left with was spread by the bottleneck."""
NOISE_FACTOR = 3.0
"""Jitter spreads a train too. It gets the benefit of the doubt: a step up that was too much is soon known."""
UNFINISHED_SPREAD = 0.5
MOST_BIT_S = 100e6


class Trains:
    """Takes arrived packets in the order of sending."""

    def __init__(self) -> None:
        self._run: list[tuple[float, float, int]] = []

    def forget(self) -> None:
        self._run.clear()

    def so_far(self, noise_s: float) -> float | None:
        """The bottleneck's rate, when the train that is still arriving is clearly spread by it."""
        rate = _rate(self._run, noise_s, UNFINISHED_SPREAD)
        return rate[0] if rate is not None and rate[1] else None

    def arrived(self, packet: Sent, arrived_s: float, noise_s: float) -> tuple[float, bool] | None:
        """(bit/s, whether the bottleneck set it) when this packet ends a train; else the rate it left with came through
        and the link carries at least that."""
        run = self._run
        if run and not 0 <= packet.sent_s - run[-1][0] <= GAP_S:
            result = _rate(run, noise_s)
            self._run = [(packet.sent_s, arrived_s, packet.size_bytes)]
            return result
        run.append((packet.sent_s, arrived_s, packet.size_bytes))
        if len(run) >= MOST_PACKETS:
            self._run = run[-1:]
            return _rate(run, noise_s)
        return None


def _rate(run: list[tuple[float, float, int]], noise_s: float, spread: float = SPREAD) -> tuple[float, bool] | None:
    if len(run) < LEAST_PACKETS:
        return None
    bits = 8 * sum(size for _, _, size in run[1:])
    left_s = max(run[-1][0] - run[0][0], LEAST_SPAN_S)
    took_s = max(arrived for _, arrived, _ in run) - run[0][1]
    came_s = max(took_s - NOISE_FACTOR * noise_s, min(took_s, left_s), LEAST_SPAN_S)
    came_bit_s = min(bits / came_s, MOST_BIT_S)
    return came_bit_s, came_bit_s < spread * bits / left_s
