"""The one way in which what is signed or hashed is written as JSON (docs/evidence.md), so that any other way shows."""

from typing import Any

import msgspec

from unitd.errors import UNREADABLE, StoreError


def canonical(value: Any) -> bytes:
    """Keys sorted, no blanks, UTF-8, whole numbers, one newline at the end. Raises StoreError for a float. Pure."""
    built = msgspec.to_builtins(value)
    _refuse_floats(built)
    return msgspec.json.encode(built, order="sorted") + b"\n"


def is_canonical(data: bytes) -> bool:
    """Whether `data` is what `canonical` would have written. Pure; never raises."""
    try:
        return canonical(msgspec.json.decode(data)) == data
    except (*UNREADABLE, StoreError):
        return False


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise StoreError(f"{value!r} is not a whole number: it has no one way to be written")
    if isinstance(value, dict):
        for each in value.values():
            _refuse_floats(each)
    if isinstance(value, list | tuple):
        for each in value:
            _refuse_floats(each)
