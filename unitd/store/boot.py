"""The boot counter: which life of the machine this is, whatever the clock says.

`state_dir/boot.json` holds the kernel's boot id and our counter; the counter advances once for each new boot id. With
CLOCK_MONOTONIC it orders everything that ever happened on this unit: lexicographic on (boot, mono_ns).
"""

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from unitd.errors import UNREADABLE, StoreError
from unitd.store import disk

LARGEST = 999_999_999
"""Beyond it is damage: with more digits the names of segments would not be read as such, and never be evicted."""
LOCK_TRIES = 20
LOCK_AGAIN_S = 0.05
"""Whoever has the lock needs milliseconds; one that hangs with it for a second must not take others along."""
KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class BootBusyError(StoreError):
    """Another process keeps the counter: one that is slow at it will be done with it soon, one that hangs never."""


@dataclass(frozen=True)
class Boot:
    """`boot_id` is the kernel's; `boot` counts up by one with each boot that this unit has seen, from 1."""

    boot_id: str
    boot: int


def current_boot(state_dir: Path, kernel_boot_id: Path = KERNEL_BOOT_ID) -> Boot:
    """`boot_of` the boot that the kernel is in."""
    return boot_of(state_dir, kernel_boot_id.read_text(encoding="ascii").strip())


def boot_of(state_dir: Path, boot_id: str) -> Boot:
    """This boot's number, advancing the counter when this is the first call since the machine started.

    Safe from several processes at once (file lock) and durable before it returns. An unreadable boot.json does not
    stop the unit: it is kept aside and the counter goes on far above any number in use. Raises StoreError when the
    disk refuses to keep a new number, BootBusyError when another process keeps the lock for 1 s. Blocks on disk,
    milliseconds.
    """
    path = state_dir / "boot.json"
    try:
        disk.make_dirs(state_dir)
        lock = os.open(state_dir / ".boot.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(lock)
            known = _parse(disk.read(path))
            if known is not None and known.boot_id == boot_id:
                # whoever wrote it may have died before it was durable: the number would be given to the next boot too
                with contextlib.suppress(OSError):
                    disk.sync_dir(state_dir)
                return known
            number = known.boot + 1 if known is not None else _after_damage(path)
            fresh = Boot(boot_id, number)
            line = json.dumps({"boot_id": fresh.boot_id, "boot": fresh.boot}) + "\n"
            disk.atomic_write(path, line.encode(), mode=0o644)
            return fresh
        finally:
            os.close(lock)
    except BootBusyError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _take(lock: int) -> None:
    """Raises BootBusyError when another process keeps it."""
    for _ in range(LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(LOCK_AGAIN_S)
    raise BootBusyError("another process keeps the boot counter's lock")


def _parse(data: bytes | None) -> Boot | None:
    if data is None:
        return None
    try:
        raw = json.loads(data)
        boot_id, number = raw["boot_id"], raw["boot"]
    except (*UNREADABLE, KeyError, TypeError):
        return None
    if not isinstance(boot_id, str) or type(number) is not int or not 1 <= number <= LARGEST:
        return None
    return Boot(boot_id, number)


def _after_damage(path: Path) -> int:
    """1 on a new unit; after the n-th damage n million, so that order and names stay unique."""
    damages = len(list(path.parent.glob(path.name + ".damaged*")))
    if path.exists():
        damages += 1
        path.replace(path.with_name(f"{path.name}.damaged{damages}"))
    return damages * 1_000_000 + 1
