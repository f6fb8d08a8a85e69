"""The thread that puts one camera's access units into the ring, and what it does when the disk refuses.

- Full (ENOSPC): evict the oldest unlocked segments and go on where it stopped; when there is nothing to evict the
  segment is cut back to its last whole fragment and closed, fault `disk_full`, and a new one is tried each second.
- Any other failure, a failed sync first of all: the file is abandoned as it is, fault `disk_error`, a new one is tried.
A fault ends when data has been written and synced again. The reader and the clients never wait for this thread.
"""

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from unitd.config import Config
from unitd.messages.media import AccessUnit, AudioUnit
from unitd.ports import Clock
from unitd.record.backlog import Backlog, SessionUnit
from unitd.record.open_segment import OpenSegment
from unitd.store.boot import Boot, current_boot
from unitd.store.ring import Ring
from unitd.store.segment import SegmentHeader, SegmentKey, header_box

BACKLOG_BYTES = 6 * 1024 * 1024
"""12 s of a 4 Mbit/s camera: a card's pauses are below that, and three cameras still fit in the memory budget."""

TRY_AGAIN_S = 1.0
STUCK_AFTER_S = 5.0
TAKE_S = 0.5
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class ClosedSegment:
    """Reported once for each segment that was closed whole."""

    camera: str
    seq: int
    bytes: int


@dataclass
class WriterReport:
    """What the writer is like now; read by the loop, written by the writer's thread alone."""

    segments: int = 0
    handled_units: int = 0
    written_bytes: int = 0
    abandoned: int = 0
    fault: str = ""
    fault_text: str = ""
    busy_since: float | None = None
    evicted: int = 0
    recovered: list[str] = field(default_factory=list)


