"""A disk that fails at a numbered operation: what power, cards and file systems do, without any of them.

It stands beneath `unitd.store.disk` and everything else that touches files, at the calls of `os` and `io.open`. Every
call on a path beneath `base` is one operation with a number, from 1. A plan says what happens at one of them: the
program dies before, after or half-way (a torn write), or the call raises OSError, or it waits for the test.

Beneath it is a model of the medium. What was written is durable once its file was synced; a name (created, renamed,
removed) is durable once its directory was. `cut_power` leaves what is durable, and of the rest any part: a seeded
subset of the names, and of an unsynced file its old content, its new content, a prefix of it or zeros.
"""

import contextlib
import errno
import io
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from tests.crash.medium import File, Image, Pending, after_cut


class Dead(BaseException):
    """The program is gone; no `except OSError` sees this, and no later call reaches the disk."""


@dataclass(frozen=True)
class Fault:
    """What happens at operation `at` (0: never), or at the first one called `on`.

    `how`: before, after, half (of a write; the program is dead then), error, half-error, hold (until `release`).

    An error is raised at that operation alone, or with `lasting` at every later one that would change the medium.
    """

    how: str = "none"
    at: int = 0
    code: int = errno.EIO
    lasting: bool = False
    on: str = ""


@dataclass
class _Descriptor:
    file: File | None
    path: Path
    appending: bool = False
    position: int = 0


@dataclass
class Saved:
    """See `FaultyDisk.save`."""

    names: Image
    durable: Image
    pending: list[Pending]


CHANGING = ("write", "create", "truncate", "rename", "unlink", "mkdir", "fsync", "allocate", "link", "rmdir")


