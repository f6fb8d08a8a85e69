"""Capacity from packet trains: what left close together comes apart at the bottleneck's rate. Pure.

A keyframe that leaves at the pace is a train, and so is a handful of resends sent at once to learn what a link carries
above the present stream. The dispersion is an upper bound where others use the link as well, so a step that follows it
is watched (`ladder`).
"""

from typing import NamedTuple

from unitd.call.congestion.packet_log import Sent

GAP_S = 0.006
LEAST_PACKETS = 6
MOST_PACKETS = 48
LEAST_SPAN_S = 0.0005
SPREAD = 0.85
"""A train that came at less than this share of the rate it left with was spread by the bottleneck."""
TRAIN_S = 0.06
LEAST_ORDERED, MOST_ORDERED = 8, 30
UNFINISHED_SPREAD = 0.5
MOST_BIT_S = 100e6


def train_packets(capacity_bit_s: float | None) -> int:
    """How many packets a train has: TRAIN_S of what the link is known to carry, so that it is felt nowhere, and its
    arrival is told apart from chance."""
    return min(MOST_ORDERED, max(LEAST_ORDERED, int((capacity_bit_s or 0.0) * TRAIN_S / 8 / 1250)))


class _Came(NamedTuple):
    sent_s: float
    arrived_s: float
    size_bytes: int
    is_resend: bool


class Train(NamedTuple):
    """`is_limit`: the bottleneck set the rate; else it came as it left, and the link carries at least that."""

    bit_s: float
    is_limit: bool
    is_ordered: bool
    """It was sent for this."""


class Trains:
    """Takes arrived packets in the order of sending."""

    def __init__(self) -> None:
        self._run: list[_Came] = []

    def forget(self) -> None:
        self._run.clear()

    def so_far(self) -> float | None:
        """The bottleneck's rate, when the train that is still arriving is clearly spread by it."""
        train = _rate(self._run, UNFINISHED_SPREAD)
        return train.bit_s if train is not None and train.is_limit else None

    def arrived(self, packet: Sent, arrived_s: float) -> Train | None:
        """The train that this packet ends, if it does."""
        run = self._run
        if run and not 0 <= packet.sent_s - run[-1].sent_s <= GAP_S:
            result = _rate(run)
            self._run = [_Came(packet.sent_s, arrived_s, packet.size_bytes, packet.kind == "resend")]
            return result
        run.append(_Came(packet.sent_s, arrived_s, packet.size_bytes, packet.kind == "resend"))
        if len(run) >= MOST_PACKETS:
            self._run = run[-1:]
            return _rate(run)
        return None


def _rate(run: list[_Came], spread: float = SPREAD) -> Train | None:
    if len(run) < LEAST_PACKETS:
        return None
    bits = 8 * sum(each.size_bytes for each in run[1:])
    left_s = max(run[-1].sent_s - run[0].sent_s, LEAST_SPAN_S)
    came_s = max(max(each.arrived_s for each in run) - run[0].arrived_s, LEAST_SPAN_S)
    left_bit_s, came_bit_s = bits / left_s, bits / came_s
    is_ordered = sum(each.is_resend for each in run) >= LEAST_PACKETS
    # What came closer together than it left had waited somewhere: no more than it left with is shown.
    return Train(min(came_bit_s, left_bit_s, MOST_BIT_S), came_bit_s < spread * left_bit_s, is_ordered)
