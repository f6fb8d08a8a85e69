"""The whole way of a press with a fault at each operation of the disk, and the lives of core that come after it.

Each life is the real latch, recovery, spine, alarm desk, locks and snapshot. The promises are the log's own: "latched"
outlives the program, "persisted" outlives the power, and "removed" means that it is not sent again.
"""

import asyncio
import errno
import os
import random
from pathlib import Path

import pytest

from tests.crash.core_life import CoreLife, live, nothing
from tests.crash.faulty_disk import Fault, FaultyDisk
from unitd.core.disk_thread import DiskThread
from unitd.core.latch import Latch, Latched
from unitd.core.recover import merged
from unitd.model import events as ev
from unitd.store.boot import current_boot
from unitd.store.locks import read_locks
from unitd.store.outbox import Entry, Outbox

KILLED = -1
AFTERMATHS = (KILLED, 0, 1, 2) if os.environ.get("UNITD_TEST_LONG") else (KILLED, 0)
"""`make prove` adds power cuts that leave some or all of what was not synced."""
OPERATIONS_OF_THE_STORY = 139
OPERATIONS_OF_A_START = 107


async def story(core: CoreLife) -> None:
    """Two presses of one caller; each is received before the next thing happens."""
    for press_id in ("first", "second"):
        core.clock.now_ns += 1_000_000_000
        await core.press(press_id)
        core.log.steps.append(f"{press_id} pressed")
        core.log.steps.append(f"{press_id} receiving")
        await core.received(press_id)
        core.log.steps.append(f"{press_id} removed")


def fresh(base: Path) -> FaultyDisk:
    for name in ("run", "state"):
        (base / name).mkdir(parents=True)
    return FaultyDisk(base)


class Lives:
    """Core after core on one disk; what each said is kept, also of those that died."""

    def __init__(self, faulty: FaultyDisk, base: Path) -> None:
        self.faulty, self.base = faulty, base
        self.boot = 1
        self.last: CoreLife | None = None

    def live(self, fault: Fault, tell: object = nothing) -> CoreLife:
        core = CoreLife(self.base, f"boot-{self.boot}")
        with self.faulty.life(fault):
            live(core, tell)  # type: ignore[arg-type]
        return core

    def then(self, aftermath: int) -> None:
        if aftermath != KILLED:
            self.boot += 1
            self.faulty.cut_power(aftermath, self.base / "run")
            (self.base / "run").mkdir(exist_ok=True)
            self.faulty.adopt(self.base / "run")


def deaths(operations: list[str]) -> list[Fault]:
    return [
        Fault(how, number)
        for number, operation in enumerate(operations, start=1)
        for how in ("before", "after", *(("half",) if operation.startswith("write") else ()))
    ]


def owed(steps: list[str], aftermath: int) -> set[str]:
    """What a life that ended with these steps has promised to its successor."""
    promise = "latched" if aftermath == KILLED else "persisted"
    seen = [number for number, press_id in enumerate(("first", "second")) if f"{press_id} receiving" not in steps]
    return {("first", "second")[number] for number in seen if steps.count(promise) > number}


def counted(base: Path) -> list[str]:
    lives = Lives(fresh(base), base)
    core = lives.live(Fault(), story)
    assert core.broker.sent == ["first", "second"]
    assert core.log.steps.count("persisted") == 2
    return lives.faulty.operations


def test_every_operation_of_the_story_has_a_number(tmp_path: Path) -> None:
    assert len(counted(tmp_path / "a")) == OPERATIONS_OF_THE_STORY
    assert counted(tmp_path / "b") == counted(tmp_path / "c"), "the same operations in every run"


