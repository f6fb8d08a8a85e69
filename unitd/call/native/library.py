"""The compiled half of a call, loaded once."""

import ctypes
from functools import cache
from pathlib import Path

from unitd.errors import DeviceError

FILE = Path(__file__).with_name("libunitd_call.so")


@cache
def library() -> ctypes.CDLL:
    """The library. A call through it lets other Python threads run. Raises DeviceError when it was never compiled."""
    try:
        return ctypes.CDLL(str(FILE))
    except OSError as error:
        raise DeviceError(f"{FILE}: {error}; run tools/build_native.sh (make setup does)") from None


@cache
def brief() -> ctypes.PyDLL:
    """The same. A call through it keeps the interpreter: for what takes some microseconds, where giving it to another
    thread and getting it back would cost more, and for what no other thread may come between."""
    library()
    return ctypes.PyDLL(str(FILE))
