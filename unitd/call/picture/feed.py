"""One camera's stream, held while somebody watches it, from the first source that has it.

Order: `record`'s stream, then our own RTSP session; for `main` then the same with `sub`. While the picture is not the
first of these, `record` is asked every RECORD_AGAIN_S: a dome may allow only one or two sessions.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol, TypeVar

from unitd.call.congestion.pacer import BitRate
from unitd.call.picture.record_feed import open_record, record_units
from unitd.call.picture.units import AccessUnit, GroupOfPictures, Profile
from unitd.config import CameraTable
from unitd.errors import DeviceError
from unitd.runtime.logs import Logger

STALLED_AFTER_S = 3.0
"""And up to a quarter more: the limit is not moved with each picture."""
FIRST_PICTURE_S = 8.0
LOST_AFTER_S = 4.0
"""Without a picture for so long a camera is dead for those who watch: another may stand in for it."""
LOST_FOR_S = 30.0
RECORD_AGAIN_S = 3.0
PAUSE_S = 0.3
LONGEST_PAUSE_S = 2.0
IN_HAND_S = 0.02
"""`record` sends what it has in hand at once; a pause of so long, and that was all."""

UNTIL_KNOWN_BIT_S = {"main": 2_000_000.0, "sub": 400_000.0}

T = TypeVar("T")
Rtsp = Callable[[CameraTable, Profile], AsyncIterator[AccessUnit]]


class Watcher(Protocol):
    """Who gets a stream's pictures, on the loop. Neither may block."""

    def begin(self, group: list[AccessUnit]) -> None:
        """The stream begins, or begins anew: everything from its last keyframe to now; nothing when that is not in hand
        and the next keyframe has to be waited for."""

    def picture(self, unit: AccessUnit) -> None:
        """The next one, live."""


