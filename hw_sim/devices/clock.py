"""A wrong clock, for the daemon's processes only: libfaketime shifts CLOCK_REALTIME, the monotonic clock stays.

Nothing in the product knows of it. Debian packages the library as `faketime`.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

LIBRARY_PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)
EPOCH_START_S = 60.0
"""A computer without a clock chip starts at about the epoch."""


class WrongClock:
    """The wall clock of the processes started with `environment`: 1970 until `step`.

    The time service's flag file `synchronized_file` exists once the clock is right, as systemd-timesyncd's does.
    Running processes see a step within a second (libfaketime reads its file that often).
    """

    def __init__(self, directory: Path, synchronized_file: Path) -> None:
        self._file = directory / "faketime"
        self._flag = synchronized_file
        self._write(f"-{time.time() - EPOCH_START_S:.0f}")
        self._flag.unlink(missing_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What to add to a process's environment. Raises RuntimeError when libfaketime or a C compiler is missing."""
        return {
            "LD_PRELOAD": f"{_shim(self._file.parent)} {_library()}",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, by_s: float = 0.0, *, synced: bool = True) -> None:
        """Set the clock to `by_s` beside the true time. `synced`: by the time service, which says so by its file;
        else by somebody's hand, and the time service is not running any more."""
        if not synced:
            self._flag.unlink(missing_ok=True)
        self._write(f"{by_s:+.3f}")
        if synced:
            self._flag.touch()

    def _write(self, offset: str) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(offset + "\n")
        fresh.replace(self._file)


def _shim(directory: Path) -> Path:
    """monotonic_sleep.c, which says why, compiled into `directory`."""
    library = directory / "monotonic_sleep.so"
    if not library.exists():
        source = Path(__file__).with_name("monotonic_sleep.c")
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(f"the wrong clock needs a C compiler (cc): {error}") from error
    return library


def _library() -> Path:
    root = Path("/")
    for place in LIBRARY_PLACES:
        for found in sorted(root.glob(place.removeprefix("/"))):
            return found
    raise RuntimeError("libfaketime is not installed; on Debian: apt-get install faketime")
