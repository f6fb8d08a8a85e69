"""A disk in memory beneath the real store code: what was synced outlives a power cut, of the rest any part does.

It takes the calls for every path below ROOT (`disk_calls.py` leads them here). Below VOLATILE is a tmpfs: it outlives
a process, not a boot. Faults are levels that are set from outside: an errno for every call that would change the
medium, or a death at the n-th operation from now.

It models what tests/crash/faulty_disk.py models, without a real file: a pole-day makes some 100,000 calls.
"""

import errno
import io
import os
import random
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ROOT = "/simulated-pole"
VOLATILE = ROOT + "/run"


class Dead(BaseException):
    """The program is gone; no `except` of the product sees this, and no later call reaches the disk."""


@dataclass(eq=False, slots=True)
class _File:
    data: bytes = b""
    durable: bytes = b""


_Names = dict[str, "_File | None"]
"""Paths and what they mean; None is a directory."""


@dataclass(slots=True)
class _Change:
    """A change of names that is not durable yet: `path` means `file` now (or nothing), and `source` nothing."""

    path: str
    file: "_File | None" = None
    gone: bool = False
    source: str | None = None

    def apply(self, names: _Names) -> None:
        if self.source is not None:
            names.pop(self.source, None)
        if self.gone:
            names.pop(self.path, None)
        else:
            names[self.path] = self.file


@dataclass(slots=True)
class _Open:
    path: str
    file: "_File | None"
    appending: bool = False
    position: int = 0


