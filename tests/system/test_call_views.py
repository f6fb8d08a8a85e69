"""Several cameras in one call: switched without a new session, one in the corner, and one that stands in for a dead
one."""

import asyncio
from pathlib import Path

import pytest

from hw_sim.operator.peer import OperatorPeer
from tests.system.call_rig import Rig, rig, until

pytestmark = pytest.mark.system

DOME, PANEL = (640, 360), (480, 272)


async def connected(made: Rig) -> OperatorPeer:
    peer = OperatorPeer(made.relay.peer_url)
    await peer.start()
    await made.start_call()
    made.core.want(made.call())
    await until(lambda: peer.frames > 10, 20, "picture")
    assert peer.picture_size == DOME
    return peer


def test_the_console_switches_cameras_without_a_new_session_and_has_one_in_the_corner(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path, cameras=("dome", "panel")) as made:
            peer = await connected(made)
            await peer.look("panel")
            await until(lambda: peer.picture_size == PANEL, 6, "the panel's camera")
            await peer.look("no-such-camera")
            await peer.look("dome", "panel")
            await until(lambda: peer.picture_size == DOME, 6, "the dome again")
            await until(lambda: peer.corner_frames > 10, 15, "the panel in the corner")
            assert peer.corner_size == (240, 136)
            await until(lambda: peer.link.get("pip") == "panel", 6, "the console is told so")
            await peer.look("dome")
            await until(lambda: peer.link.get("pip") is None, 6, "the corner is empty")
            seen = peer.corner_frames
            frames = peer.frames
            await until(lambda: peer.frames > frames + 20, 5, "the picture goes on")
            assert peer.corner_frames <= seen + 5
            assert peer.offers == 1
            await peer.close()
            made.core.want(None)
            assert await made.stop_call() == 0

    asyncio.run(play())


def test_another_camera_stands_in_for_a_dead_one_until_it_is_back(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path, cameras=("dome", "panel")) as made:
            peer = await connected(made)
            made.record.kill("dome")
            await until(lambda: peer.picture_size == PANEL, 15, "the panel stands in")
            await until(lambda: peer.link.get("camera") == "panel", 6, "the console is told so")
            assert "dome gives no picture, panel stands in" in peer.link["words"]
            made.record.dead.clear()
            await until(lambda: peer.picture_size == DOME, 20, "the dome is back")
            await until(lambda: peer.link.get("camera") == "dome", 6, "the console is told so")
            assert peer.offers == 1
            await peer.close()

    asyncio.run(play())
