"""Pelco-D frames: finding them in a byte stream, and making answers.

A frame is `FF address command1 command2 data1 data2 checksum`, the checksum being the sum of the five
middle bytes modulo 256 ("D" protocol manual, Pelco TF-0002).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

SYNC = 0xFF
FRAME_BYTES = 7


class Motor(IntFlag):
    """Bits of command 2 in a motion frame; all clear is "stop"."""

    RIGHT = 0x02
    LEFT = 0x04
    UP = 0x08
    DOWN = 0x10
    TELE = 0x20
    WIDE = 0x40


EXTENDED_BIT = 0x01
"""Set in command 2 of an extended command."""


class Extended(IntEnum):
    """Extended commands (command 2), and the answers to the queries."""

    SET_PRESET = 0x03
    CLEAR_PRESET = 0x05
    GO_PRESET = 0x07
    REMOTE_RESET = 0x0F
    QUERY_PAN = 0x51
    QUERY_TILT = 0x53
    QUERY_ZOOM = 0x55
    ANSWER_PAN = 0x59
    ANSWER_TILT = 0x5B
    ANSWER_ZOOM = 0x5D


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose checksum was right."""

    address: int
    command1: int
    command2: int
    data1: int
    data2: int

    def pack(self) -> bytes:
        """The seven bytes on the wire."""
        body = bytes((self.address, self.command1, self.command2, self.data1, self.data2))
        return bytes((SYNC, *body, sum(body) % 256))


class FrameReader:
    """Finds frames in whatever arrives; takes up again at the next sync byte after garbage.

    `bad_frames` counts seven-byte windows with a wrong checksum, `skipped_bytes` what was thrown away.
    """

    def __init__(self) -> None:
        self.bad_frames = 0
        self.skipped_bytes = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`, in order. Never raises on any bytes; keeps 6 bytes at most."""
        self._buffer += data
        frames: list[Frame] = []
        buffer = self._buffer
        while buffer:
            start = buffer.find(SYNC)
            if start != 0:
                drop = len(buffer) if start < 0 else start
                self.skipped_bytes += drop
                del buffer[:drop]
                continue
            if len(buffer) < FRAME_BYTES:
                break
            if sum(buffer[1:6]) % 256 == buffer[6]:
                frames.append(Frame(*buffer[1:6]))
                del buffer[:FRAME_BYTES]
            else:
                # Only the sync byte is dropped: a true frame may begin inside the broken one.
                self.bad_frames += 1
                self.skipped_bytes += 1
                del buffer[:1]
        return frames
