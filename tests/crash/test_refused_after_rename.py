"""An entry that reached its name although the disk said no is removed with its alarm all the same."""

import errno
from pathlib import Path

from tests.crash.core_life import CoreLife, live
from tests.crash.faulty_disk import Fault, FaultyDisk


async def pressed_received_closed(core: CoreLife) -> None:
    await core.press("first")
    await core.received("first")


def test_what_was_renamed_before_its_sync_failed_raises_no_alarm_later(tmp_path: Path) -> None:
    for name in ("run", "state"):
        (tmp_path / name).mkdir()
    faulty = FaultyDisk(tmp_path)
    core = CoreLife(tmp_path, "boot-1")
    with faulty.life(Fault("error", code=errno.EIO, on="fsyncdir outbox")):
        live(core, pressed_received_closed)
    assert "persisted" not in core.log.steps, "the fault was not there"
    assert list((tmp_path / "state" / "outbox").glob("*.json")) == []
