"""A small disk that can be full: a size-limited tmpfs in a mount namespace of the simulator's own.

The namespace needs root or unprivileged user namespaces; `enter_namespace` starts the running program over in one.
Where neither is allowed there is no such disk, and the simulator says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

INSIDE_VARIABLE = "HW_SIM_NAMESPACE"
PIECE_BYTES = 1024 * 1024


def enter_namespace(command: Sequence[str]) -> str | None:
    """Start `command` in place of this process inside a mount namespace of its own; does not return if that works.

    Returns None when we are inside one already, else why it cannot be. Blocks for some ten milliseconds.
    """
    if os.environ.get(INSIDE_VARIABLE) == "1":
        return None
    unshare = shutil.which("unshare")
    if unshare is None:
        return "there is no unshare(1) (package util-linux)"
    flags = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
    probe = subprocess.run([unshare, *flags, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        return f"this system refuses a mount namespace: {probe.stderr.strip() or 'no reason given'}"
    environment = os.environ | {INSIDE_VARIABLE: "1"}
    try:
        os.execvpe(unshare, [unshare, *flags, "--", *command], environment)  # noqa: S606 - the command is our own
    except OSError as error:
        return f"cannot start unshare(1): {error}"


def can_mount() -> bool:
    """Whether this process may mount (it runs in a namespace that `enter_namespace` made)."""
    return os.environ.get(INSIDE_VARIABLE) == "1"


class SmallDisk:
    """A filesystem of `size_bytes` at `path`, for as long as this process lives. Calls block for milliseconds.

    Raises OSError when it cannot be mounted.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        options = f"size={size_bytes},mode=0755"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "hw-sim-disk", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise OSError(errno.EPERM, f"cannot mount a small disk: {done.stderr.strip()}")
        self.path = path
        self._ballast = path / ".ballast"

    @property
    def full(self) -> bool:
        return self._ballast.exists()

    def fill(self) -> int:
        """Write until not one byte more fits; returns how many bytes it took."""
        wrote = 0
        with self._ballast.open("ab", buffering=0) as ballast:
            piece = PIECE_BYTES
            while piece:
                try:
                    took = ballast.write(b"\0" * piece)
                    wrote += took or 0
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece //= 2
        return wrote

    def free(self) -> None:
        """Take the ballast away again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)
