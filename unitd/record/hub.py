"""Fan-out of one stream to the clients of record.sock, with the current GOP in hand. Owes nothing to the disk."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from unitd.messages.media import AccessUnit, AudioUnit, StreamInfo, pack_header
from unitd.record.backlog import SessionUnit
from unitd.runtime.waiting import set_within

HANDOVER_UNITS = 256
"""Of a loop that lags; while nobody listens a GOP is as long as it is (up to 20 s of "smart" codecs)."""

GOP_UNITS = 4096
GOP_LIMIT_BYTES = 6 * 1024 * 1024
"""A GOP larger than this is not kept: a new client then waits for the next keyframe."""

RELAXED_S = 0.2
UNHEARD_S = 0.4
"""So long pictures gather that nobody waits for: a thread that is woken for each costs three times as much
(docs/benchmarks.md)."""

CLIENT_LIMIT_BYTES = 2 * 1024 * 1024
"""What may wait for one client, about 4 s of a main stream; past it the client loses the rest of the GOP."""


@dataclass(eq=False)
class Client:
    """One client's end. `dropped` counts units it did not get for its slowness; to a `relaxed` one they may come
    together, a little late."""

    send: Callable[[bytes], None]
    waiting_bytes: Callable[[], int]
    relaxed: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    skipping: bool = True
    dropped: int = 0
    sent: int = 0
    ready: list[bytes] = field(default_factory=list)

    def offer(self, unit: AccessUnit) -> None:
        if self.skipping and unit.keyframe and self.waiting_bytes() <= CLIENT_LIMIT_BYTES // 2:
            self.skipping = False
        elif not self.skipping and self.waiting_bytes() > CLIENT_LIMIT_BYTES:
            self.skipping = True
        if self.skipping:
            self.dropped += 1
            return
        self.ready += (pack_header(unit), unit.data)
        self.sent += 1

    def flush(self) -> None:
        """Send what was offered, in one go."""
        if self.ready:
            data, self.ready = b"".join(self.ready), []
            self.send(data)


class StreamHub:
    """Lives on the loop; only `put` is called on the reading thread. Nothing here blocks or waits for a client."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handover: deque[tuple[int, StreamInfo, AccessUnit]] = deque()
        self._handover_bytes = 0
        self._lock = threading.Lock()
        self._scheduled = False
        self._hole = False
        self._held = 0
        self._gop: list[AccessUnit] = []
        self._gop_bytes = 0
        self._session: int | None = None
        self._keyframe = asyncio.Event()
        self.info: StreamInfo | None = None
        self.clients: set[Client] = set()
        self.waiting = 0
        self.on_listener: Callable[[], None] = lambda: None
        """Called when somebody comes who may be in a hurry."""
        self.late_drops = 0

    def put(self, item: SessionUnit) -> None:
        """Hand over a picture; sound is ignored. While nobody listens the loop stays asleep and only the GOP is held.

        When the loop lags by HANDOVER_UNITS what waits is dropped, and counted; so is a GOP beyond GOP_LIMIT_BYTES.
        """
        unit = item.unit
        if isinstance(unit, AudioUnit):
            return
        idle = not self.clients and not self.waiting
        with self._lock:
            if idle and unit.keyframe:
                self._handover.clear()
                self._handover_bytes = 0
            elif (
                len(self._handover) >= (HANDOVER_UNITS + self._held if self._scheduled else GOP_UNITS)
                or self._handover_bytes > GOP_LIMIT_BYTES
            ):
                self.late_drops += 0 if idle else len(self._handover)
                self._handover.clear()
                self._handover_bytes = 0
                self._hole = True
            self._handover.append((item.session, item.info, unit))
            self._handover_bytes += len(unit.data)
            if idle or self._scheduled:
                return
            self._scheduled, self._held = True, len(self._handover)
        self._loop.call_soon_threadsafe(self._drain)

    def patience_s(self) -> float:
        """How long pictures may gather before they are handed over; 0 when somebody wants each as it comes. From any
        thread."""
        if self.waiting or any(not client.relaxed for client in tuple(self.clients)):
            return 0.0
        return RELAXED_S if self.clients else UNHEARD_S

    async def ready(self, timeout_s: float) -> StreamInfo | None:
        """What the stream is, once a keyframe is in hand; None when that takes longer."""
        self.waiting += 1
        self.on_listener()
        try:
            self._drain()
            if not await set_within(self._keyframe, timeout_s):
                return None
        finally:
            self.waiting -= 1
        return self.info

    def join(self, client: Client) -> None:
        """Begin with the GOP in hand."""
        self._drain()
        self.clients.add(client)
        for unit in self._gop:
            client.offer(unit)
        client.flush()
        self.on_listener()

    def pictures(self) -> tuple[StreamInfo, list[AccessUnit]] | None:
        """The GOP in hand, from its keyframe to the newest picture; None while there is none."""
        self._drain()
        return (self.info, list(self._gop)) if self.info is not None and self._gop else None

    def leave(self, client: Client) -> None:
        self.clients.discard(client)

    def end(self) -> None:
        """The stream has ended: every client's connection ends, and there is no GOP until the next session."""
        with self._lock:
            self._handover.clear()
            self._handover_bytes = 0
        self._reset()

    def _reset(self) -> None:
        self._gop, self._gop_bytes, self._session, self.info = [], 0, None, None
        self._keyframe.clear()
        for client in self.clients:
            client.ended.set()
        self.clients.clear()

    def _drain(self) -> None:
        with self._lock:
            items = list(self._handover)
            self._handover.clear()
            self._handover_bytes = 0
            self._scheduled = False
            hole, self._hole = self._hole, False
        if hole:
            self._gop, self._gop_bytes = [], 0
            self._keyframe.clear()
            for client in self.clients:
                client.skipping = True
        for session, info, unit in items:
            self._publish(session, info, unit)
        for client in self.clients:
            client.flush()

    def _publish(self, session: int, info: StreamInfo, unit: AccessUnit) -> None:
        if session != self._session:
            self._reset()
            self._session, self.info = session, info
        if unit.keyframe:
            self._gop, self._gop_bytes = [unit], len(unit.data)
            self._keyframe.set()
        elif self._gop:
            self._gop.append(unit)
            self._gop_bytes += len(unit.data)
        if self._gop_bytes > GOP_LIMIT_BYTES:
            self._gop, self._gop_bytes = [], 0
            self._keyframe.clear()
        for client in self.clients:
            client.offer(unit)