@pytest.mark.parametrize("aftermath", AFTERMATHS)
def test_death_at_each_operation_loses_no_alarm(tmp_path: Path, aftermath: int) -> None:
    for fault in deaths(counted(tmp_path / "counted")):
        where = f"{fault.how} {fault.at}, then {aftermath}"
        base = tmp_path / f"{fault.how}-{fault.at}"
        lives = Lives(fresh(base), base)
        first = lives.live(fault, story)
        assert lives.faulty.died, where
        lives.then(aftermath)
        second = lives.live(Fault())
        steps, sent = first.log.steps, set(second.broker.sent)
        assert owed(steps, aftermath) <= sent, f"lost: {where}; {steps}"
        assert not {each for each in ("first", "second") if f"{each} removed" in steps} & sent, f"came back: {where}"
        assert len(second.broker.sent) == len(sent), f"sent twice: {where}"
        assert second.found.quarantined == [], where
        assert read_locks(base / "state").unreadable == (), where
        if aftermath != KILLED:
            continue
        # what the successor has found or kept outlives a power cut, with nothing written since
        lives.then(0)
        third = lives.live(Fault())
        assert sent <= set(third.broker.sent), f"lost at the second cut: {where}"
        assert third.found.boot > second.found.boot, where


def broken(base: Path) -> FaultyDisk:
    """What a bad night leaves: an alarm, an unreadable one, a half-written one, a press latched, torn files."""
    fresh(base)
    current_boot(base / "state")
    outbox = Outbox(base / "state" / "outbox")
    outbox.put(Entry("kept", "incident-kept", "panic", 1, 0, "unknown", 1))
    outbox.put(Entry("voice", "incident-voice", "voice", 2, 0, "unknown", 1))
    Latch(base / "run").set(Latched("latched", "incident-latched", 3, 0, "unknown", "boot-1"))
    for name in ("state/outbox/torn.json", "state/outbox/.new.json.1.1.tmp", "state/boot.json", "run/core-state.json",
                 "run/latch/.half", "run/latch/torn.json", "state/core/state.json",
                 "state/core/session.json"):  # fmt: skip
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_bytes(b'{"press_id":"to')
    return FaultyDisk(base)


@pytest.mark.parametrize("aftermath", AFTERMATHS)
def test_dying_in_recovery_changes_nothing_of_what_is_recovered(tmp_path: Path, aftermath: int) -> None:
    faulty = broken(tmp_path / "counted")
    whole = Lives(faulty, tmp_path / "counted").live(Fault())
    assert set(whole.broker.sent) == {"kept", "voice", "latched"}
    assert len(faulty.operations) == OPERATIONS_OF_A_START
    for fault in deaths(faulty.operations):
        where = f"{fault.how} {fault.at}, then {aftermath}"
        base = tmp_path / f"{fault.how}-{fault.at}"
        lives = Lives(broken(base), base)
        first = lives.live(fault)
        assert lives.faulty.died, where
        lives.then(aftermath)
        second = lives.live(Fault())
        expected = {"kept", "voice"}
        if aftermath == KILLED or "persisted" in first.log.steps:
            expected.add("latched")
        assert expected <= set(second.broker.sent), where
        files = {each.name for each in (base / "state" / "outbox").glob("*.json")}
        assert "torn.json" not in files, where
        assert (base / "state" / "outbox" / "quarantine" / "torn.json").exists(), where
        assert files == {f"{each}.json" for each in second.broker.sent}, where


def test_one_death_after_another(tmp_path: Path) -> None:
    """Five lives that each die somewhere of something, seeded; then one that does not."""
    operations = counted(tmp_path / "counted")
    for seed in range(30):
        chance = random.Random(seed)
        base = tmp_path / str(seed)
        lives = Lives(fresh(base), base)
        waiting: set[str] = set()
        for _ in range(5):
            fault = Fault(chance.choice(["before", "after", "half"]), chance.randrange(1, len(operations)))
            aftermath = chance.choice([KILLED, KILLED, 0, 1, chance.randrange(2, 1000)])
            core = lives.live(fault, pressed_once(f"press-{seed}-{len(waiting)}"))
            steps = core.log.steps
            if "latched" in steps and (aftermath == KILLED or steps[steps.index("latched") :].count("persisted")):
                waiting.add(f"press-{seed}-{len(waiting)}")
            lives.then(aftermath)
            if aftermath != KILLED:  # what was latched alone in an earlier life may have gone with the power
                waiting = {each for each in waiting if (base / "state" / "outbox" / f"{each}.json").exists()}
        assert waiting <= set(lives.live(Fault()).broker.sent), f"seed {seed}"


