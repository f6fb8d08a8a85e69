"""A source that fails in a way nobody thought of costs a moment, never the call's picture."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import structlog

from unitd.call.picture.feed import Feed
from unitd.call.picture.units import AccessUnit
from unitd.config import CameraTable

CAMERA = CameraTable(name="dome", main_url="rtsp://127.0.0.1:9/main")
PICTURE = AccessUnit(b"\x00\x00\x00\x01\x65", keyframe=True, source_ns=1, arrival_mono_ns=1)


class Watcher:
    def __init__(self) -> None:
        self.seen = 0

    def begin(self, group: list[AccessUnit]) -> None:
        self.seen += len(group)

    def picture(self, unit: AccessUnit) -> None:
        self.seen += 1


def test_an_unforeseen_error_of_a_source_is_followed_by_another_try(tmp_path: Path) -> None:
    tries: list[float] = []

    async def source(_camera: CameraTable, _profile: Any) -> AsyncIterator[AccessUnit]:
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise AttributeError("a library's own mistake")
        yield PICTURE
        await asyncio.Event().wait()

    async def play() -> None:
        feed = Feed(CAMERA, "main", tmp_path, source, structlog.get_logger())
        watcher = Watcher()
        feed.watch(watcher)
        deadline_s = time.monotonic() + 5.0
        while not watcher.seen:
            assert time.monotonic() < deadline_s, "no picture after the error"
            await asyncio.sleep(0.01)
        await feed.close()

    asyncio.run(play())
    assert len(tries) == 2
