"""Streams, low step and stills of a camera, in one process with the real GStreamer and record's end of the socket."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import pytest
import structlog

from tests.system.call_rig import RecordEnd, until
from unitd.call.picture import low_feed
from unitd.call.picture.feeds import Feeds
from unitd.call.picture.still_parts import Still, StillReader
from unitd.call.picture.stills import StillSender
from unitd.call.picture.units import AccessUnit
from unitd.call.picture.view import PeerView
from unitd.config import CameraTable
from unitd.errors import DeviceError

pytestmark = pytest.mark.system


class Screen:
    """A watcher, a track and a console's end of the stills."""

    def __init__(self) -> None:
        self.begins: list[list[AccessUnit]] = []
        self.units: list[AccessUnit] = []
        self.calls: list[str] = []
        self.channel: int | None = 0
        self.awaits_keyframe = False
        self.reader = StillReader()
        self.stills: list[tuple[float, Still]] = []
        self.parts = 0
        self.group_takes_s = 0.0

    def begin(self, group: list[AccessUnit]) -> None:
        self.begins.append(group)

    def picture(self, unit: AccessUnit) -> None:
        self.units.append(unit)

    def push(self, unit: AccessUnit) -> None:
        self.calls.append("push")
        self.units.append(unit)

    def push_backlog(self, units: list[AccessUnit]) -> None:
        self.calls.append("backlog")
        self.units += units

    def await_keyframe(self) -> None:
        self.calls.append("await")

    def takes_s(self, units: list[AccessUnit]) -> float:
        return self.group_takes_s

    def still_channel_waiting(self) -> int | None:
        return self.channel

    def send_still_part(self, part: bytes) -> bool:
        self.parts += 1
        still = self.reader.take(part)
        if still is not None:
            self.stills.append((time.monotonic(), still))
        return True

    def send_still_whole(self, still: Still) -> bool:
        self.stills.append((time.monotonic(), still))
        return True


async def no_camera(*_: Any) -> AsyncIterator[AccessUnit]:
    raise DeviceError("no camera here")
    yield  # what makes it a generator


@asynccontextmanager
async def feeds(directory: Path, cameras: tuple[str, ...] = ("dome",)) -> AsyncIterator[tuple[Feeds, RecordEnd]]:
    record = RecordEnd(directory)
    record.cameras = cameras
    await record.start()
    tables = tuple(CameraTable(name=name, main_url="rtsp://x/m", sub_url="rtsp://x/s") for name in cameras)
    with ThreadPoolExecutor(4) as executor:
        made = Feeds(tables, directory, no_camera, executor, structlog.get_logger())
        try:
            await asyncio.sleep(0.2)
            yield made, record
        finally:
            await made.close()
            await record.stop()


def sizes(units: list[AccessUnit]) -> set[tuple[int, int]]:
    decoder = av.CodecContext.create("h264", "r")
    return {(frame.width, frame.height) for unit in units for frame in decoder.decode(av.Packet(unit.data))}


def test_what_record_has_in_hand_comes_as_one_group_and_live_pictures_follow(tmp_path: Path) -> None:
    async def play() -> None:
        async with feeds(tmp_path) as (made, _):
            await asyncio.sleep(0.5)
            screen = Screen()
            stream = made.get("dome", "main")
            assert stream is not None
            began_s = time.monotonic()
            stream.watch(screen)
            await until(lambda: screen.begins, 1.0, "the group in hand")
            assert time.monotonic() - began_s < 0.5
            assert screen.begins[0][0].keyframe
            assert len(screen.begins[0]) > 5
            await until(lambda: len(screen.units) > 5, 2.0, "live pictures")
            second = Screen()
            stream.watch(second)
            assert second.begins
            assert len(screen.begins) == 1
            second.units = None  # type: ignore[assignment]
            seen = len(screen.units)
            await until(lambda: len(screen.units) > seen + 5, 2.0, "one that fails does not end the others' picture")
            assert stream.failures >= 5  # type: ignore[attr-defined]

    asyncio.run(play())


