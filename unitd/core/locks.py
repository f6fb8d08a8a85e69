"""Evidence locks: core alone writes them, as files that `record` respects whether or not anything else runs."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from unitd.core.machine import DiskWorker
from unitd.model.incident import Lock
from unitd.model.outputs import Outputs
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import Wake
from unitd.store import disk

AGAIN_S = 5.0


class LockDesk:
    """Brings `state_dir/locks/` to the level of the outputs; what the disk refuses is tried again for ever, and hides
    no other lock. `failed`: something was refused in the last pass."""

    def __init__(
        self,
        directory: Path,
        disk_thread: DiskWorker,
        log: Logger,
        on_complete: Callable[[str], None],
        on_written: Callable[[Lock], None] = lambda _lock: None,
    ) -> None:
        """`on_written` hears of each lock that is on the disk now, `on_complete` of those that will not change."""
        self._on_written = on_written
        self._on_complete = on_complete
        self._directory = directory
        self._disk = disk_thread
        self._log = log
        self._wanted: dict[str, Lock] = {}
        self._written: dict[str, Lock] = {}
        self._wake = Wake()
        self.failed = False

    def reconcile(self, levels: Outputs) -> None:
        """Take the wanted locks; a lock that is no longer in the outputs stays on disk.

        One that ended in a boot whose number is not known yet (a late disk) is kept open until it is."""
        wanted = {lock.incident_id: _open_until_numbered(lock) for lock in levels.locks}
        if wanted != self._wanted:
            self._wanted = wanted
            self._wake.set()

    async def run(self) -> None:
        """Write what differs, until cancelled."""
        while True:
            self._wake.clear()
            refused = False
            for lock in [each for key, each in self._wanted.items() if self._written.get(key) != each]:
                data = msgspec.json.encode(lock)
                path = self._directory / f"{lock.incident_id}.json"
                try:
                    await self._disk.run(lambda path=path, data=data: self._write(path, data))  # type: ignore[misc]
                    self._written[lock.incident_id] = lock
                    self._on_written(lock)
                    if lock.to_mono_ns is not None:
                        self._on_complete(lock.incident_id)
                except OSError as error:
                    if not self.failed:
                        self._log.error("evidence lock not written", incident=lock.incident_id, error=str(error))
                    self.failed = refused = True
                    if self._disk.hung:  # the next one would only cost another thread
                        break
            self.failed = refused
            self._written = {key: lock for key, lock in self._written.items() if key in self._wanted}
            await self._wake.within(AGAIN_S if self.failed else None)

    def _write(self, path: Path, data: bytes) -> None:
        disk.make_dirs(self._directory)
        disk.atomic_write(path, data, mode=0o644)


def _open_until_numbered(lock: Lock) -> Lock:
    """Footage has a number from 1: a lock that ends in boot 0 would cover none, an open one covers all."""
    return msgspec.structs.replace(lock, to_boot=None, to_mono_ns=None) if lock.to_boot == 0 else lock
