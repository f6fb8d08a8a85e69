"""How the bench reaches a camera in a process of its own: JSON lines over a unix socket.

Each request line is an object with `op`; each gets one line back in order, `{"ok": true, ...}` or
`{"ok": false, "error": "..."}`:

- `{"op":"pose","pan_deg":..,"tilt_deg":..,"zoom":..}` where the dome looks from now on
- `{"op":"fault","mode":"off"|"frozen"|"hung"|null}` begin or end a fault
- `{"op":"disturb","what":"jump"|"back"|"still"|"source"|"lose"|"half"|"bye"|"parameters"|"calm"}` see quirks.py
- `{"op":"sent","profile":"main"}` -> `sent`: of each picture sent whole, when it was taken (90 kHz), whether a keyframe
- `{"op":"restart","down_s":..}` off and on again (answers when it is on)
- `{"op":"caller","present":true}` somebody at the panel
- `{"op":"lamps","yellow":..,"green":..,"locator":..}` what the panel's lamps show (any of them)
- `{"op":"snapshot","width":..,"height":..}` -> `jpeg_base64`
- `{"op":"status"}` -> `fault`, `connections`, `clients`, `frames`, `dropped`, `profiles`, `port`, `urls`
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from pathlib import Path
from typing import Any

from hw_sim.world.pose import Pose

_LIMIT_BYTES = 4 * 1024 * 1024


class ControlError(RuntimeError):
    """The camera process refused a request, or is gone."""


class ControlClient:
    """The bench's end. One request at a time; requests from several tasks wait for each other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()
        self._unread = 0
        """Answers still to come to requests that were given up."""

    @classmethod
    async def connect(cls, path: Path) -> ControlClient:
        """Connect; OSError when nobody listens."""
        return cls(*await asyncio.open_unix_connection(path, limit=_LIMIT_BYTES))

    async def ask(self, op: str, *, timeout_s: float = 10.0, **fields: object) -> dict[str, Any]:
        """Send one request and return its answer; `ControlError` when refused or the process is gone."""
        line = json.dumps({"op": op, **fields}).encode() + b"\n"
        try:
            async with self._turn, asyncio.timeout(timeout_s):
                while self._unread:
                    await self._reader.readline()
                    self._unread -= 1
                self._writer.write(line)
                self._unread += 1
                await self._writer.drain()
                answer = await self._reader.readline()
                self._unread -= 1
        except (OSError, TimeoutError, ValueError) as error:
            raise ControlError(f"{op}: {type(error).__name__}: {error}") from error
        if not answer:
            raise ControlError(f"{op}: the camera process is gone")
        result: dict[str, Any] = json.loads(answer)
        if not result.pop("ok", False):
            raise ControlError(f"{op}: {result.get('error')}")
        return result

    async def pose(self, pose: Pose) -> None:
        """Tell where the dome looks."""
        await self.ask("pose", pan_deg=pose.pan_deg, tilt_deg=pose.tilt_deg, zoom=pose.zoom)

    async def snapshot_jpeg(self, width: int = 960, height: int = 540) -> bytes:
        """What the dome sees."""
        answer = await self.ask("snapshot", width=width, height=height)
        return base64.b64decode(answer["jpeg_base64"])

    async def close(self) -> None:
        """Leave; the camera goes on."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
