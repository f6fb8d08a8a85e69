"""The press latch: a press survives the death of core between the finger and the outbox.

One small file for each press in `run_dir/latch/` (tmpfs, kept by systemd across a restart of core), written in the GPIO
thread at the first edge and removed once the alarm is durable elsewhere. No fsync: tmpfs outlives the process, and a
power cut ends the press together with the machine.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE

MAX_LATCHES = 256
"""More presses than this unserved at once are not latched one by one: the first ones raise the alarm already."""


class Latched(msgspec.Struct, frozen=True):
    """A press as it was minted at the edge."""

    press_id: str
    incident_id: str
    mono_ns: int
    utc_us: int
    clock: str
    boot_id: str


class Latch:
    """Thread-safe: each call touches one file of its own name. None raises; a failing tmpfs is only counted."""

    def __init__(self, run_dir: Path) -> None:
        self._directory = run_dir / "latch"
        self._held = 0
        self.failed = 0
        self.refused = False
        """The last latch could not be written, or the directory cannot be made."""

    def set(self, latched: Latched) -> None:
        """Write the latch; takes some tens of microseconds."""
        if self._held >= MAX_LATCHES:
            self.failed += 1
            return
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True, parents=True)
            temporary = self._directory / f".{latched.press_id}"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, msgspec.json.encode(latched))
            finally:
                os.close(descriptor)
            temporary.rename(self._directory / f"{latched.press_id}.json")
            self._held += 1
            self.refused = False
        except OSError:
            self.failed += 1
            self.refused = True

    def clear(self, press_id: str) -> None:
        """The press is durable elsewhere, or was a glitch."""
        with contextlib.suppress(OSError):
            (self._directory / f"{press_id}.json").unlink()
            self._held -= 1

    def pending(self, boot_id: str) -> list[Latched]:
        """Presses of this boot that a predecessor latched and did not finish, oldest first."""
        found: list[Latched] = []
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True, parents=True)
        except OSError:
            self.refused = True
        with contextlib.suppress(OSError):
            for file in sorted(self._directory.glob("*.json"))[:MAX_LATCHES]:
                with contextlib.suppress(OSError, *UNREADABLE):
                    latched = msgspec.json.decode(file.read_bytes(), type=Latched)
                    if latched.boot_id == boot_id:
                        found.append(latched)
        self._held = len(found)
        return sorted(found, key=lambda each: each.mono_ns)