def test_the_low_step_runs_while_it_is_watched_at_the_rate_of_its_slowest_watcher(tmp_path: Path) -> None:
    async def play() -> None:
        async with feeds(tmp_path) as (made, record):
            low = made.low("dome")
            assert low is not None
            first, second = Screen(), Screen()
            began_s = time.monotonic()
            low.watch(first)
            low.set_rate(first, 300_000)
            await until(lambda: first.units, 3.0, "the first picture")
            print("first low picture after", round(time.monotonic() - began_s, 2))
            assert first.units[0].keyframe
            low.watch(second)
            low.set_rate(second, 100_000)
            assert low.bit_s == 100_000
            await until(lambda: any(unit.keyframe for unit in second.units), 2.0, "a keyframe for who comes later")
            low.leave(second)
            assert low.bit_s == 300_000
            low.renew(first)
            seen = len(first.units)
            await until(lambda: any(unit.keyframe for unit in first.units[seen:]), 2.0, "a keyframe on request")
            record.kill("dome")
            record.dead.clear()
            seen = len(first.units)
            await until(lambda: len(first.units) > seen + 10, 5.0, "the picture after the source has come again")
            low.leave(first)
            asked = len(record.asked)
            await until(lambda: not record._writers, 2.0, "the stream is let go")
            assert len(record.asked) == asked

    asyncio.run(play())


def test_a_source_that_changes_its_size_goes_on(tmp_path: Path) -> None:
    async def play() -> None:
        async with feeds(tmp_path) as (made, record):
            low, screen = made.low("dome"), Screen()
            assert low is not None
            low.watch(screen)
            await until(lambda: len(screen.units) > 5, 3.0, "pictures")
            await record.stop()
            record.SIZES = {"main": (320, 240), "sub": (160, 120)}  # type: ignore[misc]
            await record.start()
            await until(lambda: (160, 120) in sizes(screen.units), 6.0, "pictures of the other size")
            assert sizes(screen.units) == {(320, 180), (160, 120)}

    asyncio.run(play())


def test_without_an_encoder_the_step_is_left_out_and_stills_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise DeviceError("the encoder is broken")

    monkeypatch.setattr(low_feed.LowEncoder, "start", broken)
    monkeypatch.setattr(low_feed, "PAUSE_S", 0.01)

    async def play() -> None:
        async with feeds(tmp_path) as (made, _):
            screen = Screen()
            view = PeerView(made, screen, structlog.get_logger())
            view.follow("low", 150_000)
            view.open(screen)
            assert view.steps == ("main", "sub", "low", "stills", "voice")
            await until(lambda: made.faults, 3.0, "the step is said to be broken")
            assert made.faults == {"dome": "the encoder is broken"}
            assert view.steps == ("main", "sub", "stills", "voice")
            view.tick()
            assert view.step == "stills"
            await until(lambda: screen.stills, 4.0, "a still instead")
            view.close()

    asyncio.run(play())


@pytest.mark.parametrize("kbit_s", [60, 150] if os.environ.get("UNITD_TEST_LONG") else [100])
def test_stills_come_every_second_at_the_rate_that_is_left_and_never_two_at_once(tmp_path: Path, kbit_s: int) -> None:
    async def play() -> None:
        async with feeds(tmp_path) as (made, _):
            screen, feed = Screen(), made.stills("dome")
            assert feed is not None
            sender = StillSender("dome", feed, screen, kbit_s * 1000, structlog.get_logger())
            work = asyncio.create_task(sender.run())
            await until(lambda: len(screen.stills) >= 4, 8.0, "four stills")
            times = [at for at, _ in screen.stills]
            assert max(later - before for before, later in itertools.pairwise(times)) < 2.2
            for _, still in screen.stills[1:]:
                assert len(still.jpeg) * 8 <= 1.5 * kbit_s * 1000
                assert (still.jpeg[:2], still.jpeg[-2:]) == (b"\xff\xd8", b"\xff\xd9")
                picture = next(av.CodecContext.create("mjpeg", "r").decode(av.Packet(still.jpeg)).__iter__())
                assert (picture.width, picture.height) == (still.caption.width, still.caption.height)
                assert abs(still.caption.at_utc_us / 1e6 - time.time()) < 10
            assert screen.reader.lost == 0
            screen.channel = 100_000
            sent = sender.sent
            await until(lambda: sender.dropped >= 1, 8.0, "one that does not leave is given up")
            assert sender.sent <= sent + 1
            parts = screen.parts
            await until(lambda: sender.dropped >= 2, 8.0, "the next is given up as well")
            assert screen.parts == parts, "nothing is added to what does not leave"
            screen.channel = None
            await until(lambda: sender.sent > sent + 1, 5.0, "by the signalling link")
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await until(lambda: made._cameras["dome"].decoded.is_running is False, 2, "the decoder rests")

    asyncio.run(play())


