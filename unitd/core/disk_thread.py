"""All of core's disk work, on one thread: a stalled card delays neither sending nor lamps."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
PENDING = 500
HUNG_S = 5.0


class DiskBusyError(OSError):
    """The disk is so far behind that nothing more is queued for it."""


class DiskThread:
    """Runs calls in order on its thread. Bounded: past PENDING, `run` raises DiskBusyError at once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._pending = 0
        self._progress_s = time.monotonic()
        self.dropped = 0

    @property
    def hung(self) -> bool:
        """Whether a call has been at work for more than HUNG_S: a card that hangs refuses nothing and keeps nothing."""
        return self._pending > 0 and time.monotonic() - self._progress_s > HUNG_S

    async def run(self, call: Callable[[], T], timeout_s: float | None = None) -> T:
        """Await `call()` on the disk thread; raises what it raises, TimeoutError when it takes longer."""
        if self._pending >= PENDING:
            self.dropped += 1
            raise DiskBusyError("the disk thread is not keeping up")
        if self._pending == 0:
            self._progress_s = time.monotonic()
        self._pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        future.add_done_callback(self._done)
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(future)

    def _done(self, future: "asyncio.Future[T]") -> None:
        self._pending -= 1
        self._progress_s = time.monotonic()
        if not future.cancelled():
            future.exception()

    def close(self) -> None:
        """Finish what is queued, without waiting for it on the loop."""
        self._pool.shutdown(wait=False)
