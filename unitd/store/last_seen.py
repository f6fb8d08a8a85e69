"""The last true time that this unit knew: a lower bound of the present one, also after a reboot without a clock chip.

`state_dir/last-seen.json`: `{"utc_s": N}`. Core alone writes it, while its clock is synchronised.
"""

from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE
from unitd.model.clock import BUILD_UTC_S
from unitd.store import disk

FILE_NAME = "last-seen.json"
BELIEVED_S = 50 * 365 * 86400
"""Later than this after the build is damage, not time."""


class _LastSeen(msgspec.Struct, frozen=True):
    utc_s: int


def read_last_seen(state_dir: Path) -> int:
    """Seconds since 1970; BUILD_UTC_S when nothing is kept, or nothing that can be. Raises OSError. Blocks."""
    try:
        found = msgspec.json.decode(disk.read(state_dir / FILE_NAME) or b"", type=_LastSeen).utc_s
    except UNREADABLE:
        return BUILD_UTC_S
    return found if BUILD_UTC_S <= found <= BUILD_UTC_S + BELIEVED_S else BUILD_UTC_S


def write_last_seen(state_dir: Path, utc_s: int) -> None:
    """Durable when it returns; the old content or the new after a power cut. Raises OSError. Blocks."""
    disk.make_dirs(state_dir)
    # the workers read it too, and may be other users
    disk.atomic_write(state_dir / FILE_NAME, msgspec.json.encode(_LastSeen(utc_s)) + b"\n", mode=0o644)
