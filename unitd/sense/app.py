"""Composition root of `unitd sense`."""

import asyncio
import time
from pathlib import Path

import cv2

from unitd.config import Config, MotionTable
from unitd.messages.media import Profile
from unitd.runtime.supervise import Service
from unitd.runtime.worker import Frame, run_worker
from unitd.sense.eye import Eye
from unitd.sense.motion import Motion

HEALTH_S = 2.0
EYE_WITHIN_S = 8.0


def main(config: Config) -> int:
    """Look until SIGTERM; returns the exit status. Without a `motion` table it only says that it is well."""
    cv2.setNumThreads(1)
    return run_worker("sense", config, build)


def build(frame: Frame) -> list[Service]:
    """The services of this process, on its running loop."""
    table = frame.config.motion
    if table is None:
        return []
    watch = Watch(frame, table)
    return [Service("motion", watch.run, vital=True), Service("dome moves", watch.follow)]


class Watch:
    """Motion of one camera, told to core."""

    def __init__(self, frame: Frame, table: MotionTable) -> None:
        self._frame, self._table = frame, table
        self._loop = asyncio.get_running_loop()
        self._eye: Eye | None = None

    async def run(self) -> None:
        """Look and report until cancelled."""
        watchdog, camera = self._frame.watchdog, self._table.camera
        watchdog.expect("eye", within_s=EYE_WITHIN_S)
        path = Path(self._frame.config.paths.run_dir) / "record.sock"
        eye = Eye(path, self._table, self._profile(), self._frame.log, self._from_thread, lambda: watchdog.beat("eye"))
        self._eye = eye
        eye.start()
        seen, at = 0, time.monotonic()
        try:
            while True:
                await asyncio.sleep(HEALTH_S)
                now = time.monotonic()
                fps = round((eye.decoded - seen) / (now - at), 1)
                seen, at = eye.decoded, now
                self._frame.core.set_health(
                    (),
                    {
                        f"{camera}.fps": fps,
                        f"{camera}.motion": eye.moving(),
                        f"{camera}.learning": eye.learning() or not fps,
                    },
                )
        finally:
            watchdog.forget("eye")
            eye.stop()

    async def follow(self) -> None:
        """When the dome is told to move, what changes in the picture is not motion."""
        version, number = -1, None
        while True:
            version = await self._frame.core.wait_change(version)
            desired = self._frame.core.desired
            if desired is not None and desired.dome.number != number:
                if number is not None and self._eye is not None:
                    self._eye.learn()
                number = desired.dome.number

    def _profile(self) -> Profile:
        table = next(c for c in self._frame.config.cameras if c.name == self._table.camera)
        return "main" if table.sub_url is None else "sub"

    def _from_thread(self, motion: Motion, now: float) -> None:
        self._loop.call_soon_threadsafe(self._report, motion, now)

    def _report(self, motion: Motion, now: float) -> None:
        area = round(motion.area_percent, 2)
        self._frame.log.info("motion", camera=self._table.camera, area_percent=area)
        self._frame.core.event("motion", mono_ns=int(now * 1e9), camera=self._table.camera, area_percent=area)
