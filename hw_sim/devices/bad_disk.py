"""A disk that becomes read-only, slow, dead or hung under a running process, without any right to mount.

Calls are met in the process itself by a small library that is preloaded (bad_disk.c); it is compiled when it is needed.
What the kernel itself does (a full file system, one that is unmounted) is hw_sim/devices/disk.py.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
MODES = {"off": 0, "read-only": 1, "slow": 2, "gone": 3, "hung": 4}
SLOW_MS = 300
"""Before each write and each sync: a worn card on a bad day."""


class BadDisk:
    """Faults for the files below `path`, in every process that is started with `environment`.

    `directory` gets the library and the switch. Raises OSError when there is no compiler, or it refuses. The
    constructor blocks for some 100 ms; `set` does not block.
    """

    def __init__(self, directory: Path, path: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        library, state = directory / "bad_disk.so", directory / "state"
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise OSError("a bad disk needs a C compiler (package gcc)")
        command = [compiler, "-O1", "-shared", "-fPIC", "-w", "-o", str(library), str(SOURCE), "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"a bad disk cannot be compiled: {done.stderr.strip()[-400:]}")
        with state.open("w+b") as file:
            file.write(bytes(8))
            file.flush()
            self._state = mmap.mmap(file.fileno(), 8)
        self.path = path
        self.environment = {
            "LD_PRELOAD": str(library),
            "HW_SIM_BAD_DISK": str(path),
            "HW_SIM_BAD_DISK_STATE": str(state),
        }

    def set(self, how: str, slow_ms: int = SLOW_MS) -> None:
        """`how` is one of MODES; it holds from the next call to the disk on, and frees what is hung."""
        self._state[:8] = struct.pack("=ii", MODES[how], slow_ms)

    def close(self) -> None:
        self.set("off")
        self._state.close()
