"""Calls that hold their object weakly: a cycle through a GObject closure is never collected, and the last reference to
a session must not go on one of GStreamer's threads."""

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def call(reference: "weakref.ref[T]", method: Callable[..., object], *values: Any) -> None:
    """`method(object, *values)` while the object is there."""
    held = reference()
    if held is not None:
        method(held, *values)


def reading(reference: "weakref.ref[T]", method: Callable[[T], R], else_: R) -> Callable[[], R]:
    """A function that reads something of the object, `else_` once it has gone."""

    def read() -> R:
        held = reference()
        return else_ if held is None else method(held)

    return read
