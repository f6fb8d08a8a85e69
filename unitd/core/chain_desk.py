"""Core's hash chain: what is to be on the record is queued here, and appended in batches away from the loop.

Nothing waits for it at a press: lines settle for SETTLE_S, then go as one write and one sync. What the disk refuses is
tried again for ever, bounded; what had to be dropped is counted in a line of its own (docs/design/storage.md).
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import NamedTuple

from unitd.core.machine import DiskWorker
from unitd.ports import Clock
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import Wake
from unitd.store.chain import Chain, Field, Head

QUEUED = 1024
BATCH = 128
REMEMBERED = 1024
SETTLE_S = 1.0
"""The alarm, its outbox entry and its lock are on their way before the first line about it is written."""
AGAIN_S = 5.0
CLOSE_S = 0.5
"""A card that is slow at the end of core costs the last lines, and not a kill by the service manager."""


class _Line(NamedTuple):
    kind: str
    fields: dict[str, Field]
    once: Hashable
    then: tuple[Callable[[], None], ...] = ()


class ChainDesk:
    """Lives on the loop. `boot()` is the number of this boot, 0 while it is not known; `read_boot()` then asks the disk
    for it, and nothing is written before it is known."""

    def __init__(
        self,
        chain: Chain,
        boot: Callable[[], int],
        clock: Clock,
        disk: DiskWorker,
        log: Logger,
        read_boot: Callable[[], int] = lambda: 0,
    ) -> None:
        self._chain = chain
        self._boot, self._read_boot = boot, read_boot
        self.boot = 0
        """This boot's number, known after the first `flush`."""
        self._clock = clock
        self._disk = disk
        self._log = log
        self._queue: deque[_Line] = deque()
        self._known: OrderedDict[Hashable, None] = OrderedDict()
        self._opened = False
        self._wake = Wake()
        self._writing = asyncio.Lock()
        self.lost = 0
        """Lines that found no room, and are to be told of."""
        self.failed = False

    @property
    def at(self) -> Head:
        """The chain's head as far as this process knows it. Does not block."""
        return self._chain.at

    def add(self, kind: str, *, once: Hashable = None, **fields: Field) -> None:
        """Put a line on the record, soon. With `once`, not if that is in what is left of the chain's end already."""
        if len(self._queue) >= QUEUED:
            self.lost += 1
            return
        self._queue.append(_Line(kind, {"mono_ns": self._clock.mono_ns(), **fields}, once))
        self._wake.set()

    def after(self, call: Callable[[], None]) -> None:
        """`call()` on the loop when all that is queued now is on the medium: at once when nothing is."""
        if not self._queue:
            call()
            return
        last = self._queue[-1]
        self._queue[-1] = last._replace(then=(*last.then, call))

    def knows(self, once: Hashable) -> bool:
        """Whether that line was written, as far back as is remembered."""
        return once in self._known

    def newest(self, kind: str) -> dict[str, Field] | None:
        """The fields of the queue's last line, if it is of that kind and not being written yet: they may be changed."""
        if self._writing.locked() or not self._queue or self._queue[-1].kind != kind:
            return None
        return self._queue[-1].fields

    def count_lost(self) -> None:
        """A line was not made at all: there were too many like it."""
        self.lost += 1
        self._wake.set()

    async def run(self) -> None:
        """Write what is queued, until cancelled."""
        while True:
            self._wake.clear()
            if self._queue or self.lost or not self._opened:
                await asyncio.sleep(AGAIN_S if self.failed else SETTLE_S)
                try:
                    await self.flush()
                except OSError as error:
                    if not self.failed:
                        self._log.error("the chain is in memory only", error=str(error))
                    self.failed = True
                    continue
                self.failed = False
            else:
                await self._wake.within(None)

    async def flush(self) -> Head:
        """Everything that is queued now is on the medium when this returns. Raises OSError."""
        async with self._writing:
            if self._disk.hung:  # once more into a disk that hangs would cost a thread that others need
                raise OSError("the disk does not answer")
            if not self.boot:
                self.boot = self._boot() or await self._disk.run(self._read_boot)
            if not self.boot:
                raise OSError("the number of this boot is not known yet")
            if not self._opened:
                await self._disk.run(self._chain.open)
                self._remember_recent()
                self._opened = True
            while self._queue:
                await self._write([self._queue[at] for at in range(min(BATCH, len(self._queue)))])
            if lost := self.lost:
                await self._append([_Line("lost", {"mono_ns": self._clock.mono_ns(), "count": lost}, None)])
                self.lost -= lost
            return self._chain.at

    async def append(self, kind: str, *, once: Hashable = None, **fields: Field) -> Head:
        """As `add`, and the line is on the medium when this returns: the head then. Raises OSError; the line is then
        not owed any more, unless the disk hung in it."""
        await self.flush()
        async with self._writing:
            line = _Line(kind, {"mono_ns": self._clock.mono_ns(), **fields}, once)
            if once is None or once not in self._known:
                await self._append([line])
            return self._chain.at

    async def close(self) -> None:
        """At a clean stop. Never raises."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.flush()
        except OSError as error:  # TimeoutError is one
            self._log.warning("the chain's last lines are lost", lines=len(self._queue), error=str(error))

    async def _write(self, batch: list[_Line]) -> None:
        fresh: list[_Line] = []
        here: set[Hashable] = set()
        for line in batch:
            if line.once is None or (line.once not in self._known and line.once not in here):
                fresh.append(line)
                here.add(line.once)
        if fresh:
            await self._append(fresh)
        for call in [call for _ in batch for call in self._queue.popleft().then]:
            call()

    async def _append(self, lines: list[_Line]) -> None:
        records = [(line.kind, line.fields) for line in lines]
        await self._disk.run(lambda: self._chain.append_all(records, self.boot))
        for line in lines:
            if line.once is not None:
                self._remember(line.once)

    def _remember_recent(self) -> None:
        for record in self._chain.recent():
            key = once_of(record.get("kind"), record)
            if key is not None:
                self._remember(key)

    def _remember(self, key: Hashable) -> None:
        self._known[key] = None
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


_ONCE = {
    "call": ("event", "watch_id", "reason", "announce", "for_s"),
    "incident": ("incident_id", "stage"),
    "lock": ("incident_id", "from_boot", "to_boot", "to_mono_ns"),
    "lock_released": ("incident_id",),
}
"""What makes two lines the same, for those that a core which started again would write a second time."""


def once_of(kind: object, fields: "dict[str, Field]") -> Hashable:
    """The key for `add`'s `once`; None for a kind of which each line counts. Pure; never raises."""
    names = _ONCE.get(kind) if isinstance(kind, str) else None
    if names is None:
        return None
    values = tuple(fields.get(name) for name in names)
    return (kind, *(value if isinstance(value, str | int | None) else None for value in values))
