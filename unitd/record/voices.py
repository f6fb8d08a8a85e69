"""The stream `audio` in the process `record`: its socket, its coder, its writer, and what core wants of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from unitd.messages.workers import Desired, Fault
from unitd.record.audio import STREAM, VoiceServer, VoiceTrack
from unitd.record.writer import ClosedSegment, SegmentWriter
from unitd.runtime.worker import Frame
from unitd.store.ring import Ring


class Voices:
    """Runs on the loop; writes on a thread of its own. Nothing is coded or written outside an incident."""

    def __init__(self, frame: Frame, ring: Ring, on_closed: Callable[[ClosedSegment], None]) -> None:
        self._frame, self._ring, self._on_closed = frame, ring, on_closed
        self._make()

    async def run(self) -> None:
        """Serve until cancelled; then close what is open in order (blocks up to 3 s)."""
        self._writer.start()
        self._frame.last_resort.watch("writer of the voices", lambda: self._writer.busy_s())
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._server.run())
                both.create_task(self._follow())
        finally:
            self._writer.stop()
            self._make()  # a service may be run again

    def faults(self) -> list[Fault]:
        """What is wrong with the writing, for the recorder's health."""
        code, words = self._writer.fault()
        return [Fault(code=code, subject=STREAM, text=words)] if code else []

    def _make(self) -> None:
        frame = self._frame
        self._writer = SegmentWriter(frame.config, STREAM, self._ring, frame.clock, self._on_closed, gather=True)
        track = VoiceTrack(self._writer.offer)
        path = Path(frame.config.paths.run_dir) / "audio.sock"
        self._server = VoiceServer(path, self._wanted, track, frame.log)

    def _wanted(self) -> str | None:
        desired = self._frame.core.desired
        return desired.incident.incident_id if desired is not None and desired.incident is not None else None

    async def _follow(self) -> None:
        version = -1
        while True:
            version = await self._frame.core.wait_change(version)
            self._apply(self._frame.core.desired)

    def _apply(self, desired: Desired | None) -> None:
        incident = desired.incident if desired is not None else None
        idle_s = self._frame.config.ring.sync_idle_s
        self._writer.set_sync(desired.record.sync_s if desired is not None else idle_s)
        if incident is not None:
            self._writer.missed_from(incident.raised_mono_ns)
        self._server.look()
