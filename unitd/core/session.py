"""The session: which start of core this is. Commands name it, so what was meant for another life is refused."""

import contextlib
import hashlib
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE
from unitd.store import disk

UNSAVED_FROM = 2**40
STARTS_OF_A_BOOT = 1024


class _Counter(msgspec.Struct, frozen=True):
    """`session` is the highest number counted; `unsaved`, in tmpfs, how many starts of this boot got one of the other
    kind."""

    session: int = 0
    unsaved: int = 0


def next_session(run_dir: Path, state_dir: Path, boot_id: str) -> int:
    """A number that no other start of core had or will have; blocks on the disk.

    One more than any known to tmpfs or disk, if the disk takes it. A number that the disk may forget would be given
    again after a reboot, and with it yesterday's commands would hold: then it is one made from the boot's own id.
    """
    volatile, durable = _files(run_dir, state_dir)
    known, stored = _read(volatile) or _Counter(), _read(durable)
    if known.session or stored is not None:
        number = max(known.session, stored.session if stored is not None else 0) + 1
        _write(volatile, _Counter(number, known.unsaved))
        if _write(durable, _Counter(number)):
            return number
    return unsaved_session(run_dir, boot_id)


def unsaved_session(run_dir: Path, boot_id: str) -> int:
    """The same without the disk: unlike any of another boot, and higher with each start of this one."""
    volatile, _ = _files(run_dir, run_dir)
    known = _read(volatile) or _Counter()
    starts = known.unsaved + 1
    _write(volatile, _Counter(known.session, starts))
    of_boot = int.from_bytes(hashlib.blake2b(boot_id.encode(), digest_size=5).digest(), "big")
    return UNSAVED_FROM + of_boot * STARTS_OF_A_BOOT + starts


def _files(run_dir: Path, state_dir: Path) -> tuple[Path, Path]:
    return run_dir / "session.json", state_dir / "core" / "session.json"


def _read(file: Path) -> _Counter | None:
    """What the file says; nothing counted where there is none; None where it cannot be read or says nonsense."""
    try:
        content = disk.read(file)
        found = msgspec.json.decode(content, type=_Counter) if content is not None else _Counter()
    except (OSError, *UNREADABLE):
        return None
    return found if 0 <= found.session < UNSAVED_FROM and 0 <= found.unsaved < UNSAVED_FROM else None


def _write(file: Path, counter: _Counter) -> bool:
    with contextlib.suppress(OSError):
        disk.make_dirs(file.parent)
        disk.atomic_write(file, msgspec.json.encode(counter))
        return True
    return False
