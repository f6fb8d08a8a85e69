"""The panel's display and keys, as a kiosk on the pole would have them: a client of `unitd call`'s `panel.sock`.

JSON lines (docs/design/seams.md, "The panel"). It carries them, and adds to what is to be shown the stage in `words`.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hw_sim.pole.display_words import stage_words

SOCKET_NAME = "panel.sock"
AGAIN_AFTER_S = 0.5
MAX_LINE_BYTES = 256 * 1024
MAX_WAITING_BYTES = 64 * 1024
"""Of what is typed, towards a daemon that does not read: past this letters are lost, as on a dead display."""


class PanelLine:
    """`start`, then `shown` holds the last whole message of the daemon, or None while there is no daemon. One loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.shown: dict[str, Any] | None = None
        self.connected = False
        self.dropped = 0
        self.on_change: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="panel line")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def send(self, message: dict[str, Any]) -> bool:
        """Hand a message to the daemon; False when it is not there or does not read. Never blocks."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            self.dropped += 1
            return False
        writer.write(json.dumps(message).encode() + b"\n")
        return True

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
                self._writer, self.connected = writer, True
                try:
                    while line := await reader.readline():
                        self._take(line)
                finally:
                    self._writer, self.connected, self.shown = None, False, None
                    writer.close()
                    self.on_change()
            await asyncio.sleep(AGAIN_AFTER_S)

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        if isinstance(message, dict) and message.get("type") == "show":
            self.shown = message | {"words": stage_words(str(message.get("stage")), str(message.get("language")))}
            self.on_change()
