"""One endpoint, dialled for as long as it is wanted."""

import asyncio
import random
import time
from typing import Protocol

from unitd.call.link.way import MakeWay, Target, Way
from unitd.messages import duplex
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import set_within

DIAL_AGAIN_S = 3.0
"""While a dial gets no word, another goes beside it: it may hang behind TCP, which tcp.py sees to."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
"""Between dials that failed at once. A call is wanted for minutes, and a far end that comes back is to have it."""
SUSPECT_S = 3.0
"""A way that is up and has been silent for so long gets company: the first that is heard has the call."""
LOOK_EVERY_S = 0.5
LASTED_S = 10.0
"""A way that was up for so long starts again with the first pause."""


class LineEvents(Protocol):
    """What a line tells, on the loop. `line` is its endpoint's name."""

    def line_up(self, line: str) -> None: ...

    def line_down(self, line: str, reason: str) -> None: ...

    def line_failed(self, line: str) -> None:
        """A dial has come to nothing."""

    def line_message(self, line: str, message: duplex.ToUnit) -> None: ...


class Line:
    """Dials its target until `end()`; at most one of its ways is up. Belongs to the loop."""

    def __init__(self, target: Target, make: MakeWay, events: LineEvents, log: Logger) -> None:
        self.target = target
        self.name = target.name
        self.started_s = time.monotonic()
        self.attempts = 0
        self.failures = 0
        self.talking: Way | None = None
        self._make = make
        self._events = events
        self._log = log
        self._dials: dict[Way, asyncio.Task[str]] = {}
        self._dialled_s: dict[Way, float] = {}
        self._up: Way | None = None
        self._up_since_s = 0.0
        self.began_s = self.started_s
        self._asked = False
        self._most_at_once = 1
        self._last_s = self._ended_s = 0.0
        self._pause_s = 0.0
        self._wake = asyncio.Event()
        self._ended = False
        self._task = asyncio.create_task(self._keep(), name=f"line {self.name}")

    @property
    def is_up(self) -> bool:
        return self._up is not None

    def dial_now(self) -> None:
        """Forget the pause and dial, also beside a way that is up: it is let go when the new one is."""
        self._asked = True
        self._pause_s = 0.0
        self._wake.set()

    async def bye(self, reason: str) -> None:
        """Tell the far end that the call ends in order; takes a second at most."""
        if self.talking is not None:
            await self.talking.bye(reason)

    async def end(self, reason: str) -> None:
        """Let the endpoint go, in order."""
        self._ended = True
        self._task.cancel()
        try:
            await self.bye(reason)
        finally:
            tasks = [self._task, *self._dials.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- dialling ---------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            now_s = time.monotonic()
            due_s = self._due_s(now_s)
            if due_s is None or due_s > now_s:
                await set_within(self._wake, None if due_s is None else due_s - now_s)
                continue
            try:
                self._begin(now_s)
            except Exception as error:  # noqa: BLE001 - the next dial may be better; without a line nobody dials
                self._log.error("endpoint cannot be dialled", endpoint=self.name, error=repr(error))
                await asyncio.sleep(LONGEST_PAUSE_S)

    def _due_s(self, now_s: float) -> float | None:
        """When to dial next, or (while up) to look again; None: not while things are as they are."""
        if self._asked:
            return now_s
        if self._up is not None:
            if self._up.silent_s() < SUSPECT_S or len(self._dials) >= self._most_at_once:
                return now_s + LOOK_EVERY_S
            return max(now_s, self._last_s + DIAL_AGAIN_S)
        if not self._dials:
            return self._ended_s + self._pause_s
        if len(self._dials) < self._most_at_once:
            return self._last_s + DIAL_AGAIN_S
        return None

    def _begin(self, now_s: float) -> None:
        self._asked = False
        self._last_s = now_s
        self.attempts += 1
        way = self._make(self.target, self)
        self._most_at_once = way.most_at_once
        if self._most_at_once == 1:
            self._let_be(way)
        self._dialled_s[way] = now_s
        task = self._dials[way] = asyncio.create_task(way.run(), name=f"dial {self.name}")
        task.add_done_callback(lambda done: self._over(way, done))

    def _over(self, way: Way, task: "asyncio.Task[str]") -> None:
        self._dials.pop(way, None)
        self._dialled_s.pop(way, None)
        if self._ended:
            return
        now_s = time.monotonic()
        cancelled = task.cancelled()
        error = None if cancelled else task.exception()
        reason = "given up" if cancelled else repr(error) if error is not None else task.result()
        if error is not None:
            self._log.error("endpoint's link failed", endpoint=self.name, error=reason)
        if self.talking is way:
            self.talking = None
        if self._up is way:
            self._up = None
            lasted = now_s - self._up_since_s > LASTED_S
            self._pause_s = _longer(0.0 if lasted else self._pause_s)
            self._events.line_down(self.name, reason)
        elif not cancelled:
            self.failures += 1
            self._events.line_failed(self.name)
            if not self._dials and self._up is None:
                self._pause_s = _longer(self._pause_s)
        self._ended_s = now_s
        self._wake.set()

    def _let_be(self, but: Way) -> None:
        """Give up every other dial of this endpoint."""
        for way, task in self._dials.items():
            if way is not but:
                task.cancel()

    # --- what the ways tell -----------------------------------------------------------------------------------------

    def way_up(self, way: Way) -> None:
        if self._ended or way not in self._dials:
            return
        self._up = self.talking = way
        self._up_since_s = time.monotonic()
        self.began_s = self._dialled_s[way]
        self._let_be(way)
        self._wake.set()
        self._events.line_up(self.name)

    def way_message(self, way: Way, message: duplex.ToUnit) -> None:
        if self._ended or way not in self._dials:
            return
        if self.talking is None or (self.talking is not way and self._most_at_once == 1):
            self.talking = way
        if self.talking is way:
            self._events.line_message(self.name, message)


def _longer(pause_s: float) -> float:
    jitter = random.uniform(0.8, 1.2)  # noqa: S311 - units that lost their relay together come back apart
    return min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * pause_s)) * jitter
