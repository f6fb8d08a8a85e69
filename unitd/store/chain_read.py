"""Reading a hash chain over all its parts, beside a live writer. Read-only; no part of it locks or waits.

A part that has grown too long is `<name>.<number of its first line, 10 digits>`; the one being written has no number.
Memory: one line at a time, MAX_LINE_BYTES at most. All functions block on the disk.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from unitd.errors import UNREADABLE

GENESIS = "0" * 64
"""What the first line of a chain has for the hash of the line before."""
MAX_LINE_BYTES = 256 * 1024
"""Our own lines have a few kB; of a longer one each piece of this length counts as a line that cannot be read."""
LARGEST_N = 2**53
"""No chain gets there, and no reader of JSON need hold more; a number beyond it is damage."""
_NUMBERED = re.compile(r"^\.(\d{10,16})$", re.ASCII)


class Part(NamedTuple):
    """An older part of a chain, and the number that its name says its first line has."""

    first_n: int
    path: Path


class ChainLine(NamedTuple):
    """One line. `raw` is exactly what stands there, newline included (what `prev` of the next is the SHA-256 of).

    `n` is the line's own number, or the one it should have when it says none; `record` is empty when it is damaged.
    """

    n: int
    raw: bytes
    record: dict[str, Any]


class Break(NamedTuple):
    """Where a chain does not hold: the number that the line should have, and in words why not."""

    n: int
    why: str


def older_parts(path: Path) -> list[Part]:
    """The older parts of the chain `path`, oldest first. Raises OSError, but not when there is no directory."""
    try:
        names = [each.name for each in path.parent.iterdir()]
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        number = _NUMBERED.match(name[len(path.name) :]) if name.startswith(path.name) else None
        if number is not None:
            found.append(Part(int(number[1]), path.with_name(name)))
    return sorted(found)


def read_lines(path: Path, from_n: int = 1) -> Iterator[ChainLine]:
    """The lines from number `from_n` on, over all parts in order, as they stood when the reading began: every line that
    stands behind the first of such a number, whatever number it claims.

    A last line without its newline (being written, or torn) is left out. A chain that is not there has no lines.
    Raises OSError, at any line.
    """
    with contextlib.ExitStack() as stack:
        # the one being written first: what is renamed after this is held open, and is not read twice
        current = _opened(stack, path)
        parts = older_parts(path)
        begun = max((at for at, part in enumerate(parts) if part.first_n <= from_n), default=0)
        expected, held = 1, None if current is None else os.fstat(current.fileno()).st_ino
        reached = from_n <= 1
        for part in parts[begun:]:
            with contextlib.suppress(FileNotFoundError), part.path.open("rb") as file:  # pruned meanwhile
                if os.fstat(file.fileno()).st_ino == held:
                    continue  # it became a part meanwhile: it is read below
                expected = part.first_n
                for line in _lines(file, expected):
                    expected = line.n + 1
                    reached = reached or line.n >= from_n
                    if reached:
                        yield line
        for line in _lines(current, expected) if current is not None else ():
            reached = reached or line.n >= from_n
            if reached:
                yield line


def first_n(path: Path) -> int | None:
    """The number of the oldest line that is still there; None for an empty chain. Raises OSError."""
    return next((line.n for line in read_lines(path)), None)


def find_break(path: Path) -> Break | None:
    """The first line that does not follow from the one before; None when all do.

    A chain whose oldest parts were pruned may begin at the number that its oldest part's name says; then nothing is
    known of what its first line's `prev` should be. Any other beginning than line 1 is a break.
    """
    parts = older_parts(path)
    begin = parts[0].first_n if parts else 1
    number, head = begin, GENESIS if begin == 1 else None
    for line in read_lines(path):
        if not line.record:
            return Break(number, "it cannot be read")
        if line.record.get("n") != number:
            return Break(number, f"a line with number {line.record.get('n')!r} stands there")
        if head is not None and line.record.get("prev") != head:
            return Break(number, "it does not hold the hash of the line before")
        number, head = number + 1, hash_of(line.raw)
    return None


def first_break(path: Path) -> int | None:
    """The number of the first line that does not follow from the one before; None when all do."""
    found = find_break(path)
    return None if found is None else found.n


def hash_of(raw: bytes) -> str:
    """What the next line's `prev` must be. Pure."""
    return hashlib.sha256(raw).hexdigest()


def parsed(raw: bytes) -> dict[str, Any] | None:
    """The line's fields; None for damage. Pure; never raises."""
    try:
        record = msgspec.json.decode(raw)
    except UNREADABLE:
        return None
    return record if isinstance(record, dict) else None


def number_of(record: dict[str, Any]) -> int | None:
    """The line's number; None for damage. Pure."""
    n = record.get("n")
    return n if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= LARGEST_N else None


def _opened(stack: contextlib.ExitStack, path: Path) -> BinaryIO | None:
    try:
        return stack.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None


def _lines(file: BinaryIO, expected: int) -> Iterator[ChainLine]:
    while raw := file.readline(MAX_LINE_BYTES):
        if raw[-1:] != b"\n" and len(raw) < MAX_LINE_BYTES:
            return
        record = parsed(raw) or {}
        n = number_of(record)
        line = ChainLine(expected if n is None else n, raw, record)
        yield line
        expected = line.n + 1
