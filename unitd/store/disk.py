"""The few disk calls that everything durable goes through: the seam where tests inject faults.

All block; none belongs on an event loop. Failures surface as OSError (ENOSPC, EROFS, EIO ...), never swallowed. What
fsync promises ends at a card that lies about its cache. On Linux a failed fsync marks the lost pages clean, so it is
never worth retrying on the same file: the caller abandons the file (https://wiki.postgresql.org/wiki/Fsync_Errors).
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_OPEN = os.O_CLOEXEC
_thread = threading.local()


@contextlib.contextmanager
def while_allowed(allowed: Callable[[], bool]) -> Iterator[None]:
    """On this thread, calls here change nothing any more (OSError, ETIMEDOUT) once `allowed()` is false.

    A thread that hung in the disk and was replaced must not, when it comes back, put its old content over a newer one.
    What it hangs in cannot be taken back.
    """
    _thread.allowed = allowed
    try:
        yield
    finally:
        del _thread.allowed


def _check_allowed() -> None:
    allowed = getattr(_thread, "allowed", None)
    if allowed is not None and not allowed():
        raise OSError(errno.ETIMEDOUT, "given up while it hung")


def create_exclusive(path: Path, *, mode: int = 0o600) -> int:
    """Create `path` for writing and reading, and return its descriptor.

    Raises FileExistsError when it exists: nothing is ever overwritten. The name is durable only after `sync_dir`.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, mode)


def open_append(path: Path, *, mode: int = 0o600) -> int:
    """Open `path` for appending, creating it when missing; the name of a new file is durable after `sync_dir`."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OPEN, mode)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write every byte of `data`; a short write (disk nearly full, signal) is continued until OSError says why not."""
    left = memoryview(data).cast("B")
    while left:
        _check_allowed()
        left = left[os.write(descriptor, left) :]


def sync(descriptor: int) -> None:
    """Return once data and metadata of the file are on the medium (fsync)."""
    os.fsync(descriptor)


def sync_data(descriptor: int) -> None:
    """Return once the data, and the size needed to read it back, are on the medium (fdatasync)."""
    os.fdatasync(descriptor)


def close(descriptor: int) -> None:
    """Close; raises what the file system held back until now."""
    os.close(descriptor)


def sync_dir(directory: Path) -> None:
    """Make the creations, renames and removals in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_dirs(directory: Path, *, mode: int = 0o750) -> None:
    """Create `directory` and its missing parents, durably. Does nothing when it is there."""
    missing = [] if directory.exists() else [d for d in [directory, *directory.parents] if not d.exists()]
    for new in reversed(missing):
        with contextlib.suppress(FileExistsError):
            new.mkdir(mode=mode)
        sync_dir(new.parent)


def atomic_write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `data`, durably: a reader and a power cut see the old content or the new, never a mixture.

    The temporary file is beside it, named `.NAME.PID.THREAD.tmp`; it is removed when anything fails, and OSError is
    raised with the old content in place. A crash may leave it behind: readers ignore names that start with a dot.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OPEN, mode)
        try:
            write_all(descriptor, data)
            sync(descriptor)
        finally:
            os.close(descriptor)
        _check_allowed()
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_dir(path.parent)


def rename(path: Path, target: Path) -> None:
    """Give `path` another name; durable after `sync_dir`. The caller sees to it that `target` is free."""
    _check_allowed()
    path.rename(target)


def remove_unfinished(directory: Path) -> None:
    """Remove what `atomic_write` of dead processes left in `directory`: only where the caller is the one writer.

    Best effort and not synced: what stays is ignored by every reader.
    """
    with contextlib.suppress(OSError):
        for file in directory.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                file.unlink()


def remove(path: Path) -> None:
    """Unlink `path` durably; a file that is gone already is a success."""
    _check_allowed()
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    sync_dir(path.parent)


def read(path: Path) -> bytes | None:
    """The whole content, or None when there is no such file. Other failures raise OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
