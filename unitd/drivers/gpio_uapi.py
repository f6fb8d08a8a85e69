"""The bytes of the kernel's GPIO character device, uAPI v2 (linux/gpio.h): what is sent and what is read. No I/O here.

tests/contract/test_gpio_kernel_header.py compares every size, place and ioctl number with the header that a C compiler
finds. Nothing here raises on bytes from outside: what cannot be understood is counted or None.
"""

import struct
from typing import NamedTuple

NAME_BYTES = 32
LINES_MAX = 64
ATTRS_MAX = 10
EVENT_BUFFER_EVENTS = 1024
"""Edges that the kernel keeps while nobody reads: as many as it allows (GPIO_V2_LINES_MAX x 16). Beyond them the oldest
are dropped, which shows as a gap in `seqno`."""

FLAG_USED = 1 << 0
FLAG_INPUT = 1 << 2
FLAG_EDGE_RISING = 1 << 4
FLAG_EDGE_FALLING = 1 << 5
FLAG_BIAS_PULL_UP = 1 << 8
FLAG_BIAS_PULL_DOWN = 1 << 9
RISING, FALLING = 1, 2

CHIP_INFO = struct.Struct("=32s32sI")
_ATTRIBUTE_BYTES = 16
LINE_INFO = struct.Struct(f"=32s32sIIQ{ATTRS_MAX * _ATTRIBUTE_BYTES}x16x")
REQUEST = struct.Struct(f"={LINES_MAX}I32sQI20x{ATTRS_MAX * (_ATTRIBUTE_BYTES + 8)}xII20xi")
VALUES = struct.Struct("=QQ")
EVENT = struct.Struct("=QIIII24x")

EVENTS_BYTES = EVENT_BUFFER_EVENTS * EVENT.size
"""One read of this size takes all that the kernel can hold."""


def _ioctl(write: bool, number: int, size_bytes: int) -> int:
    """_IOWR (_IOR unless `write`) of asm-generic/ioctl.h, which all of our architectures share; the type is 0xB4."""
    return ((3 if write else 2) << 30) | (size_bytes << 16) | (0xB4 << 8) | number


GET_CHIP_INFO = _ioctl(False, 0x01, CHIP_INFO.size)
GET_LINE_INFO = _ioctl(True, 0x05, LINE_INFO.size)
GET_LINE = _ioctl(True, 0x07, REQUEST.size)
GET_VALUES = _ioctl(True, 0x0E, VALUES.size)


class Edge(NamedTuple):
    """One edge as the kernel saw it: CLOCK_MONOTONIC ns of its interrupt, the level after it, and its number in this
    line's request (32 bits, it wraps)."""

    mono_ns: int
    high: bool
    seqno: int


class LineInfo(NamedTuple):
    """What the chip says of one of its lines."""

    consumer: str
    flags: int


class Held(NamedTuple):
    """What a line request's descriptor holds: the chip's kernel name and the offsets on it."""

    chip: str
    offsets: tuple[int, ...]


def input_flags(pull_up: bool) -> int:
    """An input with its pull that reports both edges."""
    bias = FLAG_BIAS_PULL_UP if pull_up else FLAG_BIAS_PULL_DOWN
    return FLAG_INPUT | FLAG_EDGE_RISING | FLAG_EDGE_FALLING | bias


def request(offset: int, consumer: str, flags: int) -> bytes:
    """A `gpio_v2_line_request` for one line."""
    offsets = (offset, *([0] * (LINES_MAX - 1)))
    return REQUEST.pack(*offsets, consumer.encode()[: NAME_BYTES - 1], flags, 0, 1, EVENT_BUFFER_EVENTS, 0)


def requested_fd(answer: bytes) -> int:
    """The line's descriptor from the kernel's answer to `request`; 0 or less is none."""
    return int(REQUEST.unpack(answer)[-1])


def chip_label(answer: bytes) -> str:
    """The driver's name for the chip, such as `pinctrl-bcm2711`."""
    return _text(CHIP_INFO.unpack(answer)[1])


def line_info_query(offset: int) -> bytes:
    return LINE_INFO.pack(b"", b"", offset, 0, 0)


def line_info(answer: bytes) -> LineInfo:
    _, consumer, _, _, flags = LINE_INFO.unpack(answer)
    return LineInfo(_text(consumer), flags)


def edges(data: bytes) -> tuple[list[Edge], int]:
    """The edges in what one read gave, oldest first, and how many pieces were not an edge. Never raises."""
    found: list[Edge] = []
    whole = len(data) - len(data) % EVENT.size
    strange = 1 if whole != len(data) else 0
    for mono_ns, kind, _offset, seqno, _line_seqno in EVENT.iter_unpack(data[:whole]):
        if kind in (RISING, FALLING) and mono_ns < 1 << 63:
            found.append(Edge(mono_ns, kind == RISING, seqno))
        else:
            strange += 1
    return found, strange


def missed(before: int | None, seqno: int) -> int:
    """How many edges are missing between two read one after the other; 0 when the first is not known."""
    return 0 if before is None else (seqno - before - 1) % (1 << 32)


def held(fdinfo: str) -> Held | None:
    """What /proc/self/fdinfo/N says of a line request (Linux 6.1 and later say it); None when it is none."""
    chip = ""
    offsets: list[int] = []
    for row in fdinfo.splitlines():
        key, _, value = row.partition(":")
        value = value.strip()
        if key == "gpio-chip":
            chip = value
        elif key == "gpio-line" and value.isascii() and value.isdigit() and len(value) < 10:
            offsets.append(int(value))
    return Held(chip, tuple(offsets)) if chip and offsets else None


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("ascii", "replace")
