"""What is on a medium while its power is on, and what may be there after a cut: the model beneath `faulty_disk`."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PAGE_BYTES = 4096


@dataclass(eq=False)
class File:
    """An inode: what a reader sees, and what is on the medium.

    `lost`: pages that a failed sync has marked clean. No later sync writes them, until somebody writes to them again
    (https://wiki.postgresql.org/wiki/Fsync_Errors).
    """

    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    lost: set[int] = field(default_factory=set)

    def write(self, at: int, part: bytes) -> None:
        self.data[at : at + len(part)] = part
        self.lost -= set(range(at // PAGE_BYTES, (at + len(part)) // PAGE_BYTES + 1))

    def sync(self) -> None:
        """All that is dirty is durable; a page that was lost keeps its old content, or zeros."""
        durable = bytearray(self.data)
        for page in self.lost:
            at, end = page * PAGE_BYTES, min((page + 1) * PAGE_BYTES, len(durable))
            if at < end:
                durable[at:end] = self.durable[at:end].ljust(end - at, b"\0")
        self.durable = bytes(durable)

    def sync_fails(self) -> None:
        """The kernel forgets that what differs from the medium was ever to be written."""
        for at in range(0, max(len(self.data), len(self.durable)), PAGE_BYTES):
            if self.data[at : at + PAGE_BYTES] != self.durable[at : at + PAGE_BYTES]:
                self.lost.add(at // PAGE_BYTES)


Image = dict[Path, File | None]
"""Names and what they mean; None is a directory."""


@dataclass
class Pending:
    """A change of names that is not durable yet, and the directories whose sync makes it so."""

    directories: frozenset[Path]
    apply: Callable[[Image], None]


def after_cut(file: File, seed: int, chance: random.Random) -> bytes:
    """What an unsynced file holds when the power is back."""
    now = bytes(file.data)
    if now == file.durable or seed == 0:
        return file.durable
    if seed == 1:
        return now
    grown = now[len(file.durable) :] if now.startswith(file.durable) else b""
    torn = file.durable + grown[: chance.randrange(len(grown) + 1)] if grown else now[: chance.randrange(len(now) + 1)]
    zeros = file.durable + bytes(len(grown))
    return chance.choice([file.durable, now, torn, zeros])
