"""The process `field` and a simulated Pelco-D dome: presets, moves, and every way in which a move must end."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw_sim.devices.dome import PRESETS, SimDome
from tests.contract.field_process import Core, field, until


@pytest.fixture
def dome(tmp_path: Path) -> Iterator[SimDome]:
    made = SimDome(link=tmp_path / "dome")
    yield made
    made.close()


def _table(dome: SimDome, move_limit_s: float = 2.0) -> str:
    return f'[dome]\nport = "{dome.path}"\nmove_limit_s = {move_limit_s}\n'


async def _open(core: Core, dome: SimDome) -> None:
    await until(lambda: "dome.port" in core.health.facts and not core.codes(), what="port open")
    assert core.health.facts["dome.port"] == str(dome.path)


def test_a_preset_is_reached_and_told(tmp_path: Path, dome: SimDome) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(dome)) as core:
            await _open(core, dome)
            core.want(1, preset=2)
            await until(lambda: dome.pose() == PRESETS[2], what="looks to the left")
            await until(lambda: core.told("dome_at_preset") == 1, what="told")
            assert core.events[-1].data == {"preset": 2}
        assert dome.pose() == PRESETS[2], "the end of the process leaves a preset alone"
        assert dome.bad_frames == 0
        assert dome.ignored_frames == 0

    asyncio.run(go())


def test_a_move_turns_the_right_way_and_ends_by_the_limit(tmp_path: Path, dome: SimDome) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(dome, move_limit_s=0.5)) as core:
            await _open(core, dome)
            before = dome.pose().pan_deg
            core.want(1, pan=0.5, for_s=60)
            await until(lambda: dome.moving, what="turning")
            started = time.monotonic()
            await until(lambda: not dome.moving, within_s=3, what="stopped by the limit")
            assert time.monotonic() - started < 1.5
            assert dome.pose().pan_deg > before
            await until(lambda: core.told("dome_stopped") == 1, what="told")

    asyncio.run(go())


def test_a_stop_ends_a_move_at_once(tmp_path: Path, dome: SimDome) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(dome, move_limit_s=10.0)) as core:
            await _open(core, dome)
            core.want(1, pan=-0.2, for_s=60)
            await until(lambda: dome.moving, what="turning")
            core.want(2)
            await until(lambda: not dome.moving, within_s=2, what="stopped")

    asyncio.run(go())


def test_the_end_of_the_process_ends_a_move(tmp_path: Path, dome: SimDome) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(dome, move_limit_s=10.0)) as core:
            await _open(core, dome)
            core.want(1, pan=0.1, for_s=60)
            await until(lambda: dome.moving, what="turning")
            core.process.send_signal(signal.SIGTERM)
            assert await core.process.wait() == 0
            await until(lambda: not dome.moving, within_s=2, what="stopped")

    asyncio.run(go())


def test_the_loss_of_core_ends_a_move(tmp_path: Path, dome: SimDome) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(dome, move_limit_s=10.0)) as core:
            await _open(core, dome)
            core.want(1, pan=0.1, for_s=60)
            await until(lambda: dome.moving, what="turning")
            core.vanish()
            await until(lambda: not dome.moving, within_s=2, what="stopped")
            await core.come_back()
            await until(lambda: core.hellos == 2, what="connected again")
            assert not dome.moving, "the old goal does not move it again"

    asyncio.run(go())


def test_a_killed_process_leaves_a_move_to_its_successor_which_stops_it(tmp_path: Path, dome: SimDome) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(dome, move_limit_s=10.0)) as core:
            await _open(core, dome)
            core.want(1, pan=0.05, for_s=60)
            await until(lambda: dome.moving, what="turning")
            core.process.kill()
            await core.process.wait()
        assert dome.moving
        async with field(tmp_path, _table(dome)):
            await until(lambda: not dome.moving, what="stopped at the opening")

    asyncio.run(go())


def test_a_port_that_goes_away_is_a_fault_and_is_opened_again(tmp_path: Path, dome: SimDome) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(dome)) as core:
            await _open(core, dome)
            core.want(1, pan=0.05, for_s=60)
            await until(lambda: dome.moving, what="turning")
            dome.unplug()
            await until(lambda: core.codes() == {"dome_lost"}, what="fault")
            assert dome.moving, "a head whose cable is out goes on turning"
            dome.plug()
            await until(lambda: not core.codes(), what="open again")
            await until(lambda: not dome.moving, what="stopped first of all")
            core.want(2, preset=1)
            await until(lambda: dome.pose() == PRESETS[1], what="preset")

    asyncio.run(go())


def test_a_port_that_is_not_there_at_the_start(tmp_path: Path, dome: SimDome) -> None:
    async def go() -> None:
        dome.unplug()
        async with field(tmp_path, _table(dome)) as core:
            await until(lambda: core.codes() == {"dome_lost"}, what="fault")
            core.want(1, preset=1)
            dome.plug()
            await until(lambda: not core.codes(), what="found")
            await until(lambda: dome.pose() == PRESETS[1], what="the goal from before is met")

    asyncio.run(go())
