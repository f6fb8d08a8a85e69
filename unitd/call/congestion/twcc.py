"""Transport-wide feedback: which packets arrived, and when by the far end's clock. Pure.

The format is draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1. The bytes come from outside: `read_feedback` is
their one boundary and never raises.
"""

import struct
from dataclasses import dataclass

URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
EXTENSION_ID = 1
"""Of the header extension in our offer (RFC 8285, one-byte form)."""
MAX_PACKETS = 8192
"""In one feedback; more is refused: an honest far end reports ten times a second."""
MAX_FCI_BYTES = 16 * 1024
REFERENCE_S = 0.064
DELTA_S = 0.00025


@dataclass(frozen=True, slots=True)
class Feedback:
    """`arrivals[i]` is when packet `base + i` (modulo 2**16) came, in seconds of the far end's clock (modulo
    REFERENCE_WRAP_S), None when it has not."""

    base: int
    number: int
    reference_s: float
    arrivals: tuple[float | None, ...]


REFERENCE_WRAP_S = REFERENCE_S * (1 << 24)


def read_feedback(fci: bytes) -> Feedback | None:
    """The feedback in the control information of one RTCP packet; None when it is none."""
    if not 10 <= len(fci) <= MAX_FCI_BYTES:
        return None
    base, count = struct.unpack_from(">HH", fci)
    reference = int.from_bytes(fci[4:7], "big")
    if not 0 < count <= MAX_PACKETS:
        return None
    symbols: list[int] = []
    at = 8
    while len(symbols) < count:
        if at + 2 > len(fci):
            return None
        chunk = (fci[at] << 8) | fci[at + 1]
        at += 2
        if chunk < 0x8000:  # run length
            run = min(chunk & 0x1FFF, count - len(symbols))
            if run == 0:
                return None
            symbols += [chunk >> 13] * run
        elif chunk < 0xC000:  # fourteen symbols of one bit
            symbols += [(chunk >> shift) & 1 for shift in range(13, -1, -1)]
        else:  # seven of two
            symbols += [(chunk >> shift) & 3 for shift in range(12, -1, -2)]
    reference_s = at_s = reference * REFERENCE_S
    arrivals: list[float | None] = []
    for symbol in symbols[:count]:
        if symbol == 0:
            arrivals.append(None)
            continue
        if symbol == 1 and at < len(fci):
            at_s += fci[at] * DELTA_S
            at += 1
        elif symbol == 2 and at + 2 <= len(fci):
            delta = (fci[at] << 8) | fci[at + 1]
            at_s += (delta - 0x10000 if delta >= 0x8000 else delta) * DELTA_S
            at += 2
        else:  # the reserved symbol, or deltas that are not there
            return None
        arrivals.append(at_s)
    return Feedback(base, fci[7], reference_s, tuple(arrivals))