def pressed_once(press_id: str) -> object:
    async def tell(core: CoreLife) -> None:
        await core.press(press_id)

    return tell


@pytest.mark.parametrize(
    ("code", "lasting"),
    [(errno.ENOSPC, False), (errno.EIO, False), (errno.EROFS, True)],
    ids=["full", "error", "read-only"],
)
def test_a_disk_that_refuses_at_each_operation_delays_no_alarm(tmp_path: Path, code: int, lasting: bool) -> None:
    counting = Lives(fresh(tmp_path / "counted"), tmp_path / "counted")
    counting.live(Fault(), pressed_once("first"))
    operations = counting.faulty.operations
    faults = [Fault("error", number, code, lasting) for number in range(1, len(operations) + 1)]
    writes = [number for number, operation in enumerate(operations, start=1) if operation.startswith("write")]
    for fault in [*faults, *(Fault("half-error", number, code) for number in writes)]:
        base = tmp_path / f"{fault.how}-{fault.at}"
        lives = Lives(fresh(base), base)
        core = lives.live(fault, pressed_once("first"))
        assert core.broker.sent == ["first"], f"{fault}"
        kept = "persisted" in core.log.steps
        assert kept or core.alarms.disk_failed, f"neither kept nor told: {fault}"
        latch = base / "run" / "latch" / "first.json"
        assert kept or latch.exists() or core.latch.refused, f"{fault}"
        if kept or latch.exists():
            assert lives.live(Fault()).broker.sent == ["first"], f"{fault}"


@pytest.mark.parametrize(
    "operation",
    ["mkdir outbox", "create temporary", "write temporary", "fsync temporary", "rename first.json", "fsyncdir outbox"],
)
def test_a_slow_disk_delays_no_alarm_and_the_latch_stays_until_it_is_kept(tmp_path: Path, operation: str) -> None:
    base = tmp_path / "d"
    faulty = fresh(base)

    async def run() -> None:
        core = CoreLife(base, "boot-1", DiskThread())
        try:
            await core.start()
            latched = Latched("first", "incident", core.clock.now_ns, 0, "unknown", "boot-1")
            core.latch.set(latched)
            faulty.plan(Fault("hold", on=operation))
            core.unit.apply(ev.Pressed("first", "incident", latched.mono_ns, 0, "unknown"))
            assert core.broker.sent == ["first"]
            assert await asyncio.to_thread(faulty.held.wait, 20.0)
            assert "persisted" not in core.log.steps
            assert (base / "run" / "latch" / "first.json").exists()
            faulty.release.set()
            await core.settled()
            assert "persisted" in core.log.steps
            assert not (base / "run" / "latch" / "first.json").exists()
        finally:
            faulty.release.set()
            await core.end()
            core.disk.close()

    with faulty.life():
        asyncio.run(run())


def test_a_disk_that_is_slow_at_the_start_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unitd.core.recover.WITHIN_S", 0.05)
    base = tmp_path / "d"
    faulty = broken(base)

    async def run() -> None:
        core = CoreLife(base, "boot-1", DiskThread())
        try:
            await core.start(settle=False)
            assert core.broker.sent == ["latched"]
            assert core.found.late is not None
            faulty.release.set()
            late, durable = await core.found.late
            _, presses = merged(core.unit.state, late, durable, core.clock.mono_ns())
            assert {press.press_id for press in presses} == {"kept", "voice"}
        finally:
            faulty.release.set()
            await core.end()
            core.disk.close()

    with faulty.life(Fault("hold", on="read kept.json")):
        asyncio.run(run())