class FaultyDisk:
    """Use as a context manager around the program's life; again for the next one. Thread-safe."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._lock = threading.RLock()
        self._names: Image = {}
        self._durable: Image = {}
        self._pending: list[Pending] = []
        self._open: dict[int, _Descriptor] = {}
        self._fault = Fault()
        self.capacity_bytes: int | None = None
        self.before_unlink: Callable[[Path, bytes], None] = lambda _path, _content: None
        self.operations: list[str] = []
        self.dead = self._dying = False
        self.held = threading.Event()
        self.release = threading.Event()
        for path in [base, *sorted(base.rglob("*"))]:
            content = None if path.is_dir() else path.read_bytes()
            file = None if content is None else File(bytearray(content), content)
            self._names[path] = self._durable[path] = file

    @contextlib.contextmanager
    def life(self, fault: Fault = Fault()) -> Iterator[None]:
        """Everything within is one life of a program; it ends quietly where the plan kills it."""
        self._fault, self.dead, self._dying, self.operations = fault, False, False, []
        self.held.clear()
        self.release.clear()
        real = {name: getattr(os, name) for name in _PATCHED}
        with contextlib.ExitStack() as stack:
            for name in _PATCHED:
                patched = getattr(self, "_os_open" if name == "open" else f"_{name}")
                stack.enter_context(mock.patch.object(os, name, self._bound(patched, real[name])))
            stack.enter_context(mock.patch.object(io, "open", self._bound(self._io_open, io.open)))
            try:
                yield
            except Dead:
                pass
            finally:
                self.dead = True  # a thread that is still at work reaches nothing any more
                self.release.set()
        for descriptor in list(self._open):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._open.clear()

    def plan(self, fault: Fault) -> None:
        """Another fault, in the middle of a life; only one named by `on` makes sense."""
        self._fault = fault

    def adopt(self, directory: Path) -> None:
        """Take up a directory that was made beside it: a tmpfs after a boot."""
        self._names[directory] = self._durable[directory] = None

    @property
    def died(self) -> bool:
        """Whether the plan was carried out: its operation was reached."""
        return len(self.operations) >= self._fault.at > 0

    # --- the medium ---

    def save(self) -> Saved:
        """The disk as a dead program left it, for `load`; of no use once another life has written to it."""
        return Saved(dict(self._names), dict(self._durable), list(self._pending))

    def load(self, saved: Saved) -> None:
        """Back to what was saved, so that several things can be seen to follow from one death."""
        self._names, self._durable = dict(saved.names), dict(saved.durable)
        self._pending = list(saved.pending)
        self._put({path: None if file is None else bytes(file.data) for path, file in self._names.items()})

    def _put(self, contents: dict[Path, bytes | None]) -> None:
        shutil.rmtree(self._base)
        for path, content in sorted(contents.items()):
            if content is None:
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.write_bytes(content)
                path.chmod(0o600)

    def cut_power(self, seed: int, volatile: Path) -> None:
        """Back to what is durable; seed 0 keeps nothing else, 1 everything, any other a part. `volatile` is tmpfs."""
        chance = random.Random(seed)
        image = dict(self._durable)
        for change in self._pending:
            if seed == 1 or (seed and chance.random() < 0.5):
                change.apply(image)
        files: Image = {}
        for path, file in sorted(image.items()):
            inside = path == self._base or (path.parent in files and files[path.parent] is None)
            if inside and not path.is_relative_to(volatile):
                content = None if file is None else after_cut(file, seed, chance)
                files[path] = None if content is None else File(bytearray(content), content)
        self._names, self._durable, self._pending = files, dict(files), []
        self._put({path: None if file is None else file.durable for path, file in files.items()})

    # --- numbering ---

    def _step(self, kind: str, path: Path) -> str:
        """Take the next number; returns how the operation goes on: whole, half, half-error or after."""
        with self._lock:
            if self.dead:
                raise Dead
            self.operations.append(f"{kind} {_shown(path)}")
            number, fault = len(self.operations), self._fault
            due = number == fault.at or (fault.on == self.operations[-1] and not self.held.is_set())
            if fault.how == "error" and (due or (fault.lasting and number > fault.at > 0 and kind in CHANGING)):
                raise OSError(fault.code, os.strerror(fault.code), str(path))
            if not due or fault.how in ("none", "error"):
                return "whole"
            self._dying = fault.how in ("after", "half")
            if fault.how == "before":
                self.dead = True
                raise Dead
        if fault.how == "hold":
            self.held.set()
            assert self.release.wait(30.0), "never released"
            return "whole"
        return fault.how

    def _end(self, how: str, path: Path) -> None:
        if how in ("after", "half"):
            self.dead = True
            raise Dead
        if how == "half-error":
            raise OSError(self._fault.code, os.strerror(self._fault.code), str(path))

    def _ours(self, path: object) -> Path | None:
        if not isinstance(path, str | os.PathLike):
            return None
        found = Path(os.fspath(path))  # type: ignore[arg-type]
        return found if found.is_relative_to(self._base) else None

    def _rename_now(self, source: Path, target: Path) -> None:
        file = self._names[source]

        def apply(image: Image) -> None:
            image.pop(source, None)
            image[target] = file

        self._names_change(apply, source.parent, target.parent)

    def _names_change(self, apply: Callable[[Image], None], *directories: Path) -> None:
        apply(self._names)
        self._pending.append(Pending(frozenset(directories), apply))

    def _bound(self, patched: Any, real: Any) -> Callable[..., Any]:
        def call(*positional: Any, **named: Any) -> Any:
            try:
                return patched(real, *positional, **named)
            except OSError:
                if self._dying and not self.dead:  # it failed of itself (no such file), and death comes after it
                    self.dead = True
                    raise Dead from None
                raise

        return call

    # --- the calls; `real` is the one that was there ---

    def _os_open(self, real: Any, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        ours = self._ours(path)
        if ours is None:
            return int(real(path, flags, mode, **more))
        new = bool(flags & os.O_CREAT) and ours not in self._names
        directory = bool(flags & os.O_DIRECTORY)
        kind = "opendir" if directory else "create" if new else "open"
        how = self._step(kind, ours)
        with self._lock:
            descriptor = int(real(path, flags, mode, **more))
            if new:
                file = File()
                self._names_change(lambda image: image.update({ours: file}), ours.parent)
            found = self._names.get(ours)
            if flags & os.O_TRUNC and found is not None:
                found.data.clear()
            self._open[descriptor] = _Descriptor(found, ours, bool(flags & os.O_APPEND))
        self._end(how, ours)
        return descriptor

    def _write(self, real: Any, descriptor: int, data: Any) -> int:
        known = self._open.get(descriptor)
        if known is None or known.file is None:
            return int(real(descriptor, data))
        how = self._step("write", known.path)
        with self._lock:
            part = bytes(data)[: max(1, len(data) // 2)] if how.startswith("half") else bytes(data)
            at = len(known.file.data) if known.appending else known.position
            part = part[: self._room(known, max(0, at + len(part) - len(known.file.data)), len(part))]
            real(descriptor, part)
            known.file.write(at, part)
            known.position = at + len(part)
        self._end(how, known.path)
        return len(part)

    def _posix_fallocate(self, real: Any, descriptor: int, at: int, size: int) -> None:
        known = self._open.get(descriptor)
        if known is None or known.file is None:
            real(descriptor, at, size)
            return
        how = self._step("allocate", known.path)
        with self._lock:
            grown = max(0, at + size - len(known.file.data))
            if self._room(known, grown, grown) < grown:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(known.path))
            real(descriptor, at, size)
            known.file.write(len(known.file.data), bytes(grown))
        self._end(how, known.path)

    def durable(self, path: Path) -> bytes:
        """What a power cut now would leave of a file, at the least; nothing when its name is not durable."""
        file = self._durable.get(path)
        return b"" if file is None else file.durable

    def seen(self, path: Path) -> bytes:
        """What a reader sees of a file now; nothing when there is none."""
        file = self._names.get(path)
        return b"" if file is None else bytes(file.data)

    def durable_names(self, directory: Path) -> list[Path]:
        """The files of one directory whose names a power cut now would leave, at the least."""
        return sorted(path for path, file in self._durable.items() if path.parent == directory and file is not None)

    def used_bytes(self) -> int:
        """What all the files take."""
        return sum(len(file.data) for file in self._names.values() if file is not None)

    def _room(self, known: _Descriptor, grows_bytes: int, wanted_bytes: int) -> int:
        """How much of a write fits; raises ENOSPC when not a byte does."""
        if self.capacity_bytes is None:
            return wanted_bytes
        missing = max(0, grows_bytes - max(0, self.capacity_bytes - self.used_bytes()))
        if wanted_bytes and missing >= wanted_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(known.path))
        return wanted_bytes - missing

    def _statvfs(self, real: Any, path: Any) -> Any:
        """The size of the disk is the test's, a block is a byte."""
        if self._ours(path) is None or self.capacity_bytes is None:
            return real(path)
        free = max(0, self.capacity_bytes - self.used_bytes())
        values = list(real(path))
        values[0] = values[1] = 1
        values[2], values[3], values[4] = self.capacity_bytes, free, free
        return os.statvfs_result(values)

    def _fsync(self, real: Any, descriptor: int) -> None:
        known = self._open.get(descriptor)
        if known is None:
            real(descriptor)
            return
        try:
            how = self._step("fsync" if known.file is not None else "fsyncdir", known.path)
        except OSError:
            if known.file is not None:
                known.file.sync_fails()
            raise
        with self._lock:
            if known.file is not None:
                known.file.sync()
            else:
                for change in self._pending:
                    if known.path in change.directories:
                        change.apply(self._durable)
                self._pending = [each for each in self._pending if known.path not in each.directories]
        self._end(how, known.path)

    _fdatasync = _fsync

    def _close(self, real: Any, descriptor: int) -> None:
        known = self._open.pop(descriptor, None)
        real(descriptor)
        if known is not None and not self.dead:
            self._end(self._step("close", known.path), known.path)

    def _ftruncate(self, real: Any, descriptor: int, size: int) -> None:
        known = self._open.get(descriptor)
        if known is None or known.file is None:
            real(descriptor, size)
            return
        how = self._step("truncate", known.path)
        real(descriptor, size)
        del known.file.data[size:]
        self._end(how, known.path)

    def _truncate(self, real: Any, path: Any, size: int) -> None:
        ours = self._ours(path)
        if ours is None:
            real(path, size)
            return
        how = self._step("truncate", ours)
        real(path, size)
        file = self._names[ours]
        assert file is not None
        del file.data[size:]
        self._end(how, ours)

    def _rename(self, real: Any, source: Any, target: Any, **more: Any) -> None:
        ours, there = self._ours(source), self._ours(target)
        if ours is None or there is None:
            real(source, target, **more)
            return
        how = self._step("rename", there)
        with self._lock:
            real(source, target, **more)
            self._rename_now(ours, there)
        self._end(how, there)

    _replace = _rename

    def _unlink(self, real: Any, path: Any, **more: Any) -> None:
        ours = self._ours(path)
        if ours is None:
            real(path, **more)
            return
        how = self._step("unlink", ours)
        with self._lock:
            if (file := self._names.get(ours)) is not None:
                self.before_unlink(ours, bytes(file.data))
            real(path, **more)
            self._names_change(partial(_drop, ours), ours.parent)
        self._end(how, ours)

    def _link(self, real: Any, source: Any, target: Any, **more: Any) -> None:
        ours, there = self._ours(source), self._ours(target)
        if ours is None or there is None:
            real(source, target, **more)
            return
        how = self._step("link", there)
        with self._lock:
            real(source, target, **more)
            file = self._names[ours]
            self._names_change(lambda image: image.update({there: file}), there.parent)
        self._end(how, there)

    def _mkdir(self, real: Any, path: Any, mode: int = 0o777, **more: Any) -> None:
        ours = self._ours(path)
        if ours is None:
            real(path, mode, **more)
            return
        how = self._step("mkdir", ours)
        with self._lock:
            real(path, mode, **more)
            self._names_change(lambda image: image.update({ours: None}), ours.parent)
        self._end(how, ours)

    def _io_open(self, real: Any, file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        ours = self._ours(file)
        if ours is None:
            return real(file, mode, *more, **named)
        if "w" in mode:
            return _Writing(ours)
        self._end(self._step("read", ours), ours)
        return real(file, mode, *more, **named)


def _drop(path: Path, image: Image) -> None:
    image.pop(path, None)


class _Writing:
    """What `Path.write_bytes` opens: the same system calls, each through the faulty disk."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def __enter__(self) -> "_Writing":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, data: Any) -> int:
        return os.write(self._descriptor, data)


_PATCHED = (
    "open", "write", "fsync", "fdatasync", "close", "ftruncate", "truncate", "rename", "replace", "unlink", "mkdir",
    "posix_fallocate", "statvfs", "link",
)  # fmt: skip


def _shown(path: Path) -> str:
    """A temporary's name holds process and thread: those differ from run to run. A segment's is its stream's."""
    if path.suffix == ".mp4":
        return f"{path.parent.name}/{path.name}"
    return "temporary" if path.name.startswith(".") and path.name.endswith(".tmp") else path.name
