"""Output whose reader may leave (`unitd verify DIR | head -3`): the command ends all the same, with its true status."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class _Outlet(io.FileIO):
    """A descriptor; what nobody reads any more is dropped. Other errors are raised as ever. Does not close it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: "io.ReadableBuffer") -> int:  # type: ignore[name-defined]
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


@contextmanager
def patient_output() -> Iterator[None]:
    """While inside, no write to stdout or stderr raises BrokenPipeError. Exchanged streams are left alone.

    A reader that leaves must not turn "tampered" into success, nor stop an export half-way.
    """
    before = sys.stdout, sys.stderr
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = _patient(sys.stdout)
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = _patient(sys.stderr)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and stream not in before:
                stream.flush()
        sys.stdout, sys.stderr = before


def _patient(stream: TextIO) -> TextIO:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Outlet(stream.fileno())),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.isatty() or stream is sys.__stderr__,
    )
