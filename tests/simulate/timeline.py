"""Virtual time: one heap of what is due, and an asyncio loop that lives on it and never waits.

`Timeline.now_ns` stands still while anything runs; it jumps to the next entry when nothing is left to do. One entry is
run at a time, in order of time and then of arrival, so that a run depends on nothing but what is put in.
"""

import asyncio
import contextlib
import contextvars
import math
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from heapq import heappop, heappush
from typing import Any

SECOND_NS = 1_000_000_000
LIVELOCK = 50_000
"""So many callbacks of a loop at one instant are a loop that never comes to rest."""


class Entry:
    """Something due at an instant; `cancel` forgets it."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], object] | None) -> None:
        self.call = call

    def cancel(self) -> None:
        self.call = None


class Timeline:
    def __init__(self) -> None:
        self.now_ns = 0
        self._heap: list[tuple[int, int, Entry]] = []
        self._order = 0

    def at(self, at_ns: int, call: Callable[[], object]) -> Entry:
        """Call it at `at_ns`, now at the earliest."""
        entry = Entry(call)
        self.put(at_ns, entry)
        return entry

    def after(self, delay_s: float, call: Callable[[], object]) -> Entry:
        entry = Entry(call)
        self.put(self.now_ns + int(delay_s * 1e9), entry)
        return entry

    def put(self, at_ns: int, entry: Entry) -> None:
        """As `at`, with an entry of the caller's own."""
        self._order += 1
        now_ns = self.now_ns
        heappush(self._heap, (at_ns if at_ns > now_ns else now_ns, self._order, entry))

    def run_until(self, end_ns: int) -> None:
        """Run everything due until `end_ns`, which is then the time."""
        heap = self._heap
        while heap and heap[0][0] <= end_ns:
            at_ns, _, entry = heappop(heap)
            call = entry.call
            if call is not None:
                entry.call = None
                self.now_ns = at_ns
                call()
        self.now_ns = end_ns


class Livelock(BaseException):
    """The loop under test runs for ever at one instant."""


class _Handle(Entry):
    """A callback that is ready or due, as asyncio's own but without its look at the call stack each time."""

    __slots__ = ("args", "callback", "context", "gone", "when_s")

    def __init__(
        self, callback: Callable[..., object], args: Any, context: contextvars.Context | None, when_s: float = 0.0
    ) -> None:
        self.callback, self.args, self.gone, self.when_s = callback, args, False, when_s
        self.context = contextvars.copy_context() if context is None else context
        self.call = None

    def cancel(self) -> None:
        self.gone = True
        self.callback, self.args, self.call = _nothing, (), None

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self.when_s


def _nothing() -> None: ...


class _Server:
    def __init__(self, loop: "VirtualLoop", path: str) -> None:
        self._loop, self._path = loop, path

    def close(self) -> None:
        self._loop.servers.pop(self._path, None)


class VirtualLoop(asyncio.AbstractEventLoop):
    """An asyncio loop whose `time()` is CLOCK_MONOTONIC of a simulated machine. No input or output of any kind.

    While `hung` nothing runs and what is ready piles up, as with a callback that blocks. A `dead` one runs nothing
    any more. `servers` are the unix sockets that are listened on: path to protocol factory.
    """

    def __init__(self, timeline: Timeline, boot_at_ns: int, on_error: Callable[[dict[str, Any]], None]) -> None:
        self._timeline = timeline
        self._boot_at_ns = boot_at_ns
        self._on_error = on_error
        self._ready: deque[_Handle] = deque()
        self._tasks: list[asyncio.Task[Any]] = []
        self._due: Entry | None = None
        self._running = False
        self.hung = False
        self.dead = False
        self.most_ready = 0
        self.servers: dict[str, Callable[[], asyncio.Protocol]] = {}
        self.on_socket: Callable[[str], None] = lambda _path: None

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        return (self._timeline.now_ns - self._boot_at_ns) / 1e9

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self.dead

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:
        handle = _Handle(callback, args, context)
        if not self.dead:
            self._ready.append(handle)
            if not self._running:
                self._wake()
        return handle

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:
        if self.dead:
            raise RuntimeError("the loop is closed")
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:
        return self._at((self._timeline.now_ns - self._boot_at_ns) / 1e9 + delay, callback, args, context)

    def call_at(self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:
        return self._at(when, callback, args, context)

    def _at(self, when_s: float, callback: Any, args: Any, context: contextvars.Context | None) -> _Handle:
        handle = _Handle(callback, args, context, when_s)
        if not self.dead:
            handle.call = partial(self._timer, handle)
            self._timeline.put(self._boot_at_ns + math.ceil(when_s * 1e9), handle)
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **options)
        self._tasks.append(task)
        if len(self._tasks) > 200:
            self._tasks = [each for each in self._tasks if not each.done()]
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """A thread of asyncio's own: its work takes no time here, and is done once the loop has turned."""
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # what a thread raises belongs to its future
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_soon(work)
        return future

    async def create_unix_server(self, protocol_factory: Any, path: Any = None, **_: Any) -> Any:  # type: ignore[override]
        self.servers[str(path)] = protocol_factory
        self.on_socket(str(path))
        return _Server(self, str(path))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self._on_error(context)

    default_exception_handler = call_exception_handler

    # --- what the simulation does with it ---

    def start(self, coro: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        return self.create_task(coro)

    def hang(self) -> None:
        self.hung = True

    def resume(self) -> None:
        self.hung = False
        self._wake()

    def kill(self) -> None:
        """As kill -9: nothing of it runs any more. What its coroutines would still do in `finally` is not let out."""
        self.dead = True
        self._ready.clear()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(BaseException):
                    task.get_coro().close()  # type: ignore[union-attr]

    def _timer(self, handle: _Handle) -> None:
        if not self.dead and not handle.gone:
            self._ready.append(handle)
            self._drain()

    def _wake(self) -> None:
        if self._due is None and not self.hung and not self.dead:
            self._due = self._timeline.at(self._timeline.now_ns, self._drain)

    def _drain(self) -> None:
        """Run what is ready, and what becomes ready by it, at this one instant."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self.hung or self.dead:
            return
        ready = self._ready
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        self._running = True
        turns = 0
        try:
            while ready and not self.dead and not self.hung:
                waiting = len(ready)
                if waiting > self.most_ready:
                    self.most_ready = waiting
                handle = ready.popleft()
                turns += 1
                if turns > LIVELOCK:
                    raise Livelock(f"never at rest: {handle.callback!r}")
                if not handle.gone:
                    try:
                        handle.context.run(handle.callback, *handle.args)
                    except Exception as error:
                        self.call_exception_handler({"message": "a callback raised", "exception": error})
                    except BaseException:
                        if not self.dead:  # else it died within
                            raise
        finally:
            self._running = False
            asyncio._set_running_loop(before)
