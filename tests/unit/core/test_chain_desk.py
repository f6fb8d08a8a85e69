"""Core's chain: batches, refusals, floods, and what a core that starts again does not write twice."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tests.unit.core.desks import Clock, Disk, Log, turns
from unitd.core import chain_desk
from unitd.core.chain_desk import BATCH, QUEUED, ChainDesk, once_of
from unitd.store.chain import Chain
from unitd.store.chain_read import find_break, read_lines


class Rig:
    def __init__(self, base: Path) -> None:
        self.path = base / "core.chain"
        self.clock, self.disk, self.boot, self.counter = Clock(), Disk(), 3, 0
        self.desk = self.started()

    def started(self) -> ChainDesk:
        log: Any = Log()
        return ChainDesk(Chain(self.path), lambda: self.boot, self.clock, self.disk, log, self.read)

    def read(self) -> int:
        if not self.counter:
            raise OSError("counter not kept")
        return self.counter

    def lines(self) -> list[dict[str, Any]]:
        assert find_break(self.path) is None
        return [line.record for line in read_lines(self.path)]

    def kinds(self) -> list[str]:
        return [line["kind"] for line in self.lines()]


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_what_is_queued_goes_as_one_write(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.desk.add("session", boot_id="b", session=1)
        rig.clock.now_ns += 5
        rig.desk.add("incident", incident_id="i", stage="raised")
        head = await rig.desk.flush()
        assert (head.n, rig.disk.calls) == (2, 2)
        assert await rig.desk.flush() == head

    run(story)
    first, second = rig.lines()
    assert second["mono_ns"] - first["mono_ns"] == 5 and first["boot"] == 3


def test_a_disk_that_refuses_is_tried_again_and_costs_no_line(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(chain_desk, "SETTLE_S", 0.0)
    mocker.patch.object(chain_desk, "AGAIN_S", 0.0)
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.disk.refuses = True
        rig.desk.add("session")
        work = asyncio.create_task(rig.desk.run())
        await turns(lambda: rig.desk.failed)
        rig.desk.add("incident")
        rig.disk.refuses = False
        await turns(lambda: not rig.desk.failed and rig.desk.at.n == 2)
        work.cancel()

    run(story)
    assert rig.kinds() == ["session", "incident"]


@pytest.mark.parametrize("healed", ["boot", "counter"])
def test_nothing_is_written_before_the_boot_has_its_number(tmp_path: Path, healed: str) -> None:
    """The state gets it when a late disk is read; a disk that refused at the start is asked again."""
    rig = Rig(tmp_path)
    rig.boot = 0

    async def story() -> None:
        rig.desk.add("session")
        with pytest.raises(OSError, match="counter not kept"):
            await rig.desk.flush()
        setattr(rig, healed, 8)
        await rig.desk.flush()
        assert rig.desk.boot == 8

    run(story)
    assert [line["boot"] for line in rig.lines()] == [8]


def test_a_hung_disk_is_not_asked(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.disk.hung = True

    async def story() -> None:
        rig.desk.add("session")
        with pytest.raises(OSError, match="does not answer"):
            await rig.desk.flush()

    run(story)
    assert rig.disk.calls == 0


def test_what_finds_no_room_is_counted_on_the_record(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        for _ in range(QUEUED + 7):
            rig.desk.add("command")
        await rig.desk.flush()
        rig.desk.count_lost()
        await rig.desk.flush()

    run(story)
    assert len(rig.lines()) == QUEUED + 2 and len(rig.lines()) > BATCH
    assert [line["count"] for line in rig.lines() if line["kind"] == "lost"] == [7, 1]


@pytest.mark.parametrize("restart", [False, True])
def test_a_line_that_counts_once_is_written_once(tmp_path: Path, restart: bool) -> None:
    rig = Rig(tmp_path)
    fields: dict[str, Any] = {"incident_id": "i", "stage": "raised"}

    async def story() -> None:
        for _ in range(2):
            rig.desk.add("incident", once=once_of("incident", fields), **fields)
            await rig.desk.flush()
            if restart:
                rig.desk = rig.started()
        await rig.desk.append("incident", once=once_of("incident", fields), **fields)
        other = fields | {"stage": "sent"}
        rig.desk.add("incident", once=once_of("incident", other), **other)
        await rig.desk.flush()

    run(story)
    assert [line["stage"] for line in rig.lines()] == ["raised", "sent"]


def test_an_append_comes_after_what_was_queued(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.desk.add("command")
        head = await rig.desk.append("export")
        assert head.n == 2
        rig.disk.refuses = True
        with pytest.raises(OSError, match="read-only"):
            await rig.desk.append("export")
        await rig.desk.close()

    run(story)
    assert rig.kinds() == ["command", "export"]


@pytest.mark.parametrize("fields", [{}, {"incident_id": ["x"], "stage": {}}, {"incident_id": 5, "stage": None}])
def test_damage_in_the_chains_end_stops_no_start(fields: dict[str, Any]) -> None:
    once = once_of("incident", fields)
    assert hash(once) == hash(once)
    assert once_of(["lock"], fields) is None
