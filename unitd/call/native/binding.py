"""What C objects need on their Python side."""

import ctypes
from collections.abc import Mapping
from typing import Any, overload

from unitd.call.native.library import brief

_Type = Any


@overload
def bind(functions: Mapping[str, tuple[_Type, ...]]) -> ctypes.PyDLL: ...
@overload
def bind(functions: Mapping[str, tuple[_Type, ...]], native: ctypes.CDLL) -> ctypes.CDLL: ...
def bind(functions: Mapping[str, tuple[_Type, ...]], native: ctypes.CDLL | None = None) -> ctypes.CDLL:
    """The library (`brief`, or `native`) with the types of these functions, without their `unitd_`: what each gives,
    then what it takes. By `brief` none may take longer than some microseconds. Raises DeviceError when it was never
    compiled."""
    if native is None:
        native = brief()
    for name, (gives, *takes) in functions.items():
        function = getattr(native, f"unitd_{name}")
        function.restype, function.argtypes = gives, takes
    return native


def made(address: int | None) -> int:
    """What a function that makes something gave. Raises MemoryError when that was nothing."""
    if not address:
        raise MemoryError
    return address


def address_of(wrapped: Any) -> int:
    """Of the GObject behind what gi gave."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(get(wrapped.__gpointer__, None))
