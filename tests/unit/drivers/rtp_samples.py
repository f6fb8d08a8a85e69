"""Access units as RTP packets, as a camera would send them."""

import struct

TYPE = 96
MTU = 400


def split(data: bytes) -> list[bytes]:
    """The NAL units of an access unit."""
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1") if unit.strip(b"\0")]


def packets(data: bytes, sequence: int, timestamp: int) -> list[bytes]:
    """An access unit as RTP packets, large units in fragments, the marker on the last."""
    payloads: list[bytes] = []
    for unit in split(data):
        if len(unit) <= MTU:
            payloads.append(unit)
            continue
        body, head = unit[1:], unit[0]
        pieces = [body[at : at + MTU] for at in range(0, len(body), MTU)]
        for number, piece in enumerate(pieces):
            flags = (0x80 if number == 0 else 0) | (0x40 if number == len(pieces) - 1 else 0)
            payloads.append(bytes([head & 0xE0 | 28, flags | head & 0x1F]) + piece)
    last = len(payloads) - 1
    found = []
    for number, payload in enumerate(payloads):
        second = TYPE | (0x80 if number == last else 0)
        found.append(struct.pack(">BBHII", 0x80, second, (sequence + number) & 0xFFFF, timestamp % 2**32, 7) + payload)
    return found
