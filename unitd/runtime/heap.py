"""The C library's heap in a process of many threads."""

import contextlib
import ctypes

_M_ARENA_MAX = -8


def share_heaps(most: int) -> None:
    """Let the threads of this process share so many heaps: each of its own keeps what was freed in it. To be called
    before the first thread is started. Without effect where the C library is not glibc. Does not block."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, most)
