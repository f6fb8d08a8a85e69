"""Releases of locks: on the record first, then the lock goes to `locks/released/`, and the state is told.

The wish for it is part of the state and outlives core; whoever dies on the way does it again, and the line once.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from unitd.core.chain_desk import ChainDesk, once_of
from unitd.core.machine import DiskWorker
from unitd.model.incident import Release
from unitd.model.outputs import Outputs
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import Wake
from unitd.store import disk

AGAIN_S = 5.0
RELEASED = "released"


class ReleaseDesk:
    """Lives on the loop. `known` are the incidents whose locks are on the disk, None while nobody has read them."""

    def __init__(
        self, directory: Path, chain: ChainDesk, disk_thread: DiskWorker, log: Logger, gone: Callable[[Release], None]
    ) -> None:
        self._directory = directory
        self._chain = chain
        self._disk = disk_thread
        self._log = log
        self._gone = gone
        self._wanted: tuple[Release, ...] = ()
        self._locked: frozenset[str] = frozenset()
        self._wake = Wake()
        self.known: set[str] | None = None
        self.failed = False

    def reconcile(self, levels: Outputs) -> None:
        """Take the wanted releases; a lock that is still to be written is not released before."""
        locked = frozenset(lock.incident_id for lock in levels.locks)
        if levels.releases != self._wanted or locked != self._locked:
            self._wanted, self._locked = levels.releases, locked
            if levels.releases:
                self._wake.set()

    def written(self, incident_id: str) -> None:
        """A lock is on the disk."""
        if self.known is not None:
            self.known.add(incident_id)

    def objection(self, incident_id: str) -> str | None:
        """Why an incident's lock cannot be released; None when there is one on the disk."""
        if self.known is None:
            return "the locks on the disk could not be read yet"
        if incident_id not in self.known:
            return "no footage is kept for such an incident"
        return None

    async def run(self) -> None:
        """Carry out what is wanted, until cancelled; what the disk refuses is tried again for ever."""
        while True:
            self._wake.clear()
            failed = False
            try:
                if self.known is None and not self._disk.hung:
                    self.known = await self._disk.run(self._names)
            except OSError as error:
                failed = True
                self._refused(error)
            for each in [each for each in self._wanted if each.incident_id not in self._locked]:
                try:
                    await self._carry_out(each)
                except OSError as error:  # one that cannot be moved keeps no other back
                    failed = True
                    self._refused(error)
                    if self._disk.hung:
                        break
            self.failed = failed
            await self._wake.within(AGAIN_S if failed or self.known is None else None)

    def _refused(self, error: OSError) -> None:
        if not self.failed:
            self._log.error("a lock is not released yet", error=str(error))

    async def _carry_out(self, each: Release) -> None:
        fields: dict[str, str | int | float | bool | None] = {
            "incident_id": each.incident_id, "by": each.by, "reason": each.reason,
        }  # fmt: skip
        await self._chain.append("lock_released", once=once_of("lock_released", fields), **fields)
        await self._disk.run(lambda: self._move(each.incident_id))
        if self.known is not None:
            self.known.discard(each.incident_id)
        self._log.warning("lock released", incident=each.incident_id, by=each.by, reason=each.reason)
        self._gone(each)

    def _names(self) -> set[str]:
        """Of every file that locks something, also of one that cannot be read."""
        try:
            return {path.stem for path in self._directory.iterdir() if path.suffix == ".json" and path.name[0] != "."}
        except FileNotFoundError:
            return set()

    def _move(self, incident_id: str) -> None:
        lock, released = self._directory / f"{incident_id}.json", self._directory / RELEASED
        disk.make_dirs(released)
        with contextlib.suppress(FileNotFoundError):  # a predecessor's work, who may have died before the syncs
            disk.rename(lock, released / lock.name)
        disk.sync_dir(released)
        disk.sync_dir(self._directory)


async def until_gone(wanted: Callable[[], bool], within_s: float, every_s: float = 0.05) -> bool:
    """Whether `wanted()` has become false in time."""
    for _ in range(int(within_s / every_s)):
        if not wanted():
            return True
        await asyncio.sleep(every_s)
    return not wanted()
