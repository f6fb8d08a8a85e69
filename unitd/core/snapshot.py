"""Core's state outside core, so that a successor is in the same incident.

To tmpfs at each step, to disk at each transition.
"""

import asyncio
import contextlib
import os
from pathlib import Path

import msgspec

from unitd.core.machine import DiskWorker
from unitd.errors import UNREADABLE
from unitd.model.incident import State
from unitd.runtime.logs import Logger
from unitd.store import disk

AGAIN_S = 5.0


class Snapshot:
    """Two files of the same form. tmpfs is written on the loop (tens of microseconds), the disk on the disk thread."""

    def __init__(self, run_dir: Path, state_dir: Path, disk_thread: DiskWorker, log: Logger) -> None:
        self._volatile = run_dir / "core-state.json"
        self._temporary = self._volatile.with_suffix(".tmp")
        self._durable = state_dir / "core" / "state.json"
        self._disk = disk_thread
        self._log = log
        self.disk_failed = False
        self._latest: State | None = None
        self._writing = False
        self._refused: State | None = None
        self._owes = asyncio.Event()
        self._found = False
        self._before: State | None = None

    async def run(self) -> None:
        """Offer the state again to a disk that refused it, for ever."""
        while True:
            await self._owes.wait()
            await asyncio.sleep(AGAIN_S)
            self._owes.clear()
            # one that is being written now is newer, and is owed again if it is refused too
            if self.disk_failed and not self._writing and self._refused is not None:
                await self.save_durable(self._refused)

    def load_volatile(self) -> State | None:
        """What a predecessor of this boot left, or None. Does not touch the disk."""
        return self._decode(self._volatile)

    def load_durable(self) -> State | None:
        """What a predecessor left on the disk, or None, also once ours lies over it; blocks on the disk."""
        if not self._found:
            with contextlib.suppress(OSError):
                disk.make_dirs(self._durable.parent)
            self._before, self._found = self._decode(self._durable), True
        return self._before

    def save_volatile(self, state: State) -> None:
        """Replace the tmpfs copy. What cannot be replaced is removed: a successor would believe it before the disk's
        copy, which has each transition."""
        try:
            self._temporary.write_bytes(msgspec.json.encode(state))
            os.replace(self._temporary, self._volatile)  # noqa: PTH105 - Path's own parses the name again each time
        except OSError:
            for stale in (self._volatile, self._temporary):
                with contextlib.suppress(OSError):
                    stale.unlink()

    async def save_durable(self, state: State) -> None:
        """Bring the disk to the latest state; calls that overlap are merged. Never raises: `disk_failed` says it."""
        self._latest = state
        if self._writing:
            return
        self._writing = True
        try:
            while self._latest is not None:
                taken, self._latest = self._latest, None
                data = msgspec.json.encode(taken)
                try:
                    await self._disk.run(lambda data=data: self._write(data))  # type: ignore[misc]
                    self.disk_failed = False
                except OSError as error:
                    if not self.disk_failed:
                        self._log.error("state not saved to disk", error=str(error))
                    self.disk_failed = True
                    self._refused = taken
                    self._owes.set()
        finally:
            self._writing = False

    def _write(self, data: bytes) -> None:
        self.load_durable()  # a disk that was late has not been read yet: not to be lost under ours
        disk.make_dirs(self._durable.parent)
        disk.atomic_write(self._durable, data)

    def _decode(self, file: Path) -> State | None:
        try:
            return msgspec.json.decode(file.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except (OSError, *UNREADABLE) as error:  # incidents that were received may be forgotten with it
            self._log.error("state cannot be read, going on without it", file=str(file), error=str(error))
            return None
