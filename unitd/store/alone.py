"""That no second process writes the same ring: its lines in the same chain would make the chain look forged."""

import errno
import fcntl
import os
import threading
from pathlib import Path


class Alone:
    """A lock file in `state_dir`, kept for the life of the process once it was got. Thread-safe.

    It is a record lock (fcntl): it ends with the process however that ends, and lies beside the boot counter rather
    than on the ring's disk, which may be any file system. A process that nobody can kill keeps it as long as the disk
    keeps that process.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / ".record.lock"
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Raises OSError (EBUSY) while another process has it; where locks do not work nobody is kept out. Blocks, a
        moment."""
        with self._lock:
            if self._descriptor is not None:
                return
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                return  # what ails the disk is found out by those who write to it
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise OSError(errno.EBUSY, "another process records here", str(self._path)) from None
                return
            self._descriptor = descriptor
