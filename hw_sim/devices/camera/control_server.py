"""The camera process's end of its control socket; the requests are in `control`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hw_sim.devices.camera.faults import FAULTS
from hw_sim.devices.camera.quirks import DISTURBANCES
from hw_sim.devices.camera.server import CameraServer
from hw_sim.world.pose import HOME, Pose
from hw_sim.world.street import Street

_SNAPSHOT = (("width", 960), ("height", 540))


class HeldPose:
    """The dome's pose as last told; one reference, so threads may read it at any time."""

    def __init__(self, pose: Pose = HOME) -> None:
        self.pose = pose

    def __call__(self) -> Pose:
        """The pose."""
        return self.pose


class ControlServer:
    """Obeys requests on a unix socket; a bad one gets an answer that says why, and changes nothing."""

    def __init__(self, camera: CameraServer, street: Street, pose: HeldPose, profile_names: tuple[str, ...]) -> None:
        self._camera, self._street, self._pose, self._profiles = camera, street, pose, profile_names
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen; takes the place of a socket left behind."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path, limit=65_536)

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("not an object")
            return {"ok": True, **await self._obey(request)}
        except (ValueError, KeyError, TypeError, OSError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    async def _obey(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request.get("op"):
            case "pose":
                values = [float(request[name]) for name in ("pan_deg", "tilt_deg", "zoom")]
                if not all(math.isfinite(value) for value in values):
                    raise ValueError("pose is not finite")
                self._pose.pose = Pose(*values)
            case "fault":
                mode = request["mode"]
                if mode is not None and mode not in FAULTS:
                    raise ValueError(f"mode {mode!r} is not one of {', '.join(FAULTS)} or null")
                await self._camera.set_fault(mode)
            case "disturb":
                what = request["what"]
                if what not in DISTURBANCES:
                    raise ValueError(f"what {what!r} is not one of {', '.join(DISTURBANCES)}")
                self._camera.disturb(what)
            case "sent":
                return {"sent": self._camera.sent(request.get("profile", "main"))}
            case "restart":
                await self._camera.restart(min(60.0, max(0.0, float(request.get("down_s", 1.0)))))
            case "caller":
                self._street.set_caller(bool(request["present"]))
            case "lamps":
                names = ("yellow", "green", "locator")
                self._street.set_lamps(**{name: bool(request[name]) for name in names if name in request})
            case "snapshot":
                size = [max(16, min(1920, int(request.get(name, normal)))) for name, normal in _SNAPSHOT]
                return {"jpeg_base64": base64.b64encode(await self._camera.snapshot_jpeg(*size)).decode()}
            case "status":
                return {**self._camera.status(), **self.where()}
            case other:
                raise ValueError(f"unknown op {other!r}")
        return {}

    def where(self) -> dict[str, Any]:
        """The port and the URL of each profile."""
        return {"port": self._camera.port, "urls": {name: self._camera.url(name) for name in self._profiles}}
