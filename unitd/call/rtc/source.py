"""The way into a pipeline: an appsrc, written to directly."""

import ctypes
from functools import cache
from typing import Any

from unitd.call.native.binding import address_of, bind

UNKNOWN_NS = (1 << 64) - 1


class Source:
    """An `appsrc` that does not block. `push` and `waiting_bytes` may be called on any thread, one at a time; the
    element lives at least as long as this."""

    def __init__(self, element: Any) -> None:
        self._element = element
        self._address = address_of(element)
        library = _bound()
        self._push, self._waiting = library.unitd_source_push, library.unitd_source_waiting

    def push(self, data: bytes, pts_ns: int, duration_ns: int = UNKNOWN_NS) -> None:
        """Put a buffer with its own copy of `data` into the queue; without effect when the pipeline has ended."""
        self._push(self._address, data, len(data), pts_ns, duration_ns)

    @property
    def waiting_bytes(self) -> int:
        """What has been pushed and has not left the queue."""
        return int(self._waiting(self._address))


@cache
def _bound() -> ctypes.PyDLL:
    pointer, u64 = ctypes.c_void_p, ctypes.c_uint64
    return bind(
        {
            "source_push": (ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_size_t, u64, u64),
            "source_waiting": (u64, pointer),
        }
    )
