"""What sees every packet of a session, in C: which passed (`native/packets.c`), and when the picture's may leave
(`native/pacer.c`).

Both objects may be dropped at any time: a pad that is watched keeps its own share of them.
"""

import ctypes
import struct
import weakref
from functools import cache
from typing import Any, NamedTuple

from unitd.call.congestion.pacer import BURST_S
from unitd.call.congestion.twcc import EXTENSION_ID
from unitd.call.native.binding import address_of, bind, made

MAX_TAKEN = 512
MARK_BYTES = 3
LEAST_SLEEP_S = 0.002
"""A shorter wait is none: the kernel would oversleep it."""
_NOTE = struct.Struct("=dIIIHHBB6x")


class Note(NamedTuple):
    """One packet that passed: when (monotonic), its size as RTP, its stream and time there, its number for
    transport-wide feedback, its RTP sequence number and payload type, and whether it has that number at all."""

    at_s: float
    size_bytes: int
    source: int
    rtp_time: int
    number: int
    sequence: int
    payload: int
    is_numbered: int


class PacketNotes:
    """The packets that have passed a pad since they were last taken; the oldest go first when there are more than 4096
    (10 s of 4 Mbit/s). Thread-safe; no call blocks."""

    def __init__(self) -> None:
        self._library = _bound()
        self._log = made(self._library.unitd_log_new(EXTENSION_ID))
        weakref.finalize(self, self._library.unitd_log_free, self._log)
        self._room = ctypes.create_string_buffer(MAX_TAKEN * _NOTE.size)

    def watch(self, pad: Any) -> None:
        """Note what passes this pad from now on, for as long as it lives."""
        self._library.unitd_log_watch(self._log, address_of(pad))

    def note(self, header: bytes, size_bytes: int, at_s: float) -> None:
        """Note one packet by its first bytes, as the probe does."""
        self._library.unitd_log_note(self._log, header, len(header), size_bytes, at_s)

    def take(self) -> list[Note]:
        """What has passed since the last call, oldest first. For one thread at a time."""
        taken: list[Note] = []
        while True:
            count = self._library.unitd_log_take(self._log, self._room, MAX_TAKEN)
            taken += map(Note._make, _NOTE.iter_unpack(memoryview(self._room)[: count * _NOTE.size]))
            if count < MAX_TAKEN:
                return taken

    @property
    def dropped(self) -> int:
        return int(self._library.unitd_log_dropped(self._log))


class Pacer:
    """A leaky bucket for the packets of one stream, and what of the stream may still leave. Thread-safe; only the
    stream's own thread ever waits, and a change ends its wait at once."""

    def __init__(self, rate_bit_s: float) -> None:
        self._library = _bound()
        self._rate_bit_s, self._is_open, self._stale_before_ns = rate_bit_s, False, 0
        self._pacer = made(self._library.unitd_pacer_new(rate_bit_s, BURST_S, LEAST_SLEEP_S))
        weakref.finalize(self, self._library.unitd_pacer_free, self._pacer)

    def watch(self, pictures: Any, packets: Any, onwards: Any) -> None:
        """Drop what is stale at the pad `pictures`, and hold and drop packets at the pad `packets`, while they live.
        What may leave goes to the pad `onwards`, past all that is linked between; while shut it goes as it is linked.
        """
        self._library.unitd_pacer_watch(self._pacer, address_of(pictures), address_of(packets), address_of(onwards))

    @property
    def rate_bit_s(self) -> float:
        return self._rate_bit_s

    @rate_bit_s.setter
    def rate_bit_s(self, bit_s: float) -> None:
        if bit_s != self._rate_bit_s:
            self._rate_bit_s = bit_s
            self._set()

    def open(self, is_open: bool) -> None:
        """While shut nothing is held up, and no packet is dropped."""
        self._is_open = is_open
        self._set()

    def drop_before(self, pts_ns: int) -> None:
        """Pictures older than this no longer leave."""
        self._stale_before_ns = pts_ns
        self._set()

    def mark(self, extension: int, data: bytes) -> None:
        """Put three bytes as this header extension (RFC 8285, 1 to 14) into the first packet of each picture, from the
        next on."""
        if len(data) != MARK_BYTES:
            raise ValueError(f"{len(data)} bytes, {MARK_BYTES} are marked")
        self._library.unitd_pacer_mark(self._pacer, extension, data)

    def wait_s(self, size_bytes: int, now_s: float) -> float:
        """Seconds (0 or more) before this packet may leave, which is counted as sent."""
        return float(self._library.unitd_pacer_wait_s(self._pacer, size_bytes, now_s))

    @property
    def sent(self) -> int:
        return int(self._library.unitd_pacer_sent(self._pacer))

    def _set(self) -> None:
        self._library.unitd_pacer_set(self._pacer, self._is_open, self._rate_bit_s, self._stale_before_ns)


@cache
def _bound() -> ctypes.PyDLL:
    pointer, double, u32, u64 = ctypes.c_void_p, ctypes.c_double, ctypes.c_uint32, ctypes.c_uint64
    return bind(
        {
            "log_new": (pointer, ctypes.c_int),
            "log_free": (None, pointer),
            "log_note": (None, pointer, ctypes.c_char_p, u32, u32, double),
            "log_take": (u32, pointer, pointer, u32),
            "log_dropped": (u64, pointer),
            "log_watch": (None, pointer, pointer),
            "pacer_new": (pointer, double, double, double),
            "pacer_free": (None, pointer),
            "pacer_set": (None, pointer, ctypes.c_int, double, u64),
            "pacer_wait_s": (double, pointer, u64, double),
            "pacer_sent": (u64, pointer),
            "pacer_mark": (None, pointer, ctypes.c_int, ctypes.c_char_p),
            "pacer_watch": (None, pointer, pointer, pointer, pointer),
        }
    )
