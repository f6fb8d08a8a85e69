"""The simulated camera in a process of its own, so that its encoder does not hold up the bench."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from hw_sim.devices.camera import ControlClient, VideoProfile
from hw_sim.devices.camera.control import ControlError
from hw_sim.processes import bound_to_us
from hw_sim.world.pose import Pose

START_TIMEOUT_S = 20.0
PANEL_PROFILES = (VideoProfile("main", 480, 270, 10, 250_000), VideoProfile("sub", 320, 180, 10, 100_000))
AT_THE_PANEL = Pose(3.2, -17.0, 2.4)
"""The small camera at the panel looks at whoever stands there. It never moves."""


class CameraProcess:
    """One camera. After `start`, `urls` has the RTSP address of `main` and `sub`; they hold over faults."""

    def __init__(
        self, directory: Path, log_directory: Path, profiles: tuple[VideoProfile, ...], seed: int, name: str = "dome"
    ) -> None:
        self.urls: dict[str, str] = {}
        self.fault: str | None = None
        # Not the bare name: a camera called `panel` would sit on the daemon's own `panel.sock`.
        self._control_path = directory / f"camera-{name}.sock"
        self._log_file = log_directory / f"camera-{name}.log"
        self._profiles, self._seed, self._name = profiles, seed, name
        self._process: asyncio.subprocess.Process | None = None
        self._client: ControlClient | None = None

    async def start(self) -> None:
        """Raises RuntimeError when it does not come up in START_TIMEOUT_S."""
        command = [sys.executable, "-m", "hw_sim.devices.camera", "--control", str(self._control_path)]
        command += ["--seed", str(self._seed), "--name", self._name, "--exit-with-parent"]
        for each in self._profiles:
            command += [f"--{each.name}", f"{each.width}x{each.height}@{each.frame_rate}:{each.bit_rate}"]
        with self._log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *bound_to_us(command),
                process_group=0,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START_TIMEOUT_S)
            ready = json.loads(line)
        except (TimeoutError, ValueError) as error:
            said = self._log_file.read_text(errors="replace")[-400:]
            raise RuntimeError(f"the simulated camera does not start: {said or error}") from error
        self.urls = dict(ready["urls"])
        self._client = await ControlClient.connect(self._control_path)

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 5.0)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def set_fault(self, fault: str | None) -> None:
        """`off`, `frozen`, `hung`, or None for a camera in order."""
        await self._ask("fault", mode=fault)
        self.fault = fault

    async def look(self, pose: Pose) -> None:
        await self._ask("pose", pan_deg=pose.pan_deg, tilt_deg=pose.tilt_deg, zoom=pose.zoom)

    async def show_lamp(self, name: str, lit: bool) -> None:
        await self._ask("lamps", **{name: lit})

    async def show_caller(self, present: bool) -> None:
        await self._ask("caller", present=present)

    async def snapshot_jpeg(self, width: int) -> bytes:
        """What the dome sees now, also while the camera is off for the daemon. Raises RuntimeError."""
        if self._client is None:
            raise RuntimeError("there is no camera")
        return await self._client.snapshot_jpeg(width, width * 9 // 16)

    async def sent(self, profile: str) -> list[int]:
        """When each picture that was sent whole was taken (90 kHz). Raises ControlError, RuntimeError."""
        if self._client is None:
            raise RuntimeError("there is no camera")
        answer = await self._client.ask("sent", profile=profile)
        return [int(at) for at, _keyframe in answer["sent"]]

    async def _ask(self, op: str, **fields: Any) -> None:
        if self._client is not None:
            with contextlib.suppress(ControlError):
                await self._client.ask(op, **fields)