@dataclass
class Medium:
    """The disk and the tmpfs of one pole."""

    chance: random.Random
    names: _Names = field(default_factory=lambda: {ROOT: None, VOLATILE: None})
    durable: _Names = field(default_factory=lambda: {ROOT: None})
    pending: dict[str, list[_Change]] = field(default_factory=dict)
    open: dict[int, _Open] = field(default_factory=dict)
    next_descriptor: int = 1_000_000
    refuses: int = 0
    """errno of every call that would change the disk (not the tmpfs); 0: it works."""
    tmpfs_refuses: int = 0
    dies_in: int = 0
    """The program dies at the n-th operation from now (n > 0)."""
    dead: bool = False
    on_death: Callable[[], None] = lambda: None
    operations: int = 0

    # --- between lives ---

    def revive(self) -> None:
        """Another program begins; what the last one held open is closed."""
        self.dead, self.dies_in = False, 0
        self.open.clear()

    def end_life(self) -> None:
        self.dead = True

    def cut_power(self) -> None:
        """Back to what is durable, and a part of the rest; the tmpfs is empty."""
        names = dict(self.durable)
        keep = self.chance.choice((0.0, 1.0, 0.5, 0.5))
        for changes in self.pending.values():
            for change in changes:
                if self.chance.random() < keep:
                    change.apply(names)
        after: _Names = {ROOT: None}
        for path in sorted(names):
            parent = path.rpartition("/")[0]
            if path != ROOT and parent in after and after[parent] is None:
                file = names[path]
                if file is None:
                    after[path] = None
                else:
                    data = self._after_cut(file)
                    after[path] = _File(data, data)
        self.names, self.durable, self.pending = after, dict(after), {}
        self.names[VOLATILE] = None

    def _after_cut(self, file: _File) -> bytes:
        now, was = file.data, file.durable
        if now == was:
            return was
        grown = len(now) - len(was) if now.startswith(was) else 0
        torn = (
            now[: len(was) + self.chance.randrange(grown + 1)] if grown else now[: self.chance.randrange(len(now) + 1)]
        )
        return self.chance.choice((was, now, torn, was + bytes(max(0, grown))))

    def put(self, path: str) -> None:
        """Somebody other than core makes an empty file on the tmpfs."""
        self.names[path] = _File()

    def durably(self, path: str) -> bytes | None:
        """What a power cut is sure to leave of a file; None: nothing."""
        file = self.durable.get(path)
        return None if file is None else file.durable

    def files(self, directory: str) -> dict[str, bytes]:
        """Name and content of the files in a directory as they are now, without unfinished ones."""
        head = directory + "/"
        return {
            path[len(head) :]: file.data
            for path, file in self.names.items()
            if file is not None and path.startswith(head) and "/" not in path[len(head) :] and path[len(head)] != "."
        }

    # --- one operation ---

    def _step(self, path: str, changes: bool, write: bool = False, frees: bool = False) -> bool:
        """Whether a death comes half-way through (a write). Raises OSError or Dead."""
        if self.dead:
            raise Dead
        self.operations += 1
        if changes:
            code = self.tmpfs_refuses if path.startswith(VOLATILE) else self.refuses
            if code and not (frees and code == errno.ENOSPC):
                raise OSError(code, os.strerror(code), path)
        if self.dies_in:
            self.dies_in -= 1
            if self.dies_in == 0:
                if write and self.chance.random() < 0.5:
                    return True
                self._die()
        return False

    def _die(self) -> None:
        self.dead = True
        self.on_death()
        raise Dead

    def _changed(self, change: _Change) -> None:
        change.apply(self.names)
        if not change.path.startswith(VOLATILE):
            self.pending.setdefault(change.path.rpartition("/")[0], []).append(change)

    def _parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent not in self.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    # --- the calls ---

    def do_open(self, path: str, flags: int) -> int:
        known = path in self.names
        if not known:
            if not flags & os.O_CREAT:
                self._step(path, False)
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            self._step(path, True)
            self._parent(path)
            self._changed(_Change(path, _File()))
        else:
            self._step(path, bool(flags & (os.O_TRUNC | os.O_CREAT)))
            if flags & os.O_EXCL:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        file = self.names[path]
        if flags & os.O_TRUNC and file is not None:
            file.data = b""
        self.next_descriptor += 1
        self.open[self.next_descriptor] = _Open(path, file, bool(flags & os.O_APPEND))
        return self.next_descriptor

    def do_write(self, descriptor: int, data: Any) -> int:
        known = self.open[descriptor]
        assert known.file is not None
        half = self._step(known.path, True, write=True)
        part = bytes(data)
        if half:
            part = part[: len(part) // 2]
        at = len(known.file.data) if known.appending else known.position
        known.file.data = known.file.data[:at] + part + known.file.data[at + len(part) :]
        known.position = at + len(part)
        if half:
            self._die()
        return len(part)

    def do_fsync(self, descriptor: int) -> None:
        known = self.open[descriptor]
        self._step(known.path, True)
        if known.file is not None:
            known.file.durable = known.file.data
            return
        for change in self.pending.pop(known.path, []):
            change.apply(self.durable)

    def do_close(self, descriptor: int) -> None:
        known = self.open.pop(descriptor, None)
        if known is not None:
            self._step(known.path, False)
        elif self.dead:
            raise Dead

    def do_rename(self, source: str, target: str) -> None:
        self._step(target, True)
        if source not in self.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
        self._parent(target)
        file = self.names[source]
        self._changed(_Change(target, file, source=source))

    def do_unlink(self, path: str) -> None:
        if path not in self.names:
            self._step(path, False)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._step(path, True, frees=True)
        self._changed(_Change(path, gone=True))

    def do_mkdir(self, path: str) -> None:
        if path in self.names:
            self._step(path, False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self._parent(path)
        self._step(path, True)
        self._changed(_Change(path))

    def do_stat(self, path: str) -> os.stat_result:
        if self.dead:
            raise Dead
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        file = self.names[path]
        size = 0 if file is None else len(file.data)
        kind = stat.S_IFDIR if file is None else stat.S_IFREG
        return os.stat_result((kind | 0o600, 1, 1, 1, 0, 0, size, 0, 0, 0))

    def do_truncate(self, path: str, size: int) -> None:
        self._step(path, True)
        file = self.names[path]
        assert file is not None
        file.data = file.data[:size]

    def do_list(self, path: str) -> list[str]:
        self._step(path, False)
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        head = path + "/"
        return [each[len(head) :] for each in self.names if each.startswith(head) and "/" not in each[len(head) :]]

    def do_io_open(self, path: str, mode: str) -> Any:
        if "w" in mode or "a" in mode:
            flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if "a" in mode else os.O_TRUNC)
            return _Writing(self, self.do_open(path, flags), "b" not in mode)
        self._step(path, False)
        file = self.names.get(path)
        if file is None:
            code = errno.EISDIR if path in self.names else errno.ENOENT
            raise OSError(code, os.strerror(code), path)
        return io.BytesIO(file.data) if "b" in mode else io.StringIO(file.data.decode())


class _Writing:
    """What `open(..., "w")` gives."""

    def __init__(self, medium: Medium, descriptor: int, text: bool) -> None:
        self._medium, self._descriptor, self._text = medium, descriptor, text

    def __enter__(self) -> "_Writing":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: Any) -> int:
        return self._medium.do_write(self._descriptor, data.encode() if self._text else data)

    def flush(self) -> None: ...

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        self._medium.do_close(self._descriptor)
