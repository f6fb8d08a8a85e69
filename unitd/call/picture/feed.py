"""One profile of the picture, held while somebody watches it, from the first source that has it.

Order for each camera in turn: `record`'s stream, then our own RTSP session; for `main` then the same with `sub`.
While the picture comes from our own session, `record` is asked every RECORD_AGAIN_S, because a dome may allow only
one or two sessions.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from unitd.call.congestion.pacer import BitRate
from unitd.call.picture.record_feed import open_record, record_units
from unitd.call.picture.units import AccessUnit, GroupOfPictures, Profile
from unitd.config import CameraTable
from unitd.errors import DeviceError
from unitd.runtime.logs import Logger

STALLED_AFTER_S = 3.0
FIRST_PICTURE_S = 8.0
RECORD_AGAIN_S = 3.0
PAUSE_S = 0.3
LONGEST_PAUSE_S = 2.0

UNTIL_KNOWN_BIT_S = {"main": 2_000_000.0, "sub": 400_000.0}

Watcher = Callable[[AccessUnit], None]
Rtsp = Callable[[CameraTable, Profile], AsyncIterator[AccessUnit]]


class Feed:
    """Fans one stream out to its watchers, on the loop. A source that stalls for STALLED_AFTER_S is left for the next.

    `source` says where the picture comes from now (for health), None while there is none.
    """

    def __init__(
        self, cameras: tuple[CameraTable, ...], profile: Profile, run_dir: Path, rtsp: Rtsp, log: Logger
    ) -> None:
        self._cameras = cameras
        self._profile: Profile = profile
        self._run_dir = run_dir
        self._rtsp = rtsp
        self._log = log
        self._watchers: list[Watcher] = []
        self._work: asyncio.Task[None] | None = None
        self.group = GroupOfPictures()
        self.rate = BitRate(UNTIL_KNOWN_BIT_S[profile])
        self.source: str | None = None

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` with every picture from the next on; `group` has those since the last keyframe."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
        if self._work is None and self._cameras:
            self._work = asyncio.create_task(self._run(), name=f"feed {self._profile}")

    def leave(self, watcher: Watcher) -> None:
        """End `watcher`'s part; the stream ends with the last one."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        if not self._watchers and self._work is not None:
            self._work.cancel()
            self._work = None

    async def close(self) -> None:
        """End the stream and wait until its descriptors are closed."""
        self._watchers.clear()
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    async def _run(self) -> None:
        profiles: tuple[Profile, ...] = ("main", "sub") if self._profile == "main" else ("sub",)
        pause_s = PAUSE_S
        try:
            while True:
                for camera in self._cameras:
                    for profile in profiles:
                        if await self._from_record(camera, profile) or await self._from_camera(camera, profile):
                            pause_s = PAUSE_S
                            break
                    else:
                        continue
                    break
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self.group.clear()
            self.source = None

    async def _from_record(self, camera: CameraTable, profile: Profile) -> bool:
        return await self._pass_on(record_units(self._run_dir, camera.name, profile), f"record {camera.name} {profile}")

    async def _from_camera(self, camera: CameraTable, profile: Profile) -> bool:
        back = asyncio.create_task(self._record_is_back(camera, profile))
        passing = asyncio.create_task(
            self._pass_on(self._rtsp(camera, profile), f"camera {camera.name} {profile}"), name="feed of our own"
        )
        try:
            await asyncio.wait({back, passing}, return_when=asyncio.FIRST_COMPLETED)
            return passing.result() if passing.done() else True
        finally:
            for task in (back, passing):
                task.cancel()
            await asyncio.gather(back, passing, return_exceptions=True)

    async def _record_is_back(self, camera: CameraTable, profile: Profile) -> None:
        while True:
            await asyncio.sleep(RECORD_AGAIN_S)
            with contextlib.suppress(DeviceError):
                _, writer = await open_record(self._run_dir, camera.name, profile)
                writer.close()
                return

    async def _pass_on(self, units: AsyncIterator[AccessUnit], name: str) -> bool:
        """Fan out until the source fails; whether it gave a picture at all."""
        gave = False
        self.group.clear()
        try:
            async with aclosing(units) as stream:  # type: ignore[type-var]
                while True:
                    async with asyncio.timeout(STALLED_AFTER_S if gave else FIRST_PICTURE_S):
                        unit = await anext(stream)
                    if not gave:
                        gave = True
                        self.source = name
                        self._log.info("picture", source=name)
                    self.group.add(unit)
                    self.rate.add(unit.source_ns, len(unit.data))
                    for watcher in list(self._watchers):
                        watcher(unit)
        except (DeviceError, TimeoutError, StopAsyncIteration) as error:
            self._log.warning("no picture", source=name, error=str(error) or repr(error))
            return gave
        finally:
            self.source = None
