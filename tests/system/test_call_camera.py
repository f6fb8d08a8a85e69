"""The picture when `record` is gone: our own session to a real RTSP camera, and back again."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hw_sim.operator.peer import OperatorPeer
from tests.system.call_rig import rig, until

pytestmark = pytest.mark.system


@asynccontextmanager
async def camera(*arguments: str) -> AsyncIterator[dict[str, str]]:
    """A simulated camera as a process; its URLs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hw_sim.devices.camera", "--main", "640x360@20", "--sub", "320x180@10:150000",
        "--exit-with-parent", *arguments, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        # The camera names its user in the address; a unit's configuration may not.
        yield {f"{name}_url": re.sub("//[^/@]*@", "//", ready["urls"][name]) for name in ("main", "sub")}
    finally:
        process.terminate()
        await process.wait()


def test_without_record_the_picture_comes_from_the_camera_itself_until_record_is_back(tmp_path: Path) -> None:
    async def play() -> None:
        async with camera() as urls, rig(tmp_path, record=False) as made:
            made.camera_urls = urls
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: peer.frames > 20, 20, "picture from the camera")
            assert peer.picture_size == (640, 360)
            await until(lambda: "camera dome main" in str(made.core.health.facts.get("link")), 5, "it is said so")
            await made.record.start()
            await until(lambda: "record dome main" in str(made.core.health.facts.get("link")), 10, "record is back")
            frames = peer.frames
            await until(lambda: peer.frames > frames + 20, 5, "the picture goes on")
            await made.record.stop()
            await until(lambda: "camera dome main" in str(made.core.health.facts.get("link")), 10, "record is gone")
            frames = peer.frames
            await until(lambda: peer.frames > frames + 20, 5, "the picture goes on")
            await peer.close()
            made.core.want(None)
            await until(lambda: made.core.health.facts.get("link") is None, 5, "the call is over")
            assert await made.stop_call() == 0

    asyncio.run(play())


def test_a_camera_that_asks_for_a_password_gets_it_and_main_failing_leaves_sub(tmp_path: Path) -> None:
    async def play() -> None:
        secret = tmp_path / "password"
        secret.write_text("correct-horse\n")
        async with (
            camera("--user", "unit", "--password-file", str(secret)) as urls,
            rig(tmp_path, record=False) as made,
        ):
            made.camera_urls = {
                "main_url": urls["main_url"].replace("/main", "/no-such-stream"),
                "sub_url": urls["sub_url"],
                "username": "unit",
                "password_file": str(secret),
            }
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: peer.frames > 10, 20, "picture of the sub stream")
            assert peer.picture_size == (320, 180)
            await peer.close()

    asyncio.run(play())
