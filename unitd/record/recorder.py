"""The recorder as a whole: which streams run, what the ring is told, and how it says it is."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unitd.config import CameraTable
from unitd.messages.media import AccessUnit, MediaRequest, StreamInfo
from unitd.messages.workers import Desired, Fault
from unitd.record.camera import CameraStream, OpenSource
from unitd.record.hub import StreamHub
from unitd.record.room import RoomKeeper, budgets
from unitd.record.writer import STOP_S, ClosedSegment, SegmentWriter
from unitd.runtime.ipc import Fact
from unitd.runtime.worker import Frame
from unitd.store.ring import Ring

TICK_S = 0.5
FACTS_EVERY_S = 4.0
SUB_LINGERS_S = 10.0
"""A sub stream that nobody asks for any more stays open for this long, so that a client may come back."""

FRESH_MARGIN_S = 60.0
CALL_CODEC = "h264"
"""What every browser shows, passed on as it is."""


@dataclass
class _Camera:
    """One camera: its main stream (always), its sub stream (on demand), and the writer of its segments."""

    table: CameraTable
    writer: SegmentWriter
    main: CameraStream
    main_hub: StreamHub
    sub: CameraStream
    sub_hub: StreamHub
    sub_wanted_at: float = 0.0
    units_seen: int = 0
    bytes_seen: int = 0


class Recorder:
    """Runs on the loop; threads only for reading, writing and making room. Health is sent on every change."""

    def __init__(self, frame: Frame, open_source: OpenSource) -> None:
        self._frame = frame
        config = frame.config
        self._loop = asyncio.get_running_loop()
        self._state_dir = Path(config.paths.state_dir)
        self.ring = Ring(
            Path(config.paths.evidence_dir),
            self._state_dir,
            config.ring,
            config.incident.pre_roll_s + FRESH_MARGIN_S,
            budgets(config),
        )
        self._cameras = {table.name: self._camera(table, open_source) for table in config.cameras}
        self._facts: dict[str, Fact] = {}
        self._facts_at = 0.0
        self._incident, self._sync_s = False, config.ring.sync_idle_s
        self.room = RoomKeeper(frame, self.ring, self._received_bytes)
        self._logged: dict[str, str] = {}
        self.more_faults: Callable[[], list[Fault]] = list

    def find(self, request: MediaRequest) -> StreamHub | str:
        """The hub of what a client of record.sock asks for; a sub stream is opened for it."""
        camera = self._cameras.get(request.camera)
        if camera is None:
            return f"no camera {request.camera!r}; known: {', '.join(self._cameras) or 'none'}"
        if request.profile == "main":
            return camera.main_hub
        if camera.table.sub_url is None:
            return f"{request.camera} has no sub stream"
        camera.sub_wanted_at = time.monotonic()
        camera.sub.start()
        return camera.sub_hub

    def pictures(self) -> dict[str, tuple[StreamInfo, list[AccessUnit]] | None]:
        """By camera, what is in hand from the last keyframe on: of the main stream, else of the sub stream."""
        return {name: camera.main_hub.pictures() or camera.sub_hub.pictures() for name, camera in self._cameras.items()}

    async def run(self) -> None:
        """Read, record and report until cancelled; then close what is open in order (blocks up to STOP_S)."""
        watchdog = self._frame.watchdog
        for camera in self._cameras.values():
            camera.writer.start()
            self._frame.last_resort.watch(f"writer of {camera.table.name}", camera.writer.busy_s)
            camera.main.start()
        self._frame.last_resort.watch("making room", self.room.stuck_s)
        watchdog.expect("recorder", within_s=6.0)
        try:
            while True:
                for camera in self._cameras.values():
                    self._tick(camera)
                self._report()
                watchdog.beat("recorder")
                await asyncio.sleep(TICK_S)
        finally:
            watchdog.forget("recorder")
            for camera in self._cameras.values():
                camera.main.stop()
                camera.sub.stop()
                camera.writer.end()
            until = time.monotonic() + STOP_S  # of all together: systemd waits for 5 s
            for camera in self._cameras.values():
                camera.writer.stop(until - time.monotonic())

    async def follow(self) -> None:
        """Give the writers core's wish for durability, at once, until cancelled."""
        version = -1
        while True:
            version = await self._frame.core.wait_change(version)
            self._apply(self._frame.core.desired)

    def _received_bytes(self) -> dict[str, int]:
        return {name: camera.main.reading.bytes for name, camera in self._cameras.items()}

    def _camera(self, table: CameraTable, open_source: OpenSource) -> _Camera:
        frame = self._frame
        writer = SegmentWriter(frame.config, table.name, self.ring, frame.clock, self.closed_from_thread, gather=True)
        main_hub, sub_hub = StreamHub(self._loop), StreamHub(self._loop)
        main = CameraStream(table, "main", open_source, [main_hub.put, writer.offer], frame.log)
        sub = CameraStream(table, "sub", open_source, [sub_hub.put], frame.log)
        for stream, hub in ((main, main_hub), (sub, sub_hub)):
            stream.patience_s, hub.on_listener = hub.patience_s, stream.hurry
        main.patience_s = lambda: 0.0 if self._incident else main_hub.patience_s()
        return _Camera(table, writer, main, main_hub, sub, sub_hub)

    def _apply(self, desired: Desired | None) -> None:
        """What core wants; while nobody knows (it is dead for long) it is as before: an incident goes on as one."""
        if desired is not None:
            self._incident, self._sync_s = desired.incident is not None, desired.record.sync_s
        for camera in self._cameras.values():
            camera.writer.set_sync(self._sync_s)
            camera.writer.set_incident(self._incident)
            camera.main.hearing = self._incident
            if self._incident:
                camera.main.hurry()
                camera.sub.hurry()

    def _tick(self, camera: _Camera) -> None:
        now = time.monotonic()
        for stream, hub in ((camera.main, camera.main_hub), (camera.sub, camera.sub_hub)):
            stream.watch()
            if stream.reading.session is None:
                hub.end()
        if camera.sub_hub.clients or camera.sub_hub.waiting:
            camera.sub_wanted_at = now
        elif camera.sub.running and now - camera.sub_wanted_at > SUB_LINGERS_S:
            camera.sub.stop()
            camera.sub_hub.end()

    def closed_from_thread(self, segment: ClosedSegment) -> None:
        """A writer has closed a segment whole; on its thread."""
        self._loop.call_soon_threadsafe(self._closed, segment)

    def _closed(self, segment: ClosedSegment) -> None:
        self._frame.core.event("segment_closed", camera=segment.camera, seq=segment.seq, bytes=segment.bytes)

    def _report(self) -> None:
        found = [each for camera in self._cameras.values() for each in self._faults(camera)]
        faults = self.room.faults((*found, *self.more_faults()))
        self._log_changes(faults)
        now = time.monotonic()
        if now - self._facts_at >= FACTS_EVERY_S:
            self._facts = self._measure(now - self._facts_at)
            self._facts_at = now
        for camera in self._cameras.values():
            self._facts[f"{camera.table.name}.state"] = camera.main.state()
        head = self.ring.chain.at
        if head.n:
            self._facts |= {"chain.n": head.n, "chain.head": head.head}
        self._frame.core.set_health(faults, dict(self._facts))

    def _faults(self, camera: _Camera) -> list[Fault]:
        name, state, faults = camera.table.name, camera.main.state(), []
        if state == "lost":
            words = camera.main.reading.error or "no picture"
            faults.append(Fault(code="camera_lost", subject=name, text=words))
        elif state == "stalled":
            faults.append(Fault(code="camera_stalled", subject=name, text="the picture stands still"))
        codec = camera.main.reading.codec
        if codec not in ("", CALL_CODEC):
            words = f"the camera sends {codec}: it is recorded, but a call cannot show it; set the camera to H.264"
            faults.append(Fault(code="camera_codec", subject=name, text=words))
        code, words = camera.writer.fault()
        if code:
            faults.append(Fault(code=code, subject=name, text=words))
        return faults

    def _log_changes(self, faults: tuple[Fault, ...]) -> None:
        now = {f"{fault.code} {fault.subject}": fault.text for fault in faults}
        for key in now.keys() - self._logged.keys():
            self._frame.log.warning("fault", fault=key, text=now[key])
        for key in self._logged.keys() - now.keys():
            self._frame.log.info("fault over", fault=key)
        self._logged = now

    def _measure(self, period_s: float) -> dict[str, Fact]:
        facts: dict[str, Fact] = {}
        for name, camera in self._cameras.items():
            reading = camera.main.reading
            facts[f"{name}.fps"] = round((reading.units - camera.units_seen) / period_s, 1)
            facts[f"{name}.kbit_s"] = round((reading.bytes - camera.bytes_seen) / period_s / 125)
            facts[f"{name}.client"] = reading.client
            facts[f"{name}.segments"] = camera.writer.report.segments
            facts[f"{name}.dropped"] = camera.writer.backlog.dropped
            camera.units_seen, camera.bytes_seen = reading.units, reading.bytes
        return facts | self.room.facts()
