"""The place where evidence is kept: whether it is there, how full it is, and the reserve file for a full disk."""

import contextlib
import errno
import os
from pathlib import Path

from unitd.model.retention import Disk
from unitd.store import disk

RESERVE_BYTES = 256 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT)


class Place:
    """Thread-safe: it keeps nothing. Every method blocks on the disk (a stat or two) and raises OSError."""

    def __init__(self, evidence_dir: Path, *, must_be_mounted: bool) -> None:
        self.directory = evidence_dir
        self._must_be_mounted = must_be_mounted
        self._reserve = evidence_dir / ".reserve"

    def check(self) -> None:
        """Raises OSError (ENODEV) when the directory has to be a mount of its own and is none; a symlink is followed.

        A bind mount from the same file system cannot be told from a plain directory, and is refused.
        """
        if not self._must_be_mounted:
            return
        try:
            real = self.directory.resolve(strict=True)
            mounted = real.stat().st_dev != real.parent.stat().st_dev
        except FileNotFoundError:
            mounted = False
        if not mounted:
            raise OSError(errno.ENODEV, "no disk is mounted there", str(self.directory))

    def identity(self) -> tuple[int, int] | None:
        """Which directory it is: another one after a disk came, went or was changed. None when there is none."""
        try:
            status = self.directory.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def make(self) -> None:
        """See that the directory is there. Raises as `check`."""
        self.check()
        disk.make_dirs(self.directory)

    def stream_dir(self, stream: str) -> Path:
        """The directory of one stream, made durable when it is new. Raises as `check`."""
        self.check()
        directory = self.directory / stream
        disk.make_dirs(directory)
        return directory

    def fill(self) -> Disk:
        """As df counts it: blocks reserved for root are not available."""
        status = os.statvfs(self.directory)
        return Disk((status.f_blocks - status.f_bfree) * status.f_frsize, status.f_bavail * status.f_frsize)

    def hold_reserve(self) -> None:
        """Hold a little space back so that a full disk can still be written about. Never raises."""
        with contextlib.suppress(OSError):
            self.check()
            if self._reserve.exists():
                if self._reserve.stat().st_size == RESERVE_BYTES:
                    return
                self._reserve.unlink()  # begun before a crash: it holds nothing
            descriptor = disk.create_exclusive(self._reserve)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            except OSError:
                self._reserve.unlink()
            finally:
                disk.close(descriptor)

    def give_reserve(self) -> None:
        """The disk is full, and an intent has to be written."""
        with contextlib.suppress(FileNotFoundError):
            disk.remove(self._reserve)
