"""The end of a process one of whose threads hangs in a device for good: only a new process frees it."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from unitd.runtime.logs import Logger

STUCK_S = 10.0
AGAIN_S = 600.0
LOOK_EVERY_S = 1.0


class LastResort:
    """Aborts the process (systemd starts it again; the stacks of all threads are in the log) when a watched thread has
    been stuck for STUCK_S.

    A device that hangs at every try must not take down again and again what else the process serves: it happens once
    in AGAIN_S at most, restarts included (`stamp`, a file in tmpfs); in between the fault is told and that is all.
    Where the stamp cannot be written nothing is ended. Loop only; `look` costs a stat when something is stuck.
    """

    def __init__(
        self,
        stamp: Path,
        log: Logger,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        end: Callable[[], None] = os.abort,
    ) -> None:
        self._stamp = stamp
        self._log = log
        self._mono_ns = mono_ns
        self._end = end
        self._watched: dict[str, Callable[[], float]] = {}
        self._told: set[str] = set()

    def watch(self, name: str, stuck_s: Callable[[], float]) -> None:
        """`stuck_s()` says for how long the thread `name` has been at one thing; 0 when it is well. Must not block."""
        self._watched[name] = stuck_s

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """End the process if something is stuck and it is time."""
        stuck = {name for name, stuck_s in self._watched.items() if stuck_s() > STUCK_S}
        for name in stuck - self._told:
            self._log.error("thread hangs", thread=name)
        self._told = stuck
        if stuck and self._due() and self._note():
            self._log.error("the process ends: only a new one is free of what hangs", threads=sorted(stuck))
            self._end()

    def _due(self) -> bool:
        try:
            last_ns = int(self._stamp.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return True
        now_ns = self._mono_ns()
        return not now_ns - AGAIN_S * 1e9 < last_ns <= now_ns

    def _note(self) -> bool:
        try:
            self._stamp.write_text(str(self._mono_ns()), encoding="ascii")
        except OSError:
            return False
        return True
