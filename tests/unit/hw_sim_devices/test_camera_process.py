"""The camera as a process of its own, driven over its control socket."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hw_sim.devices.camera import ControlClient
from hw_sim.devices.camera.control import ControlError
from hw_sim.devices.dome import PRESET_PANEL, PRESETS
from hw_sim.world.timecode import read_time_code


@asynccontextmanager
async def camera_process(socket: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hw_sim.devices.camera", "--control", str(socket), "--exit-with-parent",
        "--main", "640x360@20", "--sub", "320x180@10",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def picture_of(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_ok__pose_caller_lamps_faults_and_an_orderly_end(tmp_path: Path) -> None:
    async def scene() -> None:
        socket = tmp_path / "camera.sock"
        async with camera_process(socket) as (process, ready):
            assert ready["op"] == "ready"
            assert set(ready["urls"]) == {"main", "sub"}
            client = await ControlClient.connect(socket)
            wide = picture_of(await client.snapshot_jpeg(640, 360))
            assert read_time_code(wide) is not None
            await client.pose(PRESETS[PRESET_PANEL])
            await client.ask("caller", present=True)
            await client.ask("lamps", yellow=True)
            close = picture_of(await client.snapshot_jpeg(640, 360))
            assert np.abs(close[50:300].astype(int) - wide[50:300]).mean() > 20

            reader, _ = await asyncio.open_connection("127.0.0.1", ready["port"])
            await client.ask("fault", mode="off")
            assert await reader.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", ready["port"])
            assert (await client.ask("status"))["fault"] == "off"
            await client.ask("fault", mode=None)
            await asyncio.open_connection("127.0.0.1", ready["port"])
            await client.ask("restart", down_s=0.01)
            status = await client.ask("status")
            assert (status["port"], status["fault"], status["dropped"]) == (ready["port"], None, 0)

            # A request that was given up leaves the next ones their own answers.
            with pytest.raises(ControlError):
                await client.ask("restart", down_s=0.2, timeout_s=0.05)
            assert (await client.ask("status"))["port"] == ready["port"]
            assert (await client.ask("status"))["fault"] is None

            for op, fields in (("nonsense", {}), ("fault", {"mode": "x"}), ("pose", {}), ("pose", {"pan_deg": "a"})):
                with pytest.raises(ControlError):
                    await client.ask(op, **fields)
            await client.close()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert not socket.exists()

    asyncio.run(scene())


def test_fail__a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    async def scene() -> None:
        async with camera_process(tmp_path / "a.sock") as (_, ready):
            second = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hw_sim.devices.camera", "--port", str(ready["port"]),
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, said = await second.communicate()
            assert second.returncode == 2
            assert len(said.decode().strip().splitlines()) == 1
            assert str(ready["port"]) in said.decode()

    asyncio.run(scene())