class SegmentWriter:
    """Owns the thread. `offer` from any thread, never blocks; `set_sync` from any thread; `stop` blocks up to 3 s."""

    def __init__(
        self, config: Config, camera: str, ring: Ring, clock: Clock, on_closed: Callable[[ClosedSegment], None]
    ) -> None:
        self._config, self._camera, self._ring, self._clock = config, camera, ring, clock
        self._on_closed = on_closed
        self.backlog = Backlog(BACKLOG_BYTES)
        self.report = WriterReport()
        self._sync_s = config.ring.sync_idle_s
        self._sync_now = False
        self._stop = False
        self._boot: Boot | None = None
        self._segment: OpenSegment | None = None
        self._key: SegmentKey | None = None
        self._session = 0
        self._not_before = 0.0
        self._thread = threading.Thread(target=self._run, name=f"write {camera}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, item: SessionUnit) -> None:
        self.backlog.put(item)

    def set_sync(self, sync_s: float) -> None:
        """At most this much may be lost at a power cut; when it falls, what is open is synced at once."""
        if sync_s < self._sync_s:
            self._sync_now = True
        self._sync_s = sync_s
        if self._sync_now:
            self.backlog.poke()

    def stop(self) -> None:
        """Close the open segment in order and end the thread."""
        self._stop = True
        self.backlog.poke()
        self._thread.join(3.0)

    def busy_s(self) -> float:
        """For how long the thread has been at one access unit; 0 when it waits for the next."""
        busy = self.report.busy_since
        return 0.0 if busy is None else time.monotonic() - busy

    def fault(self) -> tuple[str, str]:
        """(code, words), both empty when all is well. A disk that does not answer at all is found here."""
        busy_s = self.busy_s()
        if busy_s > STUCK_AFTER_S:
            return "disk_error", f"the disk has not answered for {busy_s:.0f} s"
        return self.report.fault, self.report.fault_text

    def _run(self) -> None:
        while not self._stop:
            item = self.backlog.take(TAKE_S)
            self.report.busy_since = time.monotonic()
            try:
                if item is not None:
                    self._write(item)
                self._sync_if_due()
            except OSError as error:
                self._give_up(error)
            except ValueError as error:
                self._give_up(OSError(errno.EINVAL, str(error)))
            self.report.handled_units += item is not None
            self.report.busy_since = None
        self._close()

    def _write(self, item: SessionUnit) -> None:
        segment, unit = self._segment, item.unit
        if isinstance(unit, AudioUnit):
            return
        if segment is not None and (
            item.session != self._session
            or (unit.keyframe and segment.duration_s(unit) >= self._config.ring.segment_s - 0.25)
        ):
            self._close()
            segment = None
        if segment is None:
            if not unit.keyframe or time.monotonic() < self._not_before:
                return
            segment = self._segment = self._open(item, unit)
            self._session = item.session
        data = segment.add(unit)
        if data:
            self._put(segment, data)

    def _put(self, segment: OpenSegment, data: bytes) -> None:
        left: bytes | memoryview = data
        while True:
            try:
                segment.write(left)
                break
            except OSError as error:
                if error.errno not in _FULL or not self._evict():
                    raise
                left = segment.unwritten
        self.report.written_bytes += len(data)

    def _open(self, item: SessionUnit, unit: AccessUnit) -> OpenSegment:
        boot = self._begin()
        directory = self._ring.camera_dir(self._camera)
        key = self._key = self._next_key(boot)
        stamp = self._clock.stamp(unit.arrival_mono_ns)
        header = SegmentHeader(
            unit=self._config.unit.id,
            camera=self._camera,
            boot_id=boot.boot_id,
            boot=boot.boot,
            seq=key.seq,
            mono_ns=unit.arrival_mono_ns,
            utc_us=stamp.utc_us,
            clock=stamp.clock,
            session=item.session,
            pts_90khz=unit.dts_90khz,
        )
        while True:
            try:
                file = directory / key.file_name
                segment = OpenSegment(file, key, item.info, self._config.ring.fragment_ms, header_box(header))
                break
            except FileExistsError:
                self._key = None  # somebody else's file: look again, never overwrite
                raise
            except OSError as error:
                if error.errno not in _FULL or not self._evict():
                    raise
        self._ring.opened(file)
        return segment

    def _next_key(self, boot: Boot) -> SegmentKey:
        """One further; the directory, which may hold hundreds of thousands of names, is listed once only."""
        if self._key is not None:
            return SegmentKey(boot.boot, self._key.seq + 1)
        return self._ring.next_key(self._camera, boot)

    def _begin(self) -> Boot:
        """What must have worked once before the first segment: the boot's number, the chain, recovery."""
        if self._boot is None:
            boot = current_boot(Path(self._config.paths.state_dir))
            self._ring.chain.open()
            name = self._ring.recover(self._camera, boot)
            if name is not None:
                self.report.recovered.append(name)
            self._boot = boot
        return self._boot

    def _evict(self) -> bool:
        if self._boot is None:
            return False
        room = self._ring.make_room(self._boot, urgent=True)
        self.report.evicted += room.segments
        return room.segments > 0

    def _sync_if_due(self) -> None:
        segment = self._segment
        if segment is None:
            self._sync_now = False
            return
        fragment_s = self._config.ring.fragment_ms / 1000
        if segment.unsynced_bytes and (self._sync_now or segment.unsynced_age_s() + 2 * fragment_s >= self._sync_s):
            segment.sync()
            self.report.fault = self.report.fault_text = ""
        self._sync_now = False

    def _close(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            try:
                self._put(segment, segment.finish())
                segment.sync()
            finally:
                segment.close()
                self._ring.closed(segment.path)
            self._chain("segment", segment)
        except (OSError, ValueError) as error:
            self._note(error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error)))
            return
        self.report.fault = self.report.fault_text = ""
        self.report.segments += 1
        self._on_closed(ClosedSegment(self._camera, segment.key.seq, segment.size_bytes))

    def _give_up(self, error: OSError) -> None:
        """Leave the open file as it is (cut back when the disk is full) and try a new one in a second."""
        self._note(error)
        segment, self._segment = self._segment, None
        if segment is None:
            return
        self.report.abandoned += 1
        try:
            if error.errno in _FULL:
                segment.cut_back()
                segment.sync()
            segment.close()
        except OSError as again:
            self._note(again)
        self._ring.closed(segment.path)
        try:
            self._chain("abandoned", segment)
        except OSError:
            return  # recovery at the next start chains it as found

    def _note(self, error: OSError) -> None:
        full = error.errno in _FULL
        self.report.fault = "disk_full" if full else "disk_error"
        self.report.fault_text = "nothing left to evict" if full else (error.strerror or str(error))
        self._not_before = time.monotonic() + TRY_AGAIN_S

    def _chain(self, kind: str, segment: OpenSegment) -> None:
        boot = self._boot.boot if self._boot is not None else 0
        self._ring.chain.append(
            kind,
            boot,
            file=f"{self._camera}/{segment.path.name}",
            bytes=segment.size_bytes,
            sha256=segment.sha256,
            units=segment.units,
        )
