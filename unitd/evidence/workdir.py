"""The directory in which an export grows: `<name>.part` until it is whole, so that nothing looks finished that is not.

`.export` in it says which export it is and which files are whole, one JSON line each. Whoever is killed half-way is
gone on from there: each file is hashed again before it is believed. The rename at the end is the last step. One
process at a time: it holds a lock on `.export`.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.evidence.manifest import EvidenceFile

JOURNAL = ".export"
UNFINISHED = ".unfinished"
BLOCK_BYTES = 1 << 20
SYNC_BYTES = 64 * 1024
"""Smaller files are synced at the end."""
SYNCS_AHEAD = 4
PART_SUFFIX = ".part"
DIRECTORIES = ("segments", "stills", "view", "audio", "chain", "checkpoints")
SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"

Progress = Callable[[int], object]


class WholeFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the journal: `file` is whole, and was made of what `made_of` names (a hash, for joined files)."""

    file: EvidenceFile
    made_of: str = ""


class HashedFile:
    """A file being written, hashed on the way."""

    def __init__(self, descriptor: int, progress: Progress) -> None:
        self._descriptor, self._progress = descriptor, progress
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._hash.update(data)
        self.bytes += len(data)
        self._progress(len(data))


class _Syncer:
    """A thread that has whole files on the medium while the next are copied, so that little is left for the end and
    the machine's memory does not fill with what is still to be written."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Path | None] = queue.Queue(SYNCS_AHEAD)
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def put(self, path: Path) -> None:
        """Sync it soon. Blocks while SYNCS_AHEAD files wait."""
        self._waiting.put(path)

    def join(self) -> None:
        """Wait for all of them. Raises the first OSError: a sync that failed must not be tried again."""
        self._waiting.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (path := self._waiting.get()) is not None:
            try:
                if self._error is None:
                    sync_file(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._error = error


class WorkDir:
    """`path` is where it will be, `part` where it grows. All methods block and raise StoreError, one line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + PART_SUFFIX)
        self.whole: dict[str, WholeFile] = {}
        self.kept = 0
        self._syncer: _Syncer | None = None
        self._journal = -1

    def open(self, request: dict[str, Any]) -> None:
        """Begin, or go on with, the export that `request` names. Refuses a directory that is not this export's."""
        line = msgspec.json.encode(request, order="sorted") + b"\n"
        try:
            self.part.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in self.part.iterdir()}
            if names and JOURNAL not in names:
                raise StoreError(f"{self.part} is not an unfinished export; choose another --output")
            self._alone()
            if (self.part / JOURNAL).stat().st_size:
                self._go_on(line)
            else:
                (self.part / JOURNAL).write_bytes(line)
        except OSError as error:
            raise self.refused(error) from error

    def close(self) -> None:
        """Let another process go on with it; what nothing was written into leaves no trace. Twice is once."""
        if self._journal >= 0:
            with contextlib.suppress(OSError):
                if [path.name for path in self.part.iterdir()] == [JOURNAL]:
                    (self.part / JOURNAL).unlink()
                    self.part.rmdir()
            os.close(self._journal)
            self._journal = -1

    def _alone(self) -> None:
        """Two that write the same files would spoil them. A medium that knows no locks is believed."""
        self._journal = os.open(self.part / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        busy = False
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = (self.part / JOURNAL).stat()
            busy = there.st_ino != os.fstat(self._journal).st_ino
        except (BlockingIOError, FileNotFoundError):
            busy = True
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        if busy:
            self.close()
            raise StoreError(f"{self.path} is being made by another export at this moment; choose another --output")

    def _go_on(self, line: bytes) -> None:
        try:
            first, *rest = (self.part / JOURNAL).read_bytes().splitlines(keepends=True)
        except (FileNotFoundError, ValueError):
            raise StoreError(f"{self.part} is not an unfinished export; choose another --output") from None
        if first != line:
            raise StoreError(
                f"{self.part} is the unfinished export of something else; choose another --output, or remove it"
            )
        for each in rest:
            with contextlib.suppress(*UNREADABLE):  # the last line may be torn
                known = msgspec.json.decode(each, type=WholeFile)
                self.whole[known.file.path] = known

    def kept_file(self, path: str, made_of: str = "") -> EvidenceFile | None:
        """The file as an earlier try has left it, if it is still whole and made of the same; hashed again here."""
        known = self.whole.get(path)
        if known is None or known.made_of != made_of:
            return None
        try:
            if (self.part / path).stat().st_size != known.file.bytes:
                return None
            if sha256_of(self.part / path) != known.file.sha256:
                return None
        except OSError:
            return None
        self.kept += 1
        return known.file

    @contextmanager
    def create(self, path: str, progress: Progress = lambda _: None) -> Iterator[HashedFile]:
        """Write `path`; it has its name only when it is whole."""
        target = self.part / path
        unfinished = target.with_name(target.name + UNFINISHED)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                file = HashedFile(descriptor, progress)
                yield file
            finally:
                os.close(descriptor)
            unfinished.replace(target)
            if file.bytes >= SYNC_BYTES:
                self._syncer = self._syncer or _Syncer()
                self._syncer.put(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise self.refused(error) from error

    def put(self, path: str, data: bytes) -> tuple[int, str]:
        """Write a small file whole; its size and hash."""
        with self.create(path) as file:
            file.write(data)
        return file.bytes, file.sha256

    def note(self, file: EvidenceFile, made_of: str = "") -> None:
        """Remember that a file is whole."""
        known = WholeFile(file, made_of)
        self.whole[file.path] = known
        try:
            with (self.part / JOURNAL).open("ab") as journal:
                journal.write(msgspec.json.encode(known) + b"\n")
        except OSError as error:
            raise self.refused(error) from error

    def clear(self, wanted: set[str]) -> None:
        """Remove what an earlier try left that does not belong to this export any more; nobody else's files."""
        try:
            for directory in DIRECTORIES:
                for path in sorted((self.part / directory).rglob("*"), reverse=True):
                    if path.is_dir():
                        with contextlib.suppress(OSError):
                            path.rmdir()  # only an empty one goes
                    elif path.relative_to(self.part).as_posix() not in wanted:
                        path.unlink()
            for path in self.part.glob(f"*{UNFINISHED}"):
                path.unlink()
        except OSError as error:
            raise self.refused(error) from error

    def finish(self) -> None:
        """Everything on the medium, then the name by which it counts as finished."""
        try:
            if self._syncer is not None:
                self._syncer.join()
            sync_tree(self.part)
            (self.part / JOURNAL).unlink(missing_ok=True)
            self.part.replace(self.path)
            sync_name(self.path.parent)
        except OSError as error:
            raise self.refused(error) from error

    def refused(self, error: OSError) -> StoreError:
        """What the operator is told, in one line."""
        if isinstance(error, StoreError):
            return error
        if error.errno == errno.ENOSPC:
            return StoreError(f"{self.part.parent} is full; free some room and run the same command again: it goes on")
        if error.errno in (errno.EACCES, errno.EPERM):
            return StoreError(f"no permission for {error.filename or self.part}: run it with sudo")
        return StoreError(f"{error.filename or self.part}: {error.strerror or error}")


def sha256_of(path: Path) -> str:
    """Raises OSError. Blocks for the file's length."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_tree(directory: Path) -> None:
    """Every file and directory below `directory` is on the medium when this returns. Raises OSError. Blocks."""
    for parent, _, names in os.walk(directory):
        for name in names:
            sync_file(Path(parent) / name, forget=True)
        sync_name(Path(parent))


def sync_file(path: Path, *, forget: bool = False) -> None:
    """The file is on the medium at the end; `forget`: and leaves the memory to others. Raises OSError. Blocks."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        if forget:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def sync_name(directory: Path) -> None:
    """Names in `directory` are durable; a file system that cannot say so (FAT) is believed."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def need_room(directory: Path, needed_bytes: int) -> None:
    """Raises StoreError before the first byte when the medium cannot take all of it."""
    free = free_bytes(directory)
    if free < needed_bytes:
        raise StoreError(
            f"{directory} has {free / 1e6:.0f} MB free and the export needs {needed_bytes / 1e6:.0f} MB; "
            "use a bigger medium, or --camera for one camera"
        )


def free_bytes(directory: Path) -> int:
    """What the medium can still take. Raises OSError."""
    return shutil.disk_usage(directory).free
