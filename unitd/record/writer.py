"""The thread that puts one camera's access units into the ring, and what it does when the disk refuses.

- Full (ENOSPC): evict the oldest unlocked segments and go on where it stopped; when there is nothing to evict the
  segment is cut back to its last whole fragment and closed, fault `disk_full`, and a new one is tried each second.
- Any other failure, a failed sync first of all: the file is abandoned as it is, fault `disk_error`, a new one is tried.
A fault ends when data has been written and synced again. The reader and the clients never wait for this thread.
"""

import contextlib
import errno
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unitd.config import Config
from unitd.messages.media import AccessUnit, AudioUnit
from unitd.ports import Clock
from unitd.record.backlog import Backlog, SessionUnit
from unitd.record.gaps import GAP_S
from unitd.record.open_segment import OpenSegment
from unitd.record.stream_lines import StreamLines
from unitd.record.timeline import Timeline
from unitd.store.boot import Boot, current_boot
from unitd.store.ring import Ring
from unitd.store.segment import SegmentHeader, SegmentKey

BACKLOG_BYTES = 6 * 1024 * 1024
"""12 s of a 4 Mbit/s camera: a card's pauses are below that, and three cameras still fit in the memory budget."""

TRY_AGAIN_S = 1.0
STUCK_AFTER_S = 5.0
TAKE_S = 1.0
STOP_S = 3.0
SILENT_S = 5.0
"""A segment whose camera has sent nothing for so long is closed: its evidence is sealed, and the thread lets it go."""

SYNC_EARLY_S = 0.15
"""What a sync may take, so that it is over when it has to be."""

LONGEST_S = 60.0
LARGEST_BYTES = 256 * 1024 * 1024
"""A camera that sends no keyframe for so long, or so much: its segments then begin in the middle of a GOP, and are
played behind the one before."""

STALLED_S = 2.5
"""A camera that is silent for longer within one session gets a new segment, and a gap in the chain."""

HELD_S = 0.5
"""The newest picture's length is known when the next comes; after so long it is written with a guess."""

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


