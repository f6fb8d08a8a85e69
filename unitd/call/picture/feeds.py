"""Every camera's streams, each opened while somebody watches it, and shared by all who do."""

from concurrent.futures import Executor
from pathlib import Path
from typing import Protocol

from unitd.call.congestion.pacer import BitRate
from unitd.call.picture.decoded_feed import DecodedFeed
from unitd.call.picture.feed import Feed, Rtsp, Watcher
from unitd.call.picture.low_encoder import warm_up_low
from unitd.call.picture.low_feed import LowFeed
from unitd.call.picture.stills import StillFeed
from unitd.call.picture.units import AccessUnit
from unitd.config import CameraTable
from unitd.messages.duplex import Step
from unitd.runtime.logs import Logger


class Stream(Protocol):
    """What `Feed` and `LowFeed` have in common."""

    rate: BitRate

    @property
    def source(self) -> str | None: ...

    @property
    def lost(self) -> bool: ...

    def watch(self, watcher: Watcher) -> None: ...

    def leave(self, watcher: Watcher) -> None: ...

    def renew(self, watcher: Watcher) -> None: ...


class _Nobody:
    """A watcher that only keeps a stream open."""

    def begin(self, group: list[AccessUnit]) -> None: ...

    def picture(self, unit: AccessUnit) -> None: ...


class _Camera:
    """One camera: its feeds, none of them open until it is watched."""

    def __init__(self, table: CameraTable, run_dir: Path, rtsp: Rtsp, executor: Executor, log: Logger) -> None:
        log = log.bind(camera=table.name)
        self.main = Feed(table, "main", run_dir, rtsp, log)
        self.sub = Feed(table, "sub", run_dir, rtsp, log) if table.sub_url is not None else None
        self.feeds = (self.main,) if self.sub is None else (self.sub, self.main)
        self.decoded = DecodedFeed(self.feeds, executor, log)
        self.low = LowFeed(self.decoded, executor, log)
        self.stills = StillFeed(self.decoded, executor)

    @property
    def lost(self) -> bool:
        watched = [feed for feed in self.feeds if feed.is_watched]
        return bool(watched) and all(feed.lost for feed in watched)

    @property
    def sources(self) -> list[str]:
        return [feed.source for feed in reversed(self.feeds) if feed.source is not None]

    async def close(self) -> None:
        await self.low.close()
        await self.decoded.close()
        await self.stills.close()
        for feed in self.feeds:
            await feed.close()


class Feeds:
    """`cameras` are the names in the order of the configuration. All methods belong on the loop."""

    def __init__(
        self, cameras: tuple[CameraTable, ...], run_dir: Path, rtsp: Rtsp, executor: Executor, log: Logger
    ) -> None:
        self._cameras = {table.name: _Camera(table, run_dir, rtsp, executor, log) for table in cameras}
        self.cameras = tuple(self._cameras)
        self._holding: dict[Feed, _Nobody] = {}
        self._settled: dict[object, bool] = {}
        self._executor = executor
        self._is_prepared = False

    @property
    def first(self) -> str | None:
        """The camera that is shown to whoever has not asked for another."""
        return self.cameras[0] if self.cameras else None

    @property
    def source(self) -> str | None:
        """Where the picture comes from now; None while there is none."""
        return next((source for camera in self._cameras.values() for source in camera.sources), None)

    def hold_first(self) -> None:
        """Open the first camera's streams before anybody is there: whatever a link carries, its current pictures are in
        hand when a peer connects."""
        if self.first is not None:
            for feed in reversed(self._cameras[self.first].feeds):
                self._hold(feed, True)

    def settled(self, viewer: object, is_settled: bool) -> None:
        """Whether this far end has shown main for so long that it can do without sub in hand. When all can, it is let
        go (25 wake-ups a second): `record` hands over its current group within IN_HAND_S of being asked."""
        self._settled[viewer] = is_settled
        self._spare_sub()

    def gone(self, viewer: object) -> None:
        """This far end is no more."""
        self._settled.pop(viewer, None)
        self._spare_sub()

    def _spare_sub(self) -> None:
        held = self._cameras.get(self.first or "")
        if held is None or held.sub is None or held.main not in self._holding:
            return
        from_record = (held.main.source or "").startswith("record ")
        self._hold(held.sub, not (from_record and self._settled and all(self._settled.values())))

    def _hold(self, feed: Feed, holds: bool) -> None:
        if holds and feed not in self._holding:
            self._holding[feed] = _Nobody()
            feed.watch(self._holding[feed])
        elif not holds and feed in self._holding:
            feed.leave(self._holding.pop(feed))

    def prepare_low(self) -> None:
        """The link does not carry the main stream: load what the low step needs, before it is needed."""
        if not self._is_prepared:
            self._is_prepared = True
            self._executor.submit(warm_up_low)

    def steps(self, camera: str | None) -> tuple[Step, ...]:
        """What can be had of this camera now, best first; always ends with `voice`."""
        held = self._cameras.get(camera or "")
        if held is None:
            return ("voice",)
        steps: list[Step] = ["main"]
        if held.sub is not None and (not held.sub.lost or held.main.lost):
            steps.append("sub")
        if held.low.broken is None:
            steps.append("low")
        if held.stills.broken is None:
            steps.append("stills")
        return (*steps, "voice")

    def step_of(self, camera: str | None, step: Step) -> Step:
        """The step that is really taken where `step` is allowed: the best that is not above it."""
        steps = self.steps(camera)
        order: tuple[Step, ...] = ("main", "sub", "low", "stills", "voice")
        return next(each for each in order[order.index(step) :] if each in steps)

    def get(self, camera: str | None, step: Step) -> Stream | None:
        """The stream of a step; None for those that have none."""
        held = self._cameras.get(camera or "")
        if held is None:
            return None
        return {"main": held.main, "sub": held.sub, "low": held.low}.get(step)

    def low(self, camera: str | None) -> LowFeed | None:
        """The low step's stream, whose rate is set."""
        held = self._cameras.get(camera or "")
        return None if held is None else held.low

    def stills(self, camera: str | None) -> StillFeed | None:
        """The stills of a camera."""
        held = self._cameras.get(camera or "")
        return None if held is None else held.stills

    def lost(self, camera: str) -> bool:
        """Somebody watches this camera and it gives no picture."""
        held = self._cameras.get(camera)
        return held is not None and held.lost

    @property
    def faults(self) -> dict[str, str]:
        """Cameras whose low step cannot be had, and why."""
        broken = {name: camera.low.broken for name, camera in self._cameras.items()}
        return {name: why for name, why in broken.items() if why is not None}

    async def close(self) -> None:
        """End every stream and wait until their descriptors are closed."""
        self._holding.clear()
        for camera in self._cameras.values():
            await camera.close()
