"""The press latch: a press survives the death of core between the finger and the outbox.

One small file for each press in `run_dir/latch/` (tmpfs, kept by systemd across a restart of core), written in the GPIO
thread at the first edge and removed once the alarm is durable elsewhere. No fsync: tmpfs outlives the process, and a
power cut ends the press together with the machine.
"""

import contextlib
import os
from collections.abc import Callable
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
    """Thread-safe: each call touches one file of its own name. None raises; what a tmpfs refuses is only counted."""

    def __init__(self, run_dir: Path) -> None:
        self._directory = run_dir / "latch"
        self._held = 0
        self.failed = 0
        """Presses that the tmpfs refused."""
        self.beyond = 0
        """Presses that were not latched, or not read, because MAX_LATCHES waited already."""
        self.unreadable = 0
        """Files of a dead core that said nothing: half-written, or damaged. Removed."""
        self.refused = False
        """The last latch could not be written, or the directory cannot be made."""
        self.on_set: Callable[[Latched], None] = lambda _latched: None
        """Called on the thread of `set`, when a press is in the making and what can be kept of it is kept."""

    def counts(self) -> dict[str, int]:
        """What went wrong since this core started, by name."""
        return {
            "latch_failed": self.failed,
            "latch_beyond": self.beyond,
            "latch_unreadable": self.unreadable,
        }

    def set(self, latched: Latched) -> None:
        """Write the latch; takes some tens of microseconds."""
        self._write(latched)
        self.on_set(latched)

    def _write(self, latched: Latched) -> None:
        if self._held >= MAX_LATCHES:
            self.beyond += 1
            return
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True, parents=True)
            temporary = self._directory / f".{latched.press_id}"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                rest = memoryview(msgspec.json.encode(latched))
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
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
        """Presses of this boot that a predecessor latched and did not finish, oldest first; at most MAX_LATCHES.

        For a core that starts, before it latches anything itself. A latch that is whole but was not yet named is a
        press like the others; what says nothing (the writer died half-way) is counted and removed.
        """
        found: list[Latched] = []
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True, parents=True)
        except OSError:
            self.refused = True
        with contextlib.suppress(OSError):
            for file in sorted(self._directory.iterdir()):
                latched = self._read(file)
                if latched is None or latched.boot_id != boot_id:
                    continue
                if len(found) == MAX_LATCHES:
                    self.beyond += 1
                elif self._named(file, latched.press_id):
                    found.append(latched)
        self._held = len(found)
        return sorted(found, key=lambda each: each.mono_ns)

    def _read(self, file: Path) -> Latched | None:
        """One file's press; what is unreadable is removed, what cannot be read now is left."""
        try:
            content = file.read_bytes()
        except OSError:
            return None
        try:
            return msgspec.json.decode(content, type=Latched)
        except UNREADABLE:
            self.unreadable += 1
            with contextlib.suppress(OSError):
                file.unlink()
            return None

    def _named(self, file: Path, press_id: str) -> bool:
        """Give a whole latch its name, if its writer died before that. True: this file is the press's latch."""
        if file.name == f"{press_id}.json":
            return True
        if file.name != f".{press_id}":
            return False  # a name of somebody else's making: left alone
        with contextlib.suppress(OSError):
            file.rename(self._directory / f"{press_id}.json")
        return True
