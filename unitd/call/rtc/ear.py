"""What a far end says, decoded, out of a pipeline: taken by the sound card's thread when it needs it."""

import ctypes
import weakref
from functools import cache
from typing import Any

from unitd.call.native.binding import address_of, bind, made

ROOM_BYTES = 48_000


class Ear:
    """Keeps what reaches a pad, up to 0.5 s of it; the oldest goes first, and is counted. Thread-safe; no call blocks.
    May be dropped at any time: a pad that is watched keeps its own share."""

    def __init__(self) -> None:
        self._library = _bound()
        self._ear = made(self._library.unitd_ear_new())
        weakref.finalize(self, self._library.unitd_ear_free, self._ear)
        self._room = ctypes.create_string_buffer(ROOM_BYTES)

    def watch(self, pad: Any) -> None:
        """Keep the sound that reaches this pad, for as long as the pad lives; it goes no further."""
        self._library.unitd_ear_watch(self._ear, address_of(pad))

    def guard(self, pad: Any) -> None:
        """Keep from the Opus decoder behind this pad what GStreamer 1.22's never gets over: gaps shorter than its
        concealment can be, and packets without sound."""
        self._library.unitd_ear_guard(address_of(pad))

    def take(self) -> bytes:
        """What has come since the last call. For one thread at a time."""
        held = self._library.unitd_ear_take(self._ear, self._room)
        return ctypes.string_at(self._room, held) if held else b""

    @property
    def dropped_bytes(self) -> int:
        return int(self._library.unitd_ear_dropped(self._ear))


@cache
def _bound() -> ctypes.PyDLL:
    pointer = ctypes.c_void_p
    return bind(
        {
            "ear_new": (pointer,),
            "ear_free": (None, pointer),
            "ear_watch": (None, pointer, pointer),
            "ear_guard": (None, pointer),
            "ear_take": (ctypes.c_uint32, pointer, pointer),
            "ear_dropped": (ctypes.c_uint64, pointer),
        }
    )