class Feed:
    """Fans one stream out to its watchers, on the loop. A source that stalls for STALLED_AFTER_S is left for the next.

    `source` says where the picture comes from now (for health), None while there is none.
    """

    def __init__(self, camera: CameraTable, profile: Profile, run_dir: Path, rtsp: Rtsp, log: Logger) -> None:
        self._camera = camera
        self._profile: Profile = profile
        self._run_dir = run_dir
        self._rtsp = rtsp
        self._log = log
        self._watchers: list[Watcher] = []
        self._work: asyncio.Task[None] | None = None
        self._seen_s = 0.0
        self._begun = False
        self.failures = 0
        self._lost_s: float | None = None
        self.group = GroupOfPictures()
        self.rate = BitRate(UNTIL_KNOWN_BIT_S[profile])
        self.source: str | None = None

    @property
    def lost(self) -> bool:
        """Watched, and without a picture for LOST_AFTER_S; or it was so when the last watcher left, less than
        LOST_FOR_S ago."""
        now_s = time.monotonic()
        if self._work is None:
            return self._lost_s is not None and now_s - self._lost_s < LOST_FOR_S
        return self._lost_s is not None or now_s - self._seen_s > LOST_AFTER_S

    @property
    def is_watched(self) -> bool:
        """Somebody holds the stream open."""
        return self._work is not None

    def watch(self, watcher: Watcher) -> None:
        """Give `watcher` the group in hand, if there is one, and every picture from the next on."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
        if self._work is None:
            self._seen_s = time.monotonic()
            self._work = asyncio.create_task(self._run(), name=f"feed {self._camera.name} {self._profile}")
        elif self._begun:
            watcher.begin(list(self.group))

    def leave(self, watcher: Watcher) -> None:
        """End `watcher`'s part; the stream ends with the last one."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        if not self._watchers and self._work is not None:
            self._lost_s = time.monotonic() if self.lost else None
            self._work.cancel()
            self._work = None

    def renew(self, watcher: Watcher) -> None:
        """For a watcher whose far end has lost its picture: the group in hand again."""
        if self._begun:
            watcher.begin(list(self.group))

    async def close(self) -> None:
        """End the stream and wait until its descriptors are closed."""
        self._watchers.clear()
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _run(self) -> None:
        profiles: tuple[Profile, ...] = ("main", "sub") if self._profile == "main" else ("sub",)
        pause_s = PAUSE_S
        try:
            while True:
                try:
                    for profile in profiles:
                        if await self._from_record(profile) or await self._from_camera(profile):
                            pause_s = PAUSE_S
                            break
                except Exception as error:  # noqa: BLE001 - whatever a source did, the next try may have a picture
                    self._log.error("picture failed", camera=self._camera.name, error=repr(error), exc_info=True)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self.group.clear()
            self.source = None

    async def _from_record(self, profile: Profile) -> bool:
        name = self._camera.name
        passing = self._pass_on(record_units(self._run_dir, name, profile), f"record {name} {profile}")
        return await (passing if profile == self._profile else self._until_better(passing))

    async def _from_camera(self, profile: Profile) -> bool:
        name = self._camera.name
        return await self._until_better(
            self._pass_on(self._rtsp(self._camera, profile), f"camera {name} {profile}"),
        )

    async def _until_better(self, source: Coroutine[Any, Any, bool]) -> bool:
        """A source that is not the best one, until it fails or `record` has what we really want."""
        back = asyncio.create_task(self._record_is_back())
        passing = asyncio.create_task(source, name=f"feed in place of {self._camera.name} {self._profile}")
        try:
            await asyncio.wait({back, passing}, return_when=asyncio.FIRST_COMPLETED)
            return passing.result() if passing.done() else True
        finally:
            for task in (back, passing):
                task.cancel()
            await asyncio.gather(back, passing, return_exceptions=True)

    async def _record_is_back(self) -> None:
        while True:
            await asyncio.sleep(RECORD_AGAIN_S)
            with contextlib.suppress(DeviceError):
                _, writer = await open_record(self._run_dir, self._camera.name, self._profile)
                writer.close()
                return

    async def _pass_on(self, units: AsyncIterator[AccessUnit], name: str) -> bool:
        """Fan out until the source fails; whether it gave a picture at all."""
        gave = False
        asked_ns = time.monotonic_ns()
        moved_s = -STALLED_AFTER_S
        in_hand: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()
        self.group.clear()
        self._begun = False
        try:
            async with aclosing(units) as stream, asyncio.timeout(FIRST_PICTURE_S) as limit:  # type: ignore[type-var]
                async for unit in stream:
                    now_s = time.monotonic()
                    if not gave:
                        gave = True
                        self.source = name
                        self._log.info("picture", source=name)
                    if now_s - moved_s > STALLED_AFTER_S / 4:
                        moved_s = now_s
                        limit.reschedule(loop.time() + 1.25 * STALLED_AFTER_S)
                    self._seen_s, self._lost_s = now_s, None
                    self.group.add(unit)
                    self.rate.add(unit.source_ns, len(unit.data))
                    if in_hand is not None:
                        in_hand.cancel()
                        in_hand = None
                    if self._begun:
                        for watcher in list(self._watchers):
                            self._give(watcher.picture, unit)
                    elif unit.arrival_mono_ns < asked_ns:  # of before we asked: these are handed on as one
                        in_hand = loop.call_later(IN_HAND_S, self._begin)
                    else:
                        self._begin()
            raise DeviceError("the stream has ended")
        except (DeviceError, TimeoutError) as error:
            self._log.warning("no picture", source=name, error=str(error) or repr(error))
            return gave
        finally:
            if in_hand is not None:
                in_hand.cancel()
            self.source = None

    def _begin(self) -> None:
        self._begun = True
        group = list(self.group)
        for watcher in list(self._watchers):
            self._give(watcher.begin, group)

    def _give(self, take: Callable[[T], None], what: T) -> None:
        """Whatever becomes of one watcher, the others' picture goes on."""
        try:
            take(what)
        except Exception as error:  # noqa: BLE001 - told, and tried again with the next picture
            self.failures += 1
            if self.failures.bit_count() == 1:  # the 1st, 2nd, 4th: 20 a second do not fill the log
                self._log.error("a watcher failed", error=repr(error), failures=self.failures, exc_info=True)
