"""Capacity from packet trains: what left close together comes apart at the bottleneck's rate. Pure.

A keyframe that leaves at the pace is a train, and so is a handful of resends sent at once to learn what a link carries
above the present stream. The dispersion is an upper bound where others use the link as well, so a step that follows it
is watched (`ladder`).
"""

from collections.abc import Sequence
from typing import NamedTuple

from unitd.call.congestion.packet_log import Sent

GAP_S = 0.006
LEAST_PACKETS = 6
MOST_PACKETS = 48
LEAST_SPAN_S = 0.0005
SPREAD = 0.85
"""A train that came at less than this share of the rate it left with was spread by the bottleneck."""
TRAIN_S, MOST_TRAIN_S = 0.06, 0.15
LEAST_ORDERED, MOST_ORDERED = 8, 30
SMALL_BYTES, LARGE_BYTES = 400, 1250
LEAST_SHARE, MOST_SHARE = 0.4, 1.5
UNFINISHED_SPREAD = 0.5
MOST_BIT_S = 100e6


class Planned(NamedTuple):
    """A train to be sent: so many packets, of about this size."""

    packets: int
    packet_bytes: int


def planned(capacity_bit_s: float | None) -> Planned:
    """TRAIN_S of what the link is known to carry, so that it is felt nowhere, and its arrival is told apart from
    chance. On a thin link the packets are small rather than fewer: twelve large ones stood in the way of the voice for
    half a second at 250 kbit/s."""
    if capacity_bit_s is None:
        return Planned(LEAST_ORDERED, LARGE_BYTES)
    bytes_s = capacity_bit_s / 8
    packets = min(MOST_ORDERED, max(LEAST_ORDERED, int(bytes_s * TRAIN_S / LARGE_BYTES)))
    return Planned(packets, min(LARGE_BYTES, max(SMALL_BYTES, int(bytes_s * MOST_TRAIN_S / packets))))


def of_size(sizes_bytes: Sequence[int], wanted_bytes: int) -> list[int]:
    """Which of these packets (their places) a train is made of: those of about that size, else the nearest one."""
    about = [
        place
        for place, size_bytes in enumerate(sizes_bytes)
        if LEAST_SHARE * wanted_bytes <= size_bytes <= MOST_SHARE * wanted_bytes
    ]
    if about or not sizes_bytes:
        return about
    return [min(range(len(sizes_bytes)), key=lambda place: abs(sizes_bytes[place] - wanted_bytes))]


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
