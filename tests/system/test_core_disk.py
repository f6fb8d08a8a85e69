"""Core on disks that refuse, hang, or hold rubbish."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.system.core_alone import BUTTON, YELLOW, World, world
from unitd.core.recover import boot_id
from unitd.store.outbox import Entry, sealed

pytestmark = pytest.mark.system


def faults(w: World) -> set[tuple[str, str]]:
    return {(fault.code, fault.subject) for fault in w.room.states[-1].faults} if w.room.states else set()


def test_a_disk_that_hangs_delays_no_alarm_is_told_and_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A pipe that nobody writes to, where a file should be: whoever reads it waits for ever."""

    async def run() -> None:
        async with world(tmp_path) as w:
            (tmp_path / "state").mkdir()
            os.mkfifo(tmp_path / "state" / "boot.json")
            await w.start()
            await w.until("birth", lambda: bool(w.room.states))
            w.room.confirms = False
            w.gpio.press(BUTTON, 40)
            await w.until("alarm", lambda: bool(w.room.alarms), 1.5)
            await w.until("told", lambda: ("outbox_memory_only", "") in faults(w), 15.0)
            started_s = time.monotonic()
            assert w.end(signal.SIGTERM) == 0
            assert time.monotonic() - started_s < 5.0

    asyncio.run(run())


def test_a_run_dir_that_cannot_be_made_leaves_the_unit_armed(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            (tmp_path / "run").write_text("a file where a directory should be")
            await w.start()
            await w.until("birth", lambda: bool(w.room.states) and w.room.states[-1].armed)
            await w.until("told", lambda: ("disk_error", "latch") in faults(w))
            w.gpio.press(BUTTON, 40)
            await w.until("alarm", lambda: bool(w.room.alarms))
            await w.shown(YELLOW, "steady")

    asyncio.run(run())


def test_one_unreadable_entry_hides_no_other_and_an_old_boots_alarm_keeps_its_boot(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            outbox = tmp_path / "state" / "outbox"
            outbox.mkdir(parents=True)
            (tmp_path / "state" / "boot.json").write_text('{"boot_id": "an older one", "boot": 6}')
            press_id, incident_id = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "12")
            entry = Entry(press_id, incident_id, "panic", 10**16, 5, "synced", 6)
            (outbox / f"{press_id}.json").write_bytes(sealed(entry))
            (outbox / "a-directory.json").mkdir()
            (outbox / "odd.json").write_bytes(sealed(entry).replace(b"panic", b"voice"))
            await w.start()
            await w.until("alarm", lambda: bool(w.room.alarms))
            assert w.room.alarms[0].press_id == press_id
            await w.until("told", lambda: ("outbox_quarantine", "") in faults(w))
            lock_file = tmp_path / "state" / "locks" / f"{incident_id}.json"
            await w.until("lock", lock_file.exists)
            lock = json.loads(lock_file.read_bytes())
            assert (lock["from_boot"], lock["to_boot"]) == (6, None)

    asyncio.run(run())


def test_what_a_late_disk_holds_is_served_when_it_is_ready(tmp_path: Path) -> None:
    """An alarm of before the power cut, on a card that takes longer than core waits."""

    async def run() -> None:
        async with world(tmp_path) as w:
            outbox = tmp_path / "state" / "outbox"
            outbox.mkdir(parents=True)
            os.mkfifo(tmp_path / "state" / "boot.json")
            press_id, incident_id = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "12")
            entry = Entry(press_id, incident_id, "panic", 10**16, 5, "synced", 6)
            (outbox / f"{press_id}.json").write_bytes(sealed(entry))
            await w.start()
            await w.until("birth", lambda: bool(w.room.states))
            assert not w.room.alarms
            answer = json.dumps({"boot_id": boot_id(), "boot": 7})
            await asyncio.to_thread((tmp_path / "state" / "boot.json").write_text, answer)
            await w.until("alarm", lambda: bool(w.room.alarms))
            assert w.room.alarms[0].press_id == press_id
            await w.until("removed", lambda: not list(outbox.glob("*.json")))
            assert w.room.states[-1].armed

    asyncio.run(run())


def test_a_disk_that_is_back_is_believed_without_another_press(tmp_path: Path) -> None:
    """The alarm was confirmed from memory meanwhile: nothing waits for the disk, and its faults end all the same."""

    async def run() -> None:
        async with world(tmp_path) as w:
            (tmp_path / "state").write_text("a file where a directory should be")
            await w.start()
            await w.until("connected", lambda: any(state.online for state in w.room.states))
            w.gpio.press(BUTTON, 40)
            await w.until("alarm", lambda: bool(w.room.alarms))
            await w.until("told", lambda: {"outbox_memory_only", "disk_error"} <= codes(w))
            await w.until("received", lambda: any(e.name == "incident_received" for e in w.room.events))
            (tmp_path / "state").unlink()
            await w.until("healed", lambda: not {"outbox_memory_only", "disk_error"} & codes(w), 20.0)
            assert (tmp_path / "state" / "core" / "state.json").exists()

    def codes(w: World) -> set[str]:
        return {fault.code for fault in w.room.states[-1].faults}

    asyncio.run(run())
