"""Evidence locks as `record` and `export` read them; core alone writes them (docs/design/seams.md)."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE, StoreError


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """Footage from (from_boot, from_mono_ns) on is kept; `to_*` are None while the incident is open."""

    incident_id: str
    from_boot: int
    from_mono_ns: int
    to_boot: int | None = None
    to_mono_ns: int | None = None
    raised_utc_us: int = 0
    clock: str = "unknown"
    kind: str = ""
    outcome: str | None = None
    review_utc_us: int | None = None

    def overlaps(self, boot: int, start_mono_ns: int, end_mono_ns: int) -> bool:
        """Whether footage of `boot` between the two instants falls under this lock."""
        if (boot, end_mono_ns) < (self.from_boot, self.from_mono_ns):
            return False
        if self.to_boot is None or self.to_mono_ns is None:
            return True
        return (boot, start_mono_ns) <= (self.to_boot, self.to_mono_ns)


@dataclass(frozen=True)
class Locks:
    """The locks as they stand on the disk. Anything `unreadable` locks everything: a doubt never costs evidence."""

    locks: tuple[Lock, ...]
    unreadable: tuple[str, ...]

    def cover(self, boot: int, start_mono_ns: int, end_mono_ns: int) -> bool:
        """Whether that footage must be kept."""
        return bool(self.unreadable) or any(lock.overlaps(boot, start_mono_ns, end_mono_ns) for lock in self.locks)

    def any(self) -> bool:
        return bool(self.unreadable or self.locks)

    def named(self, prefix: str) -> Lock:
        """The one lock whose incident id starts with `prefix`. Raises StoreError when there is none, or several."""
        found = [lock for lock in self.locks if lock.incident_id.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        if not found and self.unreadable:
            raise StoreError(f"no incident {prefix!r} is found, but this cannot be read: {self.unreadable[0]}")
        if not found:
            raise StoreError(f"no incident {prefix!r} is kept here; {self._known()}")
        raise StoreError(f"{len(found)} incidents start with {prefix!r}; give more characters")

    def _known(self) -> str:
        latest = sorted(self.locks, key=lambda lock: (lock.from_boot, lock.from_mono_ns))[-5:]
        return "known: " + ", ".join(lock.incident_id for lock in latest) if latest else "no incident is, at present"


def read_locks(state_dir: Path) -> Locks:
    """Every lock in `state_dir/locks`. Never raises: what cannot be read is listed as unreadable. Blocks."""
    return LockReader(state_dir).read()


class LockReader:
    """As `read_locks`, again and again: of files that are as they were, only name, size and times are looked at.

    256 locks take 0.6 ms instead of 12. Not thread-safe.
    """

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "locks"
        self._known: dict[str, tuple[_Look, Lock]] = {}

    def read(self) -> Locks:
        """Never raises: what cannot be read is listed as unreadable. Blocks."""
        locks: list[Lock] = []
        unreadable: list[str] = []
        known: dict[str, tuple[_Look, Lock]] = {}
        try:
            with os.scandir(self._directory) as entries:
                files = sorted((e for e in entries if e.name.endswith(".json") and e.name[0] != "."), key=_name)
        except FileNotFoundError:
            return Locks((), ())
        except OSError as error:
            remedy = "; run it with sudo" if isinstance(error, PermissionError) else ""
            return Locks((), (f"{self._directory}: {error.strerror}{remedy}",))
        for entry in files:
            try:
                status = entry.stat()
                look = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
                before = self._known.get(entry.name)
                if before is not None and before[0] == look:
                    lock = before[1]
                else:
                    lock = msgspec.json.decode(Path(entry.path).read_bytes(), type=Lock)
                known[entry.name] = (look, lock)
                locks.append(lock)
            except FileNotFoundError:
                continue
            except (OSError, *UNREADABLE) as error:
                unreadable.append(f"{entry.name}: {error}")
        self._known = known
        return Locks(tuple(locks), tuple(unreadable))


def read_released(state_dir: Path, incident_id: str) -> Lock | None:
    """The lock that was released, None when there is none that can be read. Never raises. Blocks."""
    try:
        return msgspec.json.decode((state_dir / "locks" / "released" / f"{incident_id}.json").read_bytes(), type=Lock)
    except (OSError, *UNREADABLE):
        return None


def _name(entry: "os.DirEntry[str]") -> str:
    return entry.name


_Look = tuple[int, int, int, int]
