"""An evidence directory, or a zip of one, from a stranger: its names, and bytes at a place of one. Nothing is unpacked.

No link is followed, nothing outside the directory is opened, and nothing is read whole but what a caller asks for.
"""

import abc
import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from unitd.errors import StoreError, UnitdError

KNOWN_DIRS = ("segments", "stills", "view", "audio", "chain", "checkpoints")
KNOWN_FILES = ("README.txt", "conversation.txt", "manifest.json", "SHA256SUMS", "certificate.pem")
LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What computers leave in every directory that somebody opens on them; besides names with LITTER_PREFIX (a Mac's)."""
LITTER_PREFIX = "._"
MAX_NAMES = 300_000
"""A month of five streams has 1,300,000 segments; an incident has some hundreds. More is no evidence directory."""
MAX_DEPTH = 3
BLOCK_BYTES = 1 << 20


class RefusedError(StoreError):
    """What was given cannot be checked at all: not there, not an evidence directory, made to do harm."""


class CannotReadError(UnitdError):
    """This computer, its user or the medium keep a file from us: that accuses nobody, and nothing can be said of the
    export. Neither a StoreError nor an OSError, so that no check takes it for a change."""


_NOT_ITS_FAULT = (errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)


class Reader:
    """A file that is open: bytes at a place. Raises StoreError when they are not there. Closes what it was given."""

    def __init__(self, descriptor: int, base: int, size: int, owned: bool) -> None:
        self._descriptor, self._base, self.size, self._owned = descriptor, base, size, owned

    def at(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset` on. Raises StoreError, OSError. Blocks."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise StoreError("it is shorter than it says")
        try:
            data = os.pread(self._descriptor, count, self._base + offset)
        except OSError as error:
            raise CannotReadError(f"a file of the export cannot be read: {error.strerror}") from None
        if len(data) != count:
            raise StoreError("it became shorter while it was read")
        return data

    def blocks(self) -> Iterator[bytes]:
        for offset in range(0, self.size, BLOCK_BYTES):
            yield self.at(offset, min(BLOCK_BYTES, self.size - offset))

    def close(self) -> None:
        if self._owned:
            os.close(self._descriptor)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Tree(abc.ABC):
    """`files`: size by path, in the directories that we know and at the top. `odd`: names that should not be there, and
    why. `strangers`: names at the top that belong to somebody else, and litter anywhere; none of it can be opened."""

    files: dict[str, int] = field(default_factory=dict)
    odd: list[tuple[str, str]] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @abc.abstractmethod
    def open(self, path: str) -> Reader:
        """Raises StoreError (in words) or OSError."""

    def read(self, path: str, limit: int) -> bytes:
        """A small file whole. Raises StoreError when it is not there or larger than `limit`."""
        with self.open(path) as file:
            if file.size > limit:
                raise StoreError(f"it has {file.size} bytes: none of its kind is larger than {limit}")
            return file.at(0, file.size)

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of what is open."""

    def take(self, path: str, size: int) -> None:
        """Note a regular file that was found."""
        if path in self.files:
            self.odd.append((path, "is there twice"))
            return
        top, slash, _ = path.partition("/")
        name = path.rpartition("/")[2]
        if name in LITTER or name.startswith(LITTER_PREFIX):
            self.strangers.append(path)
        elif slash or top in KNOWN_FILES:
            self.files[path] = size
        elif top.casefold() in {name.casefold() for name in (*KNOWN_DIRS, *KNOWN_FILES)}:
            self.odd.append((path, "has nearly the name of a part of the export, and is none"))
        else:
            self.strangers.append(path)
        if len(self.files) + len(self.odd) + len(self.strangers) > MAX_NAMES:
            raise RefusedError(f"more than {MAX_NAMES} names: no export has so many")


class DirectoryTree(Tree):
    """Every component is opened without following links, below one open directory."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise RefusedError(f"{path}: {error.strerror}") from None
        try:
            self._list(self._root, "", 1)
        except BaseException:
            os.close(self._root)
            raise

    def open(self, path: str) -> Reader:
        directory = os.dup(self._root)
        try:
            *parents, name = path.split("/")
            for parent in parents:
                inner = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
                os.close(directory)
                directory = inner
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=directory)
        except OSError as error:
            if error.errno in _NOT_ITS_FAULT:
                raise CannotReadError(f"{path} cannot be opened: {error.strerror}") from None
            words = "is missing" if error.errno == errno.ENOENT else f"cannot be opened: {error.strerror}"
            raise StoreError(words) from None
        finally:
            os.close(directory)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise StoreError("it is no regular file")
        return Reader(descriptor, 0, status.st_size, owned=True)

    def close(self) -> None:
        os.close(self._root)

    def _list(self, descriptor: int, prefix: str, depth: int) -> None:
        with os.scandir(descriptor) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            self._entry(entry, descriptor, prefix + entry.name, depth)

    def _entry(self, entry: "os.DirEntry[str]", parent: int, path: str, depth: int) -> None:
        status = entry.stat(follow_symlinks=False)
        ours = depth > 1 or entry.name in KNOWN_DIRS or entry.name in KNOWN_FILES
        if stat.S_ISREG(status.st_mode):
            self.take(path, status.st_size)
        elif stat.S_ISDIR(status.st_mode) and (depth > 1 or entry.name in KNOWN_DIRS):
            if depth >= MAX_DEPTH:
                self.odd.append((path, "is a directory where none belongs"))
                return
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(entry.name, flags, dir_fd=parent)
            try:
                self._list(inner, f"{path}/", depth + 1)
            finally:
                os.close(inner)
        elif ours:
            what = "a link, and is not followed" if stat.S_ISLNK(status.st_mode) else "no regular file"
            self.odd.append((path, f"is {what}"))
        else:
            self.take(path, 0)


def open_tree(path: Path) -> Tree:
    """The directory or zip at `path`. Raises RefusedError, one line, when there is nothing to check. Blocks."""
    from unitd.evidence.check_zip import ZipTree

    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return DirectoryTree(path)
        if stat.S_ISREG(mode):
            return ZipTree(path)
    except RefusedError:
        raise
    except (OSError, ValueError) as error:
        raise RefusedError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    raise RefusedError(f"{path}: neither a directory nor a whole zip")


def safe(text: object, limit: int = 300) -> str:
    """A stranger's text for a terminal or a page: one line, nothing that moves a cursor or turns the writing. Pure."""
    shown = "".join(letter if letter.isprintable() else "�" for letter in str(text)[: limit + 1])
    with contextlib.suppress(UnicodeEncodeError):
        shown.encode()
        return shown if len(shown) <= limit else shown[: limit - 1] + "…"
    return ascii(shown)[: limit + 2]
