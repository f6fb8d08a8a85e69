"""The durable outbox: one file for each alarm, there from the press until the control room's system says `received`.

Guarantee: after `put` returns the entry survives a power cut; after `remove` returns it does not come back. An entry
that cannot be read is moved to `quarantine/` and reported, never deleted. Every call blocks: run them on the
disk thread. Each raises OSError when the disk refuses; the caller goes on from memory.
"""

import contextlib
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE
from unitd.model.incident import Kind
from unitd.store import disk


class Entry(msgspec.Struct, frozen=True):
    """An alarm as it must be raised again by whoever finds it."""

    press_id: str
    incident_id: str
    kind: Kind
    mono_ns: int
    utc_us: int
    clock: str
    boot: int


class Outbox:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> tuple[list[Entry], list[str]]:
        """Read every entry; returns them oldest first, and the names of those that cannot be read (in quarantine unless
        the disk refuses that too). One bad file, or a disk that is read-only, hides no other entry.
        """
        entries: list[Entry] = []
        bad: list[str] = []
        # A predecessor may have died between rename and sync: what is found is only then sure to outlive a power cut.
        with contextlib.suppress(OSError):
            disk.sync_dir(self._directory)
        for file in sorted(self._directory.glob("*.json")):
            try:
                entries.append(msgspec.json.decode(disk.read(file) or b"", type=Entry))
            except OSError:
                bad.append(file.name)
            except UNREADABLE:
                bad.append(file.name)
                quarantine = self._directory / "quarantine"
                with contextlib.suppress(OSError):
                    quarantine.mkdir(exist_ok=True)
                    file.rename(quarantine / file.name)
        return sorted(entries, key=lambda each: (each.boot, each.mono_ns)), bad

    def put(self, entry: Entry) -> None:
        disk.make_dirs(self._directory, mode=0o700)
        disk.atomic_write(self._directory / f"{entry.press_id}.json", msgspec.json.encode(entry))

    def probe(self) -> None:
        """Returns when the disk takes entries (again)."""
        probe = self._directory / ".probe"
        disk.make_dirs(self._directory)
        disk.atomic_write(probe, b"{}")
        disk.remove(probe)

    def remove(self, press_id: str) -> None:
        disk.remove(self._directory / f"{press_id}.json")
