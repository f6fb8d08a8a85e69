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
    """Thread-safe, at most `limit_bytes` of access units. `put` never blocks.

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
        self.dropped = 0
        self.drops = 0

    def put(self, item: SessionUnit) -> None:
        size = len(item.unit.data)
        with self._ready:
            if self._skipping and not isinstance(item.unit, AudioUnit) and item.unit.keyframe:
                self._skipping = False
            if not self._skipping and self._bytes + size > self._limit_bytes:
                self._skipping = True
                self.drops += 1
            if self._skipping:
                self.dropped += 1
                return
            self._items.append(item)
            self._bytes += size
            self._ready.notify()

    def poke(self) -> None:
        """Wake the taker even though there is nothing."""
        with self._ready:
            self._poked = True
            self._ready.notify()

    def take(self, timeout_s: float) -> SessionUnit | None:
        """The next unit; None after `timeout_s`, or at once after a poke when there is none. Blocks."""
        with self._ready:
            if not self._items and not self._poked:
                self._ready.wait(timeout_s)
            self._poked = False
            if not self._items:
                return None
            item = self._items.popleft()
            self._bytes -= len(item.unit.data)
            return item

    def __len__(self) -> int:
        return len(self._items)
