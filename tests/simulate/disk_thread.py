"""The real disk thread of core in virtual time: only its worker, which is a thread, is replaced by one on the timeline.

A call takes as long as the pole's disk takes just now, and is carried out at the end of that time. One that hangs comes
back when the disk does; if core has given it up by then, what it still changes is what hung: one system call.
"""

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.simulate.memory_disk import Dead
from unitd.core import disk_thread
from unitd.core.disk_thread import DiskThread
from unitd.store import disk

if TYPE_CHECKING:
    from tests.simulate.life import Life

LOOK_AGAIN_S = 0.5


class _Calls:
    """The queue between loop and worker. It knows the worker that takes from it."""

    def __init__(self, life: "Life") -> None:
        self.life = life
        self.waiting: deque[Any] = deque()
        self.worker: SimWorker | None = None

    def put(self, call: Any) -> None:
        self.waiting.append(call)
        if self.worker is not None:
            self.worker.begin()


class SimWorker:
    """`unitd.core.disk_thread._Worker` without a thread."""

    def __init__(self, calls: _Calls) -> None:
        self._calls, self._life = calls, calls.life
        self._now: Any = None
        self._since_ns = 0
        self._left = False
        self._ended = False

    def start(self) -> None:
        self._calls.worker = self
        self.begin()

    def is_alive(self) -> bool:
        return not self._ended

    def busy_s(self) -> float:
        return 0.0 if self._now is None else (self._life.day.timeline.now_ns - self._since_ns) / 1e9

    def leave_behind(self) -> Any:
        self._left = self._now is not None
        if self._left:
            self._calls.worker = None
        return self._now

    def begin(self) -> None:
        if self._now is None and not self._left and self._calls.waiting:
            self._now = self._calls.waiting.popleft()
            if self._now is None:
                self._ended = True
                return
            day = self._life.day
            self._since_ns = day.timeline.now_ns
            day.timeline.after(day.pole.disk_takes_s(), self._done)

    def _done(self) -> None:
        if self._life.dead:
            return
        day = self._life.day
        if day.pole.disk_hangs:
            day.timeline.after(LOOK_AGAIN_S, self._done)
            return
        self._work(day.chance.randint(0, 2) if self._left else -1)
        self._now = None
        if self._left:
            self._ended = True
        elif not self._life.dead:
            self.begin()

    def _work(self, allowed: int) -> None:
        """Carry the call out; of one that was given up only the first `allowed` changes."""
        if allowed < 0:
            with contextlib.suppress(Dead), disk.while_allowed(lambda: not self._left):
                self._now.work()
            return
        left = [allowed]

        def still() -> bool:
            left[0] -= 1
            return left[0] >= 0

        with contextlib.suppress(Dead, Exception), disk.while_allowed(still):
            self._now._call()

    def die(self) -> None:
        """The life ends now: the call at work gets as far as it gets."""
        medium = self._life.day.medium
        if self._now is not None and not self._left and not medium.dead and not self._life.day.pole.disk_hangs:
            medium.dies_in = self._life.day.chance.randint(1, 14)
            with contextlib.suppress(Dead, Exception):
                self._now._call()


class SimDisk(DiskThread):
    """`unitd.core.machine.DiskWorker` of one life."""

    def __init__(self, life: "Life") -> None:
        super().__init__()
        self._calls = _Calls(life)  # type: ignore[assignment]

    def die(self) -> None:
        if isinstance(self._worker, SimWorker):
            self._worker.die()


@contextlib.contextmanager
def installed() -> Iterator[None]:
    with mock.patch.object(disk_thread, "_Worker", SimWorker):
        yield
