"""The clock's desk: what it tells, what it keeps, and what it does not do too often."""

import asyncio
import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from unitd.core.clock_desk import BURST, ClockDesk
from unitd.messages.control_room import ClockQuality, Stamp
from unitd.model.incident import Incident, Press, State
from unitd.store.clock_truth import CHAIN_NAME, read_truths
from unitd.store.last_seen import read_last_seen

T = TypeVar("T")
SECOND_NS = 1_000_000_000
TRUTH_US = 1_795_000_000_000_000
HOUR_US = 3_600_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns, self.offset_us = 100 * SECOND_NS, 0
        self.quality: ClockQuality = "unknown"

    def mono_ns(self) -> int:
        return self.now_ns

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        at_ns = self.now_ns if mono_ns is None else mono_ns
        return Stamp(utc_us=at_ns // 1000 + self.offset_us, clock=self.quality, mono_ns=at_ns)


class Disk:
    """Calls run in line, or are refused."""

    hung = False
    refuses = False

    async def run(self, call: Callable[[], T], timeout_s: float | None = None) -> T:
        if self.refuses:
            raise OSError(errno.EROFS, "read-only")
        return call()

    def close(self) -> None: ...


class Log:
    def info(self, event: str, **fields: Any) -> None: ...

    warning = error = info


class Rig:
    """A desk, with a second that passes by a call."""

    def __init__(self, base: Path, session: int = 1, right: bool = False) -> None:
        self.base, self.clock, self.disk = base, Clock(), Disk()
        if right:
            self.clock.offset_us, self.clock.quality = TRUTH_US, "synced"
        self.told: list[tuple[str, str | None, Mapping[str, Any]]] = []
        self.bounds: list[int] = []
        self.desk = ClockDesk(
            base, 7, "boot", session, self.clock, self.disk, Log(), self._tell, self.bounds.append,  # type: ignore[arg-type]
        )  # fmt: skip
        self.desk.look()

    def _tell(self, name: str, *, incident_id: str | None = None, data: Mapping[str, Any]) -> None:
        self.told.append((name, incident_id, data))

    def seconds(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.now_ns += SECOND_NS
            self.desk.look()

    def step(self, offset_us: int, quality: ClockQuality = "synced") -> None:
        self.clock.offset_us, self.clock.quality = offset_us, quality
        self.seconds(3)

    def names(self) -> list[str]:
        return [name for name, _, _ in self.told]

    async def kept(self) -> None:
        """Let the keeper write what it can now."""
        keeper = asyncio.create_task(self.desk.keep())
        for _ in range(20):
            await asyncio.sleep(0)
        keeper.cancel()


def incident(utc_us: int, clock: str, boot: int = 7, press_boot: int = 7) -> Incident:
    press = Press("press", 101 * SECOND_NS, utc_us, clock, boot=press_boot)
    return Incident(
        incident_id="incident", kind="panic", stage="raised", raised_mono_ns=press.mono_ns, raised_utc_us=utc_us,
        clock=clock, stage_mono_ns=0, last_press_mono_ns=0, since_mono_ns=0, presses=(press,), boot=boot,
    )  # fmt: skip


IN_1970 = incident(101_000_000, "unknown")
TRUE_US = 101_000_000 + TRUTH_US


def test_a_press_of_1970_is_corrected_once_and_again_when_the_word_changes(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.desk.note(State(incidents=(IN_1970,), boot=7))
    rig.seconds(5)
    assert rig.told == []
    assert rig.desk.corrected(IN_1970.presses[0], IN_1970) is None
    rig.step(TRUTH_US)
    assert rig.names() == ["stamp_corrected", "clock_corrected"]
    assert rig.told[0] == (
        "stamp_corrected",
        "incident",
        {"press": "press", "utc_us": TRUE_US, "mono_ns": 101 * SECOND_NS, "boot": 7},
    )
    corrected = rig.desk.corrected(IN_1970.presses[0], IN_1970)
    assert corrected == Stamp(utc_us=TRUE_US, clock="held", mono_ns=101 * SECOND_NS)
    rig.seconds(60)
    assert len(rig.told) == 2
    rig.desk.note(State(incidents=(), boot=7))  # closed and gone
    rig.step(TRUTH_US - HOUR_US)
    assert rig.told[2][2]["utc_us"] == TRUE_US - HOUR_US


def test_a_right_stamp_is_left_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.step(TRUTH_US)
    right = incident(TRUE_US, "synced")
    rig.desk.note(State(incidents=(right,), boot=7))
    rig.seconds(3)
    assert rig.names() == ["clock_corrected"]
    assert rig.desk.corrected(right.presses[0], right) is None


def test_a_press_of_another_boot_is_not_judged_by_this_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    old = incident(101_000_000, "unknown", boot=6, press_boot=6)
    joined = incident(101_000_000, "unknown", boot=6, press_boot=7)
    rig.desk.note(State(incidents=(old,), boot=7))
    rig.step(TRUTH_US)
    assert "stamp_corrected" not in rig.names()
    assert rig.desk.corrected(old.presses[0], old) is None
    assert rig.desk.corrected(joined.presses[0], joined) is not None


def test_the_record_outlives_core_and_is_not_repeated(tmp_path: Path) -> None:
    async def run() -> None:
        first = Rig(tmp_path)
        first.step(TRUTH_US)
        await first.kept()
        assert read_truths(tmp_path) == {7: TRUTH_US}
        assert read_last_seen(tmp_path) == (first.clock.now_ns // 1000 + TRUTH_US) // 1_000_000

        second = Rig(tmp_path, session=2)
        second.step(TRUTH_US)
        await second.kept()
        assert second.desk.corrected(IN_1970.presses[0], IN_1970) is not None
        assert second.bounds == [read_last_seen(tmp_path)]

        lines = (tmp_path / CHAIN_NAME).read_bytes()
        third = Rig(tmp_path, session=3, right=True)
        third.seconds(5)  # the disk is slow, the clock is right from the first look on
        await third.kept()
        assert third.names() == []
        assert (tmp_path / CHAIN_NAME).read_bytes() == lines

        fourth = Rig(tmp_path, session=4)  # a clock that is unknown again, in the same boot
        await fourth.kept()
        assert fourth.desk.corrected(IN_1970.presses[0], IN_1970) is not None

    asyncio.run(run())


def test_a_disk_that_refuses_keeps_nobody_from_being_told(tmp_path: Path) -> None:
    async def run() -> None:
        rig = Rig(tmp_path)
        rig.disk.refuses = True
        rig.step(TRUTH_US)
        await rig.kept()
        assert rig.names() == ["clock_corrected"]
        await rig.desk.close()
        rig.disk.refuses = False
        await rig.kept()
        assert read_truths(tmp_path) == {7: TRUTH_US}

    asyncio.run(run())


def test_services_that_fight_over_the_clock_fill_neither_disk_nor_link(tmp_path: Path) -> None:
    async def run() -> None:
        rig = Rig(tmp_path)
        for number in range(200):
            rig.step(TRUTH_US + number % 2 * HOUR_US)
            await rig.kept()
        assert BURST - 1 <= rig.names().count("clock_corrected") <= BURST + 8
        assert (tmp_path / CHAIN_NAME).stat().st_size < 10_000
        rig.seconds(3700)
        assert rig.told[-1][2]["true_offset_us"] == TRUTH_US + HOUR_US, "an hour later the last word is told"

    asyncio.run(run())


def test_the_time_of_a_clock_that_was_not_found_right_is_not_kept(tmp_path: Path) -> None:
    async def run() -> None:
        rig = Rig(tmp_path)
        rig.step(TRUTH_US)
        await rig.kept()
        kept = read_last_seen(tmp_path)
        rig.clock.offset_us += 365 * 24 * HOUR_US  # the flag says synced, nobody has looked yet
        await rig.desk.close()
        assert read_last_seen(tmp_path) == kept
        rig.seconds(3)
        await rig.desk.close()
        assert read_last_seen(tmp_path) > kept + 364 * 86_400

    asyncio.run(run())