class SegmentWriter:
    """Owns the thread. `offer` from any thread, never blocks; `set_sync` and `set_incident` from any thread; `stop`
    blocks up to STOP_S. With `gather` it sleeps until a fragment is there, else it handles each picture as it comes.
    """

    def __init__(
        self,
        config: Config,
        camera: str,
        ring: Ring,
        clock: Clock,
        on_closed: Callable[[ClosedSegment], None],
        *,
        gather: bool = False,
    ) -> None:
        self._config, self._camera, self._ring, self._clock = config, camera, ring, clock
        self._on_closed = on_closed
        self.backlog = Backlog(BACKLOG_BYTES)
        self.report = WriterReport()
        self._sync_s = config.ring.sync_idle_s
        self._sync_now = False
        self._synced_ns = 0
        self._stop = False
        self._boot: Boot | None = None
        self._segment: OpenSegment | None = None
        self._key: SegmentKey | None = None
        self._gather = gather
        self._session = 0
        self._timeline = Timeline()
        self._rebased: int | None = None
        self._lines = StreamLines(camera, ring.chain)
        self._in_gop = False
        self._heard = 0.0
        self._incident = False
        self._seal_from_ns: int | None = None
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

    def set_incident(self, on: bool) -> None:
        """Whether an incident is on: inside it a camera's sound is written, and when it ends the open segment is closed
        at the next keyframe that arrives from now on, so that its evidence is sealed soon. (At one that arrived before
        and still waits here the incident's last moments would be in the next segment, open for as long as that is.)"""
        if self._incident and not on:
            self._seal_from_ns = time.monotonic_ns()
        self._incident = on

    def missed_from(self, mono_ns: int) -> None:
        """Of this boot; where nothing was recorded before it is no gap: the stream is wanted from then on only."""
        self._lines.missed_from(mono_ns)

    def end(self) -> None:
        """Have the open segment closed in order and the thread end; does not wait for it."""
        self._stop = True
        self.backlog.poke()

    def stop(self, within_s: float = STOP_S) -> None:
        """`end`, and wait for it."""
        self.end()
        self._thread.join(max(within_s, 0.0))

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
            self._round(self.backlog.take(self._patience_s(), self._due()))
        self._round(self.backlog.take(0.0))
        self._close()

    def _round(self, items: list[SessionUnit]) -> None:
        for item in items:
            self._heard = self.report.busy_since = time.monotonic()
            try:
                self._write(item)
            except (OSError, ValueError) as error:
                self._give_up(error)
            self.report.handled_units += 1
        self.report.busy_since = time.monotonic()
        try:
            self._sync_if_due()
        except (OSError, ValueError) as error:
            self._give_up(error)
        if self._segment is not None and time.monotonic() - self._heard > SILENT_S:
            self._close()
        self.report.busy_since = None

    def _due(self) -> tuple[int, int] | None:
        """Until which picture the thread may sleep; None when it has to see each."""
        due = self._segment.due_dts_90khz if self._segment is not None and self._gather else None
        return None if due is None else (self._session, due - self._timeline.offset_90khz)

    def _patience_s(self) -> float:
        """How long the thread may sleep: a sync may fall due before the next fragment does."""
        due_ns = self._sync_due_ns()
        return TAKE_S if due_ns is None else min(max((due_ns - time.monotonic_ns()) / 1e9, 0.01), TAKE_S)

    def _write(self, item: SessionUnit) -> None:
        unit = item.unit
        if isinstance(unit, AudioUnit):
            if self._segment is not None and self._incident and item.session == self._session:
                self._segment.add_sound(self._timeline.place_sound(unit))
            return
        dropped = self.backlog.was_dropped_before(item)
        if item.session != self._session:
            self._close()
            self._session, self._rebased = item.session, None
            self._timeline.rebase()
        placed = self._timeline.place(unit)
        if self._segment is not None and self._ends(self._segment, placed, dropped=dropped):
            hole = dropped or unit.arrival_mono_ns - self._segment.newest_mono_ns > GAP_S * 1e9
            self._close(None if hole else placed.dts_90khz)
            self._in_gop = not unit.keyframe
        if self._segment is None:
            if not (unit.keyframe or self._in_gop) or time.monotonic() < self._not_before:
                return
            if self._timeline.broken:
                self._timeline.rebase()
                placed, self._rebased = self._timeline.place(unit), unit.arrival_mono_ns
            self._segment = self._open(item, placed)
            self._in_gop = False
            if self._is_sealing(unit):
                self._seal_from_ns = None
            self._lines.began(self._segment, dropped=dropped)
        if data := self._segment.add(placed):
            self._put(self._segment, data)

    def _ends(self, segment: OpenSegment, unit: AccessUnit, *, dropped: bool) -> bool:
        """Whether `unit` begins the next segment."""
        length_s = segment.duration_s(unit)
        if not unit.keyframe:
            return length_s >= LONGEST_S or segment.size_bytes > LARGEST_BYTES
        silent_s = (unit.arrival_mono_ns - segment.newest_mono_ns) / 1e9
        return (
            length_s >= self._config.ring.segment_s - 0.25
            or self._is_sealing(unit)
            or dropped
            or self._timeline.broken
            or silent_s > STALLED_S
            or not segment.fits(unit)
        )

    def _is_sealing(self, unit: AccessUnit) -> bool:
        """Whether `unit` is from behind the end of an incident that is in the open segment still."""
        seal_from_ns = self._seal_from_ns
        return seal_from_ns is not None and unit.arrival_mono_ns >= seal_from_ns

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
            session=item.session if self._rebased is None else self._rebased,
            pts_90khz=unit.pts_90khz,
        )
        while True:
            try:
                file = directory / key.file_name
                segment = OpenSegment(file, key, item.info, self._config.ring.fragment_ms, header)
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
        """What must have worked before a segment: the boot's number, the chain. (`Ring.make_room` recovers.)"""
        if self._boot is None:
            boot = current_boot(Path(self._config.paths.state_dir))
            self._ring.chain.open()
            self._boot = boot
        return self._boot

    def _evict(self) -> bool:
        if self._boot is None:
            return False
        room = self._ring.make_room(self._boot, urgent=True)
        self.report.evicted += room.segments
        return room.segments > 0

    def _sync_due_ns(self) -> int | None:
        """When what a power cut would take has to be on the medium; None when there is nothing."""
        since_ns = None if self._segment is None else self._segment.unsynced_since_ns()
        if since_ns is None:
            return None
        due_ns = since_ns + int((self._sync_s - min(SYNC_EARLY_S, self._sync_s / 4)) * 1e9)
        # what comes late is overdue at once: each of its pieces would be synced by itself
        return max(due_ns, self._synced_ns + int(self._sync_s / 2 * 1e9))

    def _sync_if_due(self) -> None:
        segment, due_ns, now_ns = self._segment, self._sync_due_ns(), time.monotonic_ns()
        at_once, self._sync_now = self._sync_now, False
        if segment is None or not (at_once or (due_ns is not None and now_ns >= due_ns)):
            return
        everything = at_once or now_ns - segment.newest_mono_ns > HELD_S * 1e9
        if data := segment.flush(everything=everything):
            self._put(segment, data)
        if segment.unsynced_bytes:
            segment.sync()
            self._synced_ns = time.monotonic_ns()
            self.report.fault = self.report.fault_text = ""

    def _close(self, next_dts_90khz: int | None = None) -> None:
        segment = self._segment
        if segment is None:
            return
        try:
            if data := segment.finish(next_dts_90khz):
                self._put(segment, data)
            segment.sync()
        except (OSError, ValueError) as error:
            self._give_up(error)
            return
        self._segment = None
        self._ended(segment, max(segment.to_mono_ns, segment.newest_mono_ns))
        try:
            segment.close()
            self._lines.say("segment", segment)
        except OSError as error:
            self._note(error)
            return
        self.report.fault = self.report.fault_text = ""
        self.report.segments += 1
        self._on_closed(ClosedSegment(self._camera, segment.key.seq, segment.size_bytes))

    def _give_up(self, error: OSError | ValueError) -> None:
        """Leave the open file as it is (cut back when the disk is full) and try a new one in a second."""
        if not isinstance(error, OSError):
            error = OSError(errno.EINVAL, str(error))
        self._note(error)
        segment, self._segment = self._segment, None
        if segment is None:
            return
        self.report.abandoned += 1
        try:
            if error.errno in _FULL and not segment.sync_failed:
                segment.cut_back()
                segment.sync()
            segment.close()
        except OSError as again:
            self._note(again)
        self._ended(segment, segment.to_mono_ns)
        with contextlib.suppress(OSError):  # the line goes with the next one
            self._lines.say("abandoned", segment)

    def _ended(self, segment: OpenSegment, mono_ns: int) -> None:
        self._ring.closed(segment.path)
        self._lines.ended(segment, mono_ns)

    def _note(self, error: OSError) -> None:
        full = error.errno in _FULL
        self._lines.refused = True
        self.report.fault = "disk_full" if full else "disk_error"
        self.report.fault_text = "nothing left to evict" if full else (error.strerror or str(error))
        self._not_before = time.monotonic() + TRY_AGAIN_S
