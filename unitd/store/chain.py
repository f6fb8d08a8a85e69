"""A hash chain: JSON lines, each carrying the SHA-256 of the line before, so that a change or a hole shows.

`{"n": 7, "prev": "<sha256 of line 6 with its newline>", "kind": "segment", "boot": 3, "mono_ns": ..., ...}`; the
first line's `prev` is 64 zeros. One writer per chain. Cutting the tail is not seen by the chain alone: that needs
heads kept elsewhere.
"""

import contextlib
import errno
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitd.errors import UNREADABLE
from unitd.store import disk

GENESIS = "0" * 64
TAIL_BYTES = 256 * 1024
LARGEST_N = 2**53
"""No chain gets there, and no reader of JSON need hold more; a number beyond it is damage."""

WITHIN_S = 8.0
"""How long a call waits for another thread's: a worn card may stand still for seconds. What takes longer hangs, and
would take along each thread that waited for it."""

Field = str | int | float | bool | None


class Chain:
    """The writing end. Thread-safe. Every method that touches the disk raises OSError and may be called again.

    Behind a call that hangs on another thread they raise it (ETIMEDOUT) after `within_s`, and change nothing.
    """

    def __init__(self, path: Path, within_s: float = WITHIN_S) -> None:
        self._path = path
        self._within_s = within_s
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._n = 0
        self.head = GENESIS
        self._recent: list[dict[str, Any]] = []

    def open(self) -> None:
        """Find the head; a line torn by a power cut is set aside as `<name>.torn-<offset>` before going on. Blocks."""
        with self._alone():
            self._open()

    def recent(self) -> list[dict[str, Any]]:
        """The lines found at the end of the file when it was opened (at most TAIL_BYTES of them)."""
        return self._recent

    def append(self, kind: str, boot: int, *, durable: bool = True, **fields: Field) -> None:
        """Add one line; on the medium when this returns, if `durable`. Raises OSError and adds nothing. Blocks."""
        self.append_all([(kind, fields)], boot, durable=durable)

    def append_all(self, records: list[tuple[str, dict[str, Field]]], boot: int, *, durable: bool = True) -> None:
        """Add several lines with one write and one sync: all of them, or none. Raises OSError. Blocks."""
        with self._alone():
            descriptor = self._open()
            n, head, lines = self._n, self.head, b""
            for kind, fields in records:
                n += 1
                record = {"n": n, "prev": head, "kind": kind, "boot": boot, "mono_ns": time.monotonic_ns(), **fields}
                line = msgspec.json.encode(record) + b"\n"
                head = hashlib.sha256(line).hexdigest()
                lines += line
            before = os.fstat(descriptor).st_size
            try:
                disk.write_all(descriptor, lines)
                if durable:
                    disk.sync_data(descriptor)
            except OSError:
                self._undo(descriptor, before)
                raise
            self._n, self.head = n, head

    def close(self) -> None:
        with self._alone():
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._within_s):
            raise OSError(errno.ETIMEDOUT, "an append to the chain hangs", str(self._path))
        try:
            yield
        finally:
            self._lock.release()

    def _undo(self, descriptor: int, size: int) -> None:
        """Cut back what a failed append left; the file is read afresh before the next one."""
        self._descriptor = None
        try:
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        disk.make_dirs(self._path.parent)
        tail = self._tail()
        whole, _, torn = tail.rpartition(b"\n")
        if torn:
            self._set_aside(torn)
        lines = whole.split(b"\n") if whole else []
        self._recent = [record for line in lines if (record := _parsed(line)) is not None]
        if lines:
            self.head = hashlib.sha256(lines[-1] + b"\n").hexdigest()
            self._n = _number(self._recent[-1]) if self._recent else 0
        else:
            self.head, self._n = GENESIS, 0
        self._descriptor = disk.open_append(self._path)
        disk.sync_dir(self._path.parent)
        return self._descriptor

    def _tail(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                start = max(0, self._path.stat().st_size - TAIL_BYTES)
                file.seek(start)
                data = file.read()
        except FileNotFoundError:
            return b""
        return data.partition(b"\n")[2] if start else data

    def _set_aside(self, torn: bytes) -> None:
        size = self._path.stat().st_size
        disk.atomic_write(self._path.with_name(f"{self._path.name}.torn-{size}"), torn)
        os.truncate(self._path, size - len(torn))


def _number(record: dict[str, Any]) -> int:
    """The line's number; 0 for damage, so that the count begins again and the break shows."""
    n = record.get("n")
    return n if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= LARGEST_N else 0


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = msgspec.json.decode(line)
    except UNREADABLE:
        return None
    return record if isinstance(record, dict) else None


def first_break(path: Path) -> int | None:
    """The number of the first line whose `prev` or `n` does not follow from the line before; None if all do. Blocks."""
    head = GENESIS
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            record = _parsed(line)
            if record is None or record.get("prev") != head or record.get("n") != number:
                return number
            head = hashlib.sha256(line).hexdigest()
    return None
