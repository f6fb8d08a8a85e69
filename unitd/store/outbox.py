"""The durable outbox: one file for each alarm, there from the press until the control room's system says `received`.

Guarantee: after `put` returns the entry survives a power cut; after `remove` returns it does not come back. An entry
that cannot be read is moved to `quarantine/` and reported until somebody takes it from there, never deleted. Every call
blocks: run them on the disk thread. Each raises OSError when the disk refuses; the caller goes on from memory.
"""

import contextlib
import zlib
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from unitd.errors import UNREADABLE
from unitd.model.incident import Kind, Origin
from unitd.store import disk

QUARANTINE_TOLD = 100
"""Files in quarantine that are counted."""


class Entry(msgspec.Struct, frozen=True):
    """An alarm as it must be raised again by whoever finds it."""

    press_id: str
    incident_id: str
    kind: Kind
    mono_ns: int
    utc_us: int
    clock: str
    boot: int
    origin: Origin = "command"


class _Sealed(msgspec.Struct, frozen=True):
    """The file: the entry as it was written, and the CRC-32 of exactly those bytes."""

    crc32: str
    entry: msgspec.Raw


class Found(NamedTuple):
    """`durable`: the names were synced, so that what was found will be found again after a power cut."""

    entries: list[Entry]
    unreadable: list[str]
    durable: bool


class Outbox:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> Found:
        """Read every entry, oldest first, with the names of those that cannot be read (in quarantine unless the disk
        refuses that too) and of what is in quarantine from before (QUARANTINE_TOLD of them), and remove what a
        predecessor left unfinished.

        One bad file, or a disk that is read-only, hides no other entry.
        """
        entries: list[Entry] = []
        bad: list[str] = []
        durable = True
        # A predecessor may have died between rename and sync: what is found is only then sure to outlive a power cut.
        try:
            disk.sync_dir(self._directory)
        except FileNotFoundError:
            return Found(entries, bad, durable)
        except OSError:
            durable = False
        disk.remove_unfinished(self._directory)
        quarantine = self._directory / "quarantine"
        with contextlib.suppress(OSError):  # most often there is none
            bad += (each.name for each in islice(quarantine.iterdir(), QUARANTINE_TOLD))
        for file in sorted(self._directory.glob("*.json")):
            try:
                entries.append(unsealed(disk.read(file) or b"", file.stem))
            except OSError:
                bad.append(file.name)
            except UNREADABLE:
                bad.append(file.name)
                with contextlib.suppress(OSError):
                    quarantine.mkdir(exist_ok=True)
                    file.rename(quarantine / file.name)
        return Found(sorted(entries, key=lambda each: (each.boot, each.mono_ns)), bad, durable)

    def put(self, entry: Entry) -> None:
        disk.make_dirs(self._directory, mode=0o700)
        disk.atomic_write(self._directory / f"{entry.press_id}.json", sealed(entry))

    def probe(self) -> None:
        """Returns when the disk takes entries (again)."""
        probe = self._directory / ".probe"
        disk.make_dirs(self._directory)
        disk.atomic_write(probe, b"{}")
        disk.remove(probe)

    def remove(self, press_id: str) -> None:
        disk.remove(self._directory / f"{press_id}.json")


def sealed(entry: Entry) -> bytes:
    """The content of an entry's file. Pure."""
    raw = msgspec.json.encode(entry)
    return msgspec.json.encode(_Sealed(f"{zlib.crc32(raw):08x}", msgspec.Raw(raw)))


def unsealed(content: bytes, press_id: str) -> Entry:
    """The entry of `press_id` in a file's content; pure. Raises one of UNREADABLE for anything but what was written."""
    outer = msgspec.json.decode(content, type=_Sealed)
    raw = bytes(outer.entry)
    if outer.crc32 != f"{zlib.crc32(raw):08x}":
        raise ValueError("the checksum is wrong")
    entry = msgspec.json.decode(raw, type=Entry)
    if entry.press_id != press_id:
        raise ValueError("it is the entry of another press")
    return entry
