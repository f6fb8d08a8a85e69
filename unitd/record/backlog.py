"""The bounded queue between a camera's reader and whoever is slower: drops to the next keyframe, and counts."""

import threading
from collections import deque
from dataclasses import dataclass

from unitd.messages.media import AudioUnit, MediaUnit, StreamInfo


@dataclass(frozen=True, slots=True)
class SessionUnit:
    """A picture or a piece of sound, the camera session it belongs to (monotonic ns of its opening) and its form."""

    session: int
    info: StreamInfo
    unit: MediaUnit


class Backlog:
    """Thread-safe, at most `limit_bytes` of access units, or one larger than that. `put` never blocks.

    What does not fit is dropped, and with it everything up to the next keyframe, so that what comes out can always be
    decoded. `dropped` counts units, `drops` how often a run of drops began.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._items: deque[SessionUnit] = deque()
        self._bytes = 0
        self._ready = threading.Condition()
        self._skipping = False
        self._poked = False
        self._due: tuple[int, int] | None = None
        self._resumed: deque[MediaUnit] = deque(maxlen=64)
        self.dropped = 0
        self.drops = 0

    def put(self, item: SessionUnit) -> None:
        unit = item.unit
        size, resumes = len(unit.data), False
        with self._ready:
            if self._skipping and not isinstance(unit, AudioUnit) and unit.keyframe:
                self._skipping, resumes = False, True
            if not self._skipping and self._items and self._bytes + size > self._limit_bytes:
                self._skipping = True
                self.drops += 1
            if self._skipping:
                self.dropped += 1
                return
            if resumes:
                self._resumed.append(unit)
            self._items.append(item)
            self._bytes += size
            if self._due is None or self._is_due(item, self._due):
                self._ready.notify()

    def poke(self) -> None:
        """Wake the taker even though there is nothing."""
        with self._ready:
            self._poked = True
            self._ready.notify()

    def take(self, timeout_s: float, due: tuple[int, int] | None = None) -> list[SessionUnit]:
        """All that is there. Blocks until there is something, for `timeout_s` at most; a poke ends it too.

        With `due` = (session, dts_90khz) what comes is left to gather until that picture of that session is there: a
        thread that sleeps through ten pictures costs a third of one that is woken for each.
        """
        with self._ready:
            there = bool(self._items) if due is None else any(self._is_due(item, due) for item in self._items)
            if not self._poked and not there:
                self._due = due
                self._ready.wait(timeout_s)
                self._due = None
            self._poked = False
            items = list(self._items)
            self._items.clear()
            self._bytes = 0
            return items

    def was_dropped_before(self, item: SessionUnit) -> bool:
        """Whether pictures were dropped between the one before `item` and it. To be asked of each, in order."""
        if not self._resumed or self._resumed[0] is not item.unit:
            return False
        self._resumed.popleft()
        return True

    def _is_due(self, item: SessionUnit, due: tuple[int, int]) -> bool:
        unit = item.unit
        if isinstance(unit, AudioUnit):
            return False
        return item.session != due[0] or unit.dts_90khz >= due[1] or self._bytes * 4 > self._limit_bytes

    def __len__(self) -> int:
        return len(self._items)
