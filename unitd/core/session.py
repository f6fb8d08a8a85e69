"""The session counter: which start of core this is. Commands name it, so what was meant for another life is refused."""

import contextlib
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE
from unitd.store import disk


class _Counter(msgspec.Struct, frozen=True):
    session: int = 0


def next_session(run_dir: Path, state_dir: Path) -> int:
    """One more than any session known to tmpfs or disk. Blocks on the disk; a disk that refuses does not stop it."""
    files = (run_dir / "session.json", state_dir / "core" / "session.json")
    known = 0
    for file in files:
        with contextlib.suppress(OSError, *UNREADABLE):
            known = max(known, msgspec.json.decode(disk.read(file) or b"{}", type=_Counter).session)
    data = msgspec.json.encode(_Counter(known + 1))
    for file in files:
        with contextlib.suppress(OSError):
            disk.make_dirs(file.parent)
            disk.atomic_write(file, data)
    return known + 1
