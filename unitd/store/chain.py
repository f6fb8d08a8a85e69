"""A hash chain: JSON lines, each carrying the SHA-256 of the line before, so that a change or a hole shows.

`{"n": 7, "prev": "<sha256 of line 6 with its newline>", "kind": "segment", "boot": 3, "mono_ns": ..., ...}`; the
first line's `prev` is 64 zeros. One writer per chain; readers: unitd/store/chain_read.py. Cutting the tail is not seen
by the chain alone: that needs heads kept elsewhere (checkpoints).

A file that has grown to PART_BYTES becomes the part `<name>.<number of its first line, 10 digits>`, and a new file goes
on from its head: a unit's chain is for ever, and what has to be read of it at a start, or may go, is not.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from unitd.store import disk
from unitd.store.chain_read import GENESIS, LARGEST_N, first_break, number_of, older_parts, parsed

__all__ = ["GENESIS", "LARGEST_N", "PART_BYTES", "TAIL_BYTES", "Chain", "Field", "Head", "first_break"]

TAIL_BYTES = 256 * 1024
PART_BYTES = 4 << 20
"""Some 12,000 lines."""

WITHIN_S = 8.0
"""How long a call waits for another thread's: a worn card may stand still for seconds. What takes longer hangs, and
would take along each thread that waited for it."""

Field = str | int | float | bool | None


class Head(NamedTuple):
    """Number and SHA-256 of a chain's last line; 0 and 64 zeros for an empty chain."""

    n: int
    head: str


class _Doubt(NamedTuple):
    """From where on a file holds what an append that failed has left."""

    inode: int
    bytes: int


class Chain:
    """The writing end. Thread-safe. Every method that touches the disk raises OSError and may be called again.

    Behind a call that hangs on another thread they raise it (ETIMEDOUT) after `within_s`, and change nothing.
    """

    def __init__(self, path: Path, within_s: float = WITHIN_S) -> None:
        self._path = path
        self._within_s = within_s
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._doubt: _Doubt | None = None
        self._at = Head(0, GENESIS)
        self._recent: list[dict[str, Any]] = []

    @property
    def n(self) -> int:
        """The number of the last line, as far as it is known: 0 before the first `open` or append."""
        return self._at.n

    @property
    def head(self) -> str:
        return self._at.head

    @property
    def at(self) -> Head:
        """`n` and `head` of one and the same line, from any thread. Does not block."""
        return self._at

    def open(self) -> Head:
        """Find the head; a line torn by a power cut is set aside as `<name>.torn-<offset>` before going on. Blocks."""
        with self._alone():
            self._open()
            return self._at

    def recent(self) -> list[dict[str, Any]]:
        """The lines found at the end when it was opened (at most TAIL_BYTES of them, those of the part before too)."""
        return self._recent

    def append(self, kind: str, boot: int, *, durable: bool = True, **fields: Field) -> Head:
        """Add one line; on the medium when this returns, if `durable`. Raises OSError and adds nothing. Blocks."""
        return self.append_all([(kind, fields)], boot, durable=durable)

    def append_all(self, records: list[tuple[str, dict[str, Field]]], boot: int, *, durable: bool = True) -> Head:
        """Add several lines with one write and one sync: all of them, or none. Returns the new head.

        A field `mono_ns` takes the place of the present instant. Raises OSError. Blocks.
        """
        with self._alone():
            descriptor = self._open()
            if os.fstat(descriptor).st_size >= PART_BYTES and self._part_ends(descriptor):
                descriptor = self._open()
            n, head, lines = self._at.n, self._at.head, b""
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
            self._at = Head(n, head)
            return self._at

    def prune(self, before_n: int) -> int:
        """Remove the oldest parts whose lines all have numbers below `before_n`; returns how many.

        Oldest first and each durably, so that what stays never has a hole. The last two stay in any case. Raises
        OSError. Blocks.
        """
        with self._alone():
            parts = older_parts(self._path)
            gone = 0
            for part, after in itertools.pairwise(parts):  # so the newest of them stays, beside the one being written
                if after.first_n > before_n:
                    break
                disk.remove(part.path)
                gone += 1
            return gone

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
            self._doubt = _Doubt(os.fstat(descriptor).st_ino, size)
            os.ftruncate(descriptor, size)
            self._doubt = None
        finally:
            os.close(descriptor)

    def _end_doubt(self) -> None:
        """Cut back now what a disk that refused would not: after a failed sync it may be in memory alone, for good."""
        doubt = self._doubt
        if doubt is not None:
            with contextlib.suppress(FileNotFoundError):
                status = self._path.stat()
                if status.st_ino == doubt.inode and status.st_size > doubt.bytes:
                    os.truncate(self._path, doubt.bytes)
        self._doubt = None

    def _part_ends(self, descriptor: int) -> bool:
        """Give the file its number; the next `_open` begins a new one. Whoever dies in between is gone on from.

        False when that cannot be: its first line has no number, or that of a part which is there (damage), or the disk
        refuses. It then grows on, and is tried again with the next line.
        """
        try:
            with self._path.open("rb") as file:
                first = number_of(parsed(file.readline(TAIL_BYTES)) or {})
            part = None if first is None else self._path.with_name(f"{self._path.name}.{first:010d}")
            if part is None or part.exists():
                return False
            disk.sync_data(descriptor)  # a line that nobody waited for must not tear a part in the middle of the chain
            disk.rename(self._path, part)
        except OSError:
            return False
        self._descriptor = None
        os.close(descriptor)
        return True

    def _open(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        disk.make_dirs(self._path.parent)
        self._end_doubt()
        whole = self._whole_tail(self._path)
        lines = whole.split(b"\n") if whole else []
        if len(whole) < TAIL_BYTES // 2 and (parts := older_parts(self._path)):
            before = self._whole_tail(parts[-1].path)
            lines = [*(before.split(b"\n") if before else []), *lines]
            if not self._path.exists():  # the part's name is durable before a new file takes its old one
                disk.sync_dir(self._path.parent)
        self._recent = [record for line in lines if (record := parsed(line)) is not None]
        if lines:
            n = number_of(self._recent[-1]) if self._recent else None
            # 0 for damage: the count begins again, and the break shows
            self._at = Head(n or 0, hashlib.sha256(lines[-1] + b"\n").hexdigest())
        else:
            self._at = Head(0, GENESIS)
        descriptor = disk.open_append(self._path)
        try:
            if lines:  # a predecessor that was killed may have left them to the kernel, and all builds on them
                disk.sync_data(descriptor)
            disk.sync_dir(self._path.parent)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return descriptor

    def _whole_tail(self, path: Path) -> bytes:
        """The last whole lines of a file without the last newline; what is torn behind them is set aside first."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size - TAIL_BYTES)
                file.seek(start)
                tail = file.read(size - start)
        except FileNotFoundError:
            return b""
        whole, _, torn = (tail.partition(b"\n")[2] if start else tail).rpartition(b"\n")
        if torn:
            disk.atomic_write(path.with_name(f"{path.name}.torn-{size}"), torn)
            os.truncate(path, size - len(torn))
        return whole
