"""All of core's disk work, on one thread: a stalled card delays neither sending nor lamps.

A call that never returns (a card that hangs in the kernel) is given up: its thread is left behind and counted, and a
new one goes on with what is queued.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from unitd.store import disk

T = TypeVar("T")
PENDING = 500
HUNG_S = 5.0
GIVE_UP_S = 10.0
"""A call that takes longer is given up. A worn card may stand still for seconds while it collects its garbage."""
MAX_LEFT_BEHIND = 3
"""Threads that may hang at once. Past these the disk is not tried again until one has come back."""
LOOK_EVERY_S = 0.5


class DiskBusyError(OSError):
    """The disk is so far behind that nothing more is queued for it."""


class DiskHungError(OSError):
    """The call was given up because it, or the disk before it, did not come back. It may still take effect."""


class DiskThread:
    """Runs calls in order on its thread. Bounded: past PENDING, `run` raises DiskBusyError at once.

    A call at work for GIVE_UP_S raises DiskHungError; those behind it go on, in order, on a new thread. Of a call that
    was given up nothing changes the disk any more once it comes back, except for the one system call it hangs in
    (`unitd.store.disk.while_allowed`). When MAX_LEFT_BEHIND threads hang, everything queued and everything new raises
    DiskHungError at once. All methods on one loop.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._worker: _Worker | None = None
        self._left_behind: list[_Worker] = []
        self._pending: dict[_Call[Any], None] = {}  # in the order in which they were asked, and given up
        self._look_due = False
        self.dropped = 0
        self.given_up = 0

    @property
    def hung(self) -> bool:
        """Whether a call has been at work for more than HUNG_S, or one that was given up hangs still: a card that
        hangs refuses nothing and keeps nothing."""
        worker = self._worker
        return bool(self._hanging()) or (worker is not None and worker.busy_s() > HUNG_S)

    async def run(self, call: Callable[[], T], timeout_s: float | None = None) -> T:
        """Await `call()` on the disk thread; raises what it raises, TimeoutError when it takes longer (it goes on)."""
        if len(self._pending) >= PENDING:
            self.dropped += 1
            raise DiskBusyError("the disk thread is not keeping up")
        self._ensure_worker()
        waiting: _Call[T] = _Call(call, asyncio.get_running_loop())
        self._pending[waiting] = None
        waiting.done.add_done_callback(lambda _done: self._pending.pop(waiting, None))
        self._calls.put(waiting)
        self._look_later()
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(waiting.done)

    def close(self) -> None:
        """Finish what is queued, without waiting for it on the loop."""
        self._calls.put(None)

    # --- giving up --------------------------------------------------------------------------------------------------

    def _hanging(self) -> "list[_Worker]":
        self._left_behind = [each for each in self._left_behind if each.is_alive()]
        return self._left_behind

    def _ensure_worker(self) -> None:
        if self._worker is not None and self._worker.is_alive():
            return
        hanging = len(self._hanging())
        if hanging >= MAX_LEFT_BEHIND:
            self.dropped += 1
            raise DiskHungError(f"{hanging} calls to the disk hang")
        self._worker = _Worker(self._calls)
        self._worker.start()

    def _look_later(self) -> None:
        if not self._look_due:
            self._look_due = True
            asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._look_due = False
        worker = self._worker
        if worker is not None and worker.busy_s() > GIVE_UP_S:
            hung = worker.leave_behind()
            if hung is not None:
                self._left_behind.append(worker)
                self._worker = None
                self.given_up += 1
                hung.fail(DiskHungError(f"given up after {GIVE_UP_S:g} s"))
        if self._pending:
            try:
                self._ensure_worker()
            except DiskHungError as error:
                for waiting in list(self._pending):
                    waiting.fail(error)
            self._look_later()


class _Call(Generic[T]):
    """One call and its outcome. `done` belongs to the loop; a call whose `done` is settled already is not begun."""

    def __init__(self, call: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._loop = loop
        self.done: asyncio.Future[T] = loop.create_future()
        self.done.add_done_callback(lambda done: done.cancelled() or done.exception())  # looked at: no warning

    def fail(self, error: OSError) -> None:
        """On the loop."""
        if not self.done.done():
            self.done.set_exception(error)

    def work(self) -> None:
        """On the worker's thread."""
        if self.done.done():
            return
        try:
            result = self._call()
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is awaited
            self._tell(lambda error=error: self.done.set_exception(error))  # type: ignore[misc]
        else:
            self._tell(lambda: self.done.set_result(result))

    def _tell(self, settle: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has gone: nobody is left to tell
            self._loop.call_soon_threadsafe(lambda: None if self.done.done() else settle())


class _Worker(threading.Thread):
    """A thread that takes calls from the common queue until it is left behind or gets None.

    Not a daemon: what is queued at an orderly end is still written. The end of the process does not wait for one that
    hangs (`unitd.runtime.ending`).
    """

    def __init__(self, calls: "queue.SimpleQueue[_Call[Any] | None]") -> None:
        super().__init__(name="disk")
        self._calls = calls
        self._lock = threading.Lock()
        self._now: _Call[Any] | None = None
        self._since_s = 0.0
        self._left = False

    def busy_s(self) -> float:
        """For how long its call has been at work; 0 when it has none. From any thread."""
        with self._lock:
            return 0.0 if self._now is None else time.monotonic() - self._since_s

    def leave_behind(self) -> "_Call[Any] | None":
        """It takes no further call, and the one at work changes nothing more; returns that one, None if it is done."""
        with self._lock:
            self._left = self._now is not None
            return self._now

    def run(self) -> None:
        with disk.while_allowed(lambda: not self._left):
            while True:
                call = self._calls.get()
                if call is None:
                    return
                with self._lock:
                    self._now, self._since_s = call, time.monotonic()
                call.work()
                with self._lock:
                    self._now = None
                    if self._left:
                        return
