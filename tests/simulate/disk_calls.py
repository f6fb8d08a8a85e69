"""Where the product calls the disk: `os`, `io.open` and `fcntl.flock`, led to the simulated pole's medium.

Only for paths below ROOT and for descriptors that the medium gave; all others are the machine's own.
"""

import contextlib
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tests.simulate.memory_disk import ROOT, Medium


@dataclass(slots=True)
class _Found:
    """A directory's entry as `os.scandir` gives it."""

    name: str
    path: str
    directory: bool

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self.directory

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return not self.directory

    def is_symlink(self) -> bool:
        return False

    def is_junction(self) -> bool:
        return False

    def __fspath__(self) -> str:
        return self.path


@contextlib.contextmanager
def installed(current: Callable[[], Medium]) -> Iterator[None]:
    """Within, every file call below ROOT goes to the medium that `current` gives. For one thread only."""

    def ours(path: Any) -> str | None:
        if type(path) is not str:
            if isinstance(path, int):
                return None
            path = os.fspath(path)
        if isinstance(path, str) and path.startswith(ROOT):
            return path.rstrip("/")
        return None

    def by_path(real: Any, act: Callable[..., Any]) -> Any:
        def call(path: Any, *more: Any, **named: Any) -> Any:
            found = ours(path)
            return real(path, *more, **named) if found is None else act(found, *more, **named)

        return call

    def by_descriptor(real: Any, act: Callable[..., Any]) -> Any:
        def call(descriptor: Any, *more: Any) -> Any:
            if isinstance(descriptor, int) and descriptor >= 1_000_000:
                return act(descriptor, *more)
            return real(descriptor, *more)

        return call

    def scan(path: str) -> Any:
        medium = current()
        found = [
            _Found(name, f"{path}/{name}", medium.names[f"{path}/{name}"] is None) for name in medium.do_list(path)
        ]
        return _Scan(found)

    def rename(path: str, target: Any, **_: Any) -> None:
        there = ours(target)
        assert there is not None
        current().do_rename(path, there)

    def chmod(path: str, *_: Any, **__: Any) -> None:
        current().do_stat(path)

    def status(descriptor: int) -> os.stat_result:
        medium = current()
        return medium.do_stat(medium.open[descriptor].path)

    def truncate(descriptor: int, size: int) -> None:
        medium = current()
        medium.do_truncate(medium.open[descriptor].path, size)

    paths: dict[str, Callable[..., Any]] = {
        "open": lambda path, flags, *_, **__: current().do_open(path, flags),
        "stat": lambda path, **_: current().do_stat(path),
        "lstat": lambda path, **_: current().do_stat(path),
        "mkdir": lambda path, *_, **__: current().do_mkdir(path),
        "unlink": lambda path, **_: current().do_unlink(path),
        "remove": lambda path, **_: current().do_unlink(path),
        "listdir": lambda path: current().do_list(path),
        "scandir": scan,
        "rename": rename,
        "replace": rename,
        "chmod": chmod,
        "truncate": lambda path, size: current().do_truncate(path, size),
    }
    descriptors: dict[str, Callable[..., Any]] = {
        "write": lambda descriptor, data: current().do_write(descriptor, data),
        "fsync": lambda descriptor: current().do_fsync(descriptor),
        "fdatasync": lambda descriptor: current().do_fsync(descriptor),
        "close": lambda descriptor: current().do_close(descriptor),
        "ftruncate": truncate,
        "fstat": status,
    }
    with contextlib.ExitStack() as stack:
        for name, act in paths.items():
            stack.enter_context(mock.patch.object(os, name, by_path(getattr(os, name), act)))
        for name, act in descriptors.items():
            stack.enter_context(mock.patch.object(os, name, by_descriptor(getattr(os, name), act)))
        opening = by_path(io.open, lambda path, mode="r", *_, **__: current().do_io_open(path, mode))
        stack.enter_context(mock.patch.object(io, "open", opening))
        locking = by_descriptor(fcntl.flock, lambda *_: None)
        stack.enter_context(mock.patch.object(fcntl, "flock", locking))
        yield


class _Scan:
    """What `os.scandir` returns: an iterator that is closed."""

    def __init__(self, found: list[_Found]) -> None:
        self._found = iter(found)

    def __iter__(self) -> Iterator[_Found]:
        return self._found

    def __next__(self) -> _Found:
        return next(self._found)

    def __enter__(self) -> "_Scan":
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...
