"""aiortc's picture buffer, in a hurry.

As shipped (1.16) it waits for a lost packet until 128 later ones have come: five seconds of a small stream, after every
gap, and then it catches up one picture a packet. Browsers give a gap a few hundred milliseconds, throw away what
hangs on it and ask for a keyframe; an operator's console in a scenario must do the same, or it would measure aiortc.
"""

from __future__ import annotations

import time
from typing import Any

from aiortc.jitterbuffer import JitterBuffer

PATIENCE_S = 0.3
CAPACITY_PACKETS = 512


class HastyBuffer(JitterBuffer):
    """Gives a gap PATIENCE_S, then starts afresh with the packet in hand and has a keyframe asked for."""

    def __init__(self) -> None:
        super().__init__(capacity=CAPACITY_PACKETS, is_video=True)
        self._gap_since_s: float | None = None
        self.skips = 0

    def add(self, packet: Any) -> tuple[bool, Any]:
        wants_keyframe, frame = super().add(packet)
        if frame is not None or not self._has_gap():
            self._gap_since_s = None
            return wants_keyframe, frame
        now_s = time.monotonic()
        if self._gap_since_s is None:
            self._gap_since_s = now_s
        elif now_s - self._gap_since_s > PATIENCE_S:
            self._gap_since_s = None
            self.skips += 1
            self.remove(self.capacity)
            self._origin = packet.sequence_number
            self._packets[packet.sequence_number % self.capacity] = packet
            return True, None
        return wants_keyframe, None

    def _has_gap(self) -> bool:
        """Whether a packet is missing before one that is here."""
        hole = False
        origin = self._origin or 0
        for count in range(self.capacity):
            if self._packets[(origin + count) % self.capacity] is None:
                hole = True
            elif hole:
                return True
        return False


def hurry(receiver: Any) -> HastyBuffer:
    """Give a receiver of aiortc 1.16 (pinned: the attribute is private) such a buffer, before its first packet."""
    buffer = HastyBuffer()
    if not hasattr(receiver, "_RTCRtpReceiver__jitter_buffer"):
        raise RuntimeError("this aiortc keeps its buffer elsewhere; see hw_sim/operator/jitter.py")
    receiver._RTCRtpReceiver__jitter_buffer = buffer
    return buffer