def test_a_view_steps_down_at_once_and_up_at_a_keyframe(tmp_path: Path) -> None:
    async def play() -> None:
        async with feeds(tmp_path, ("dome", "panel")) as (made, _):
            screen = Screen()
            view = PeerView(made, screen, structlog.get_logger())
            view.follow("main", 0)
            view.open(screen)
            await until(lambda: "push" in screen.calls, 2, "main")
            assert (view.step, view.camera) == ("main", "dome")
            view.follow("low", 200_000)
            assert screen.calls[-1] == "await", "the link does not carry main any more"
            await until(lambda: screen.calls[-1] == "push", 3, "low")
            assert view.step == "low"
            seen, screen.awaits_keyframe = len(screen.units), True
            view.tick()
            await until(
                lambda: any(unit.keyframe for unit in screen.units[seen:]), 2, "the keyframe that is waited for"
            )
            screen.awaits_keyframe = False
            backlogs, screen.group_takes_s = screen.calls.count("backlog"), 0.5
            view.follow("main", 0)
            assert screen.calls[-1] == "push", "the old picture goes on until the new one begins"
            await until(lambda: view.step == "main", 3, "main again")
            assert screen.calls.count("backlog") == backlogs, "no group that would make all behind it late"
            screen.group_takes_s = 0.0
            assert view.look("panel")
            assert not view.look("nothing")
            await until(lambda: view.camera == "panel", 2, "the other camera")
            assert screen.calls.count("backlog") > backlogs
            view.follow("voice", 0)
            seen = len(screen.units)
            await asyncio.sleep(0.2)
            assert len(screen.units) == seen
            assert view.step == "voice"
            view.close()

    asyncio.run(play())


def test_a_console_that_asks_for_cameras_without_end_opens_few_streams_and_gets_the_last(tmp_path: Path) -> None:
    async def play() -> None:
        async with feeds(tmp_path, ("dome", "panel")) as (made, record):
            screen = Screen()
            view = PeerView(made, screen, structlog.get_logger())
            view.follow("main", 0)
            view.open(screen)
            await until(lambda: view.is_showing, 2, "main")
            asked = len(record.asked)
            for _ in range(100):
                view.look("panel")
                view.look("dome")
                view.look("panel")
                await asyncio.sleep(0)

            def shows_panel() -> bool:
                view.tick()
                return view.camera == "panel"

            await until(shows_panel, 2, "the last that was asked for")
            assert len(record.asked) <= asked + 4
            view.close()

    asyncio.run(play())


def test_an_encoder_that_takes_pictures_and_gives_none_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[float] = []
    start, show = low_feed.LowEncoder.start, low_feed.LowEncoder.show

    def counted(encoder: low_feed.LowEncoder) -> None:
        starts.append(time.monotonic())
        start(encoder)

    def hangs_at_first(encoder: low_feed.LowEncoder, picture: Any) -> None:
        if len(starts) < 3:
            encoder.taken += 1
        else:
            show(encoder, picture)

    monkeypatch.setattr(low_feed.LowEncoder, "start", counted)
    monkeypatch.setattr(low_feed.LowEncoder, "show", hangs_at_first)
    monkeypatch.setattr(low_feed, "SILENT_AFTER_S", 0.3)
    monkeypatch.setattr(low_feed, "CHECK_S", 0.05)

    async def play() -> None:
        async with feeds(tmp_path) as (made, _):
            low, screen = made.low("dome"), Screen()
            assert low is not None
            low.watch(screen)
            await until(lambda: len(screen.units) > 3, 8, "pictures from the third")
            assert len(starts) == 3
            assert low.broken is None
            low.leave(screen)

    asyncio.run(play())
