"""What was sent, so that feedback can be read against it. Pure; bounded."""

from dataclasses import dataclass
from typing import Literal

from unitd.call.congestion.twcc import REFERENCE_WRAP_S, Feedback

Kind = Literal["voice", "picture", "resend"]

SIZE = 8192
"""Packets remembered: 18 s of a stream of 4 Mbit/s."""
WIRE_BYTES = 38
"""Of each packet beside RTP: IPv4 and UDP 28, the authentication tag of SRTP 10 (RFC 3711)."""


@dataclass(slots=True)
class Sent:
    """One packet. `sequence` is unwrapped; `size_bytes` as on the wire; `state` is what feedback has said so far."""

    sequence: int
    size_bytes: int
    sent_s: float
    kind: Kind
    state: Literal["open", "lost", "arrived"] = "open"


class PacketLog:
    """The last SIZE packets by their transport-wide sequence number."""

    def __init__(self) -> None:
        self._ring: list[Sent | None] = [None] * SIZE
        self._last = -1
        self._clock_s: float | None = None
        self.sent = 0
        self.unknown = 0
        """Reported packets that were never sent, or too long ago."""

    def add(self, sequence: int, size_bytes: int, sent_s: float, kind: Kind) -> None:
        """Note one packet; `sequence` as it is in the packet, 16 bits."""
        unwrapped = sequence if self._last < 0 else self._near(self._last, sequence)
        self._last = max(self._last, unwrapped)
        self._ring[unwrapped % SIZE] = Sent(unwrapped, size_bytes + WIRE_BYTES, sent_s, kind)
        self.sent += 1

    def read(self, feedback: Feedback) -> list[tuple[Sent, float | None]]:
        """What this says that was not known, in the order of sending: each packet and when it arrived, in seconds of
        the far end's clock, or None for one that was lost. Each is told lost once at most and arrived once at most; an
        arrival after a loss is told too."""
        results: list[tuple[Sent, float | None]] = []
        if self._last < 0:
            self.unknown += len(feedback.arrivals)
            return results
        base = self._near(self._last, feedback.base)
        shift_s = self._unwrapped_s(feedback.reference_s) - feedback.reference_s
        ring = self._ring
        for sequence, arrival_s in enumerate(feedback.arrivals, base):
            packet = ring[sequence % SIZE]
            if packet is None or packet.sequence != sequence:
                self.unknown += 1
            elif arrival_s is not None:
                if packet.state != "arrived":
                    packet.state = "arrived"
                    results.append((packet, arrival_s + shift_s))
            elif packet.state == "open":
                packet.state = "lost"
                results.append((packet, None))
        return results

    def _near(self, around: int, low: int) -> int:
        """The number with these low 16 bits that is nearest to `around`."""
        return around + ((low - around + 0x8000) & 0xFFFF) - 0x8000

    def _unwrapped_s(self, reference_s: float) -> float:
        """The far end's clock without its wrap, every 12 days."""
        if self._clock_s is not None:
            reference_s += round((self._clock_s - reference_s) / REFERENCE_WRAP_S) * REFERENCE_WRAP_S
        self._clock_s = reference_s
        return reference_s
