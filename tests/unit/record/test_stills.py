"""Stills at a press: from pictures in hand to small JPEGs, told to core, kept durably, whatever breaks on the way."""

import asyncio
import base64
import errno
import hashlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest
from pytest_mock import MockerFixture

from tests.unit.record.samples import FPS, HEIGHT, INFO, WIDTH, units
from unitd.config import CameraTable, Config, PathsTable, RingTable
from unitd.errors import WireError
from unitd.messages.media import AccessUnit
from unitd.messages.workers import Desired, OpenIncident, RecordWanted
from unitd.record import stills as under_test
from unitd.record.still_job import LIMIT_BYTES, GroupOfPictures, StillError, make_still, small_jpeg
from unitd.record.stills import Pictures, Stills, read_result, save_exclusively
from unitd.store import disk
from unitd.store.ring import Ring

INCIDENT = "11111111-2222-4333-8444-555555555555"


def group(count: int = FPS, **changes: Any) -> GroupOfPictures:
    taken = [(unit.data, unit.pts_90khz, unit.arrival_mono_ns) for unit in units(count)]
    return GroupOfPictures(**{"camera": "dome", "codec": "h264", "extradata": b"", "units": taken} | changes)


class Core:
    """The worker's end of core.sock: `tell` changes the desired state."""

    def __init__(self) -> None:
        self.desired: Desired | None = None
        self.version = 0
        self.events: list[tuple[str, str | None, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    def tell(self, desired: Desired | None) -> None:
        self.desired = desired
        self.version += 1
        self._changed.set()

    async def wait_change(self, seen: int) -> int:
        while self.version == seen:
            self._changed.clear()
            await self._changed.wait()
        return self.version

    def event(self, name: str, /, *, incident_id: str | None = None, mono_ns: int | None = None, **data: Any) -> None:
        self.events.append((name, incident_id, data))


class Rig:
    """Stills over a directory, with cameras by hand."""

    def __init__(self, base: Path, log: Any) -> None:
        paths = PathsTable(state_dir=str(base / "state"), run_dir=str(base), evidence_dir=str(base / "evidence"))
        cameras = (CameraTable(name="dome", main_url="rtsp://camera/main"),)
        self.config = Config(schema=1, paths=paths, ring=RingTable(), cameras=cameras)
        self.core = Core()
        self.ring = Ring(base / "evidence", base / "state", self.config.ring, 0.0)
        self.in_hand: dict[str, Pictures | None] = {"dome": (INFO, list(units(FPS)))}
        self.stills = Stills(self, self.ring, lambda: self.in_hand)  # type: ignore[arg-type]
        self.log = log
        self.kept = base / "evidence" / ".stills" / INCIDENT

    def press(self, presses: int = 1, incident_id: str = INCIDENT, session: int = 1, age_s: float = 0.0) -> None:
        raised_ns = time.monotonic_ns() - int(age_s * 1e9)
        incident = OpenIncident(
            incident_id=incident_id, kind="panic", stage="raised", raised_mono_ns=raised_ns, presses=presses
        )
        self.core.tell(Desired(session=session, number=self.core.version + 1, incident=incident))

    async def told(self, count: int) -> None:
        await true(lambda: len(self.core.events) >= count)

    async def saved(self, count: int) -> None:
        await true(lambda: len(self.lines()) >= count)

    def lines(self) -> list[dict[str, Any]]:
        chain = self.ring.directory / "record.chain"
        lines = [json.loads(line) for line in chain.read_text().splitlines()] if chain.exists() else []
        return [line for line in lines if line["kind"] == "still"]


async def true(condition: Callable[[], object], limit_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


@pytest.fixture
def rig(tmp_path: Path, mocker: MockerFixture) -> Iterator[Rig]:
    mocker.patch("unitd.runtime.logs.chain")
    yield Rig(tmp_path, mocker.Mock())


def play(rig: Rig, work: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        serving = asyncio.create_task(rig.stills.run())
        try:
            await work()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(run())


# --- the child's part -------------------------------------------------------------------------------------------------


def test_the_newest_picture_of_the_group_becomes_a_small_plain_jpeg() -> None:
    made = make_still(group())
    assert made.error == ""
    assert len(made.jpeg) < LIMIT_BYTES
    assert (made.width, made.height) == (WIDTH, HEIGHT)
    assert made.at_mono_ns == [unit.arrival_mono_ns for unit in units(FPS)][-1]
    assert b"Exif" not in made.jpeg
    assert b"Lavc" not in made.jpeg
    picture = decoded(made.jpeg)
    column = int(np.argmax(picture[:, :, 0].mean(axis=0)))
    assert (FPS - 1) * 8 <= column <= (FPS - 1) * 8 + 40, "the white bar stands where the last picture has it"


def decoded(jpeg: bytes) -> Any:
    decoder = av.CodecContext.create("mjpeg", "r")
    return decoder.decode(av.Packet(jpeg))[0].to_ndarray(format="rgb24")


def test_noise_that_fills_every_pixel_still_fits() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
    jpeg, width, height = small_jpeg(av.VideoFrame.from_ndarray(noise, format="rgb24"))
    assert len(jpeg) < LIMIT_BYTES
    assert abs(width / height - 16 / 9) < 0.05
    assert decoded(jpeg).shape == (height, width, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"units": [(b"\0\0\0\1\x65" + bytes(range(200)), 0, 1)]},
        {"units": [(b"", 0, 1)]},
        {"codec": "no such codec"},
        {"codec": "aac"},
        {"extradata": b"\xff" * 64, "units": [(b"\x47" * 100, 5, 1)]},
    ],
)
def test_what_is_no_picture_is_said(changes: dict[str, Any]) -> None:
    made = make_still(group(**changes))
    assert made.error
    assert made.jpeg == b""


def test_a_picture_of_an_absurd_size_is_refused() -> None:
    with pytest.raises(StillError):
        small_jpeg(av.VideoFrame(8, 8, "yuv420p"))


# --- what the child says ----------------------------------------------------------------------------------------------


def result(**fields: Any) -> bytes:
    good = {"camera": "dome", "jpeg": b"\xff\xd8\xff\xd9", "width": 640, "height": 360, "at_mono_ns": 5}
    return msgspec.msgpack.encode(good | fields)


def test_ok__a_result() -> None:
    still = read_result(result(), {"dome": None})
    assert not isinstance(still, str)
    assert (still.camera, still.jpeg, still.width, still.height, still.at_mono_ns) == (
        "dome", b"\xff\xd8\xff\xd9", 640, 360, 5,
    )  # fmt: skip
    assert read_result(result(error="no picture"), {"dome": None}) == "dome: no picture"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        result(camera="side"),
        result(camera="../../etc"),
        result(jpeg=b""),
        result(jpeg=b"GIF89a"),
        result(jpeg=b"\xff\xd8" + bytes(40_000)),
        result(width=0),
        result(height=100_000),
        result(at_mono_ns=-1),
        result(width="640"),
    ],
)
def test_fail__a_child_that_was_taken_over(body: bytes) -> None:
    with pytest.raises(WireError):
        read_result(body, {"dome": None})


# --- at a press -------------------------------------------------------------------------------------------------------


def test_a_press_gives_a_still_to_core_and_keeps_the_same_bytes(rig: Rig) -> None:
    async def work() -> None:
        rig.press()
        await rig.told(1)
        await rig.saved(1)

    play(rig, work)
    name, incident_id, data = rig.core.events[0]
    jpeg = base64.b64decode(data["jpeg_base64"])
    assert (name, incident_id, data["camera"]) == ("still", INCIDENT, "dome")
    assert (data["width"], data["height"]) == (WIDTH, HEIGHT)
    assert (rig.kept / "dome-1.jpg").read_bytes() == jpeg
    (line,) = rig.lines()
    assert line["file"] == f".stills/{INCIDENT}/dome-1.jpg"
    assert line["sha256"] == data["sha256"] == hashlib.sha256(jpeg).hexdigest()
    assert line["bytes"] == len(jpeg)
    assert (line["camera"], line["incident_id"], line["at_mono_ns"]) == ("dome", INCIDENT, data["at_mono_ns"])


def test_a_further_press_soon_takes_none_and_a_later_one_does(rig: Rig, mocker: MockerFixture) -> None:
    async def work() -> None:
        rig.press(1)
        await rig.saved(1)
        rig.press(2)
        await true(lambda: rig.stills._presses == 2)
        mocker.patch.object(under_test, "AGAIN_AFTER_S", 0.0)
        rig.press(2)  # something else of the incident has changed
        await asyncio.sleep(0)
        rig.press(3)
        await rig.saved(2)

    play(rig, work)
    assert sorted(path.name for path in rig.kept.iterdir()) == ["dome-1.jpg", "dome-2.jpg"]
    assert len(rig.core.events) == 2


def test_an_old_incident_takes_none_after_a_restart(rig: Rig) -> None:
    async def work() -> None:
        rig.press(age_s=60)
        rig.press(incident_id="99999999-2222-4333-8444-555555555555")
        await rig.told(1)

    play(rig, work)
    assert [incident for _, incident, _ in rig.core.events] == ["99999999-2222-4333-8444-555555555555"]


def test_a_camera_without_a_picture_gives_one_as_soon_as_it_has_one(rig: Rig) -> None:
    rig.in_hand |= {"side": None}

    async def work() -> None:
        rig.press()
        await rig.told(1)
        rig.in_hand["side"] = (INFO, list(units(3)))
        await rig.told(2)

    play(rig, work)
    assert [data["camera"] for _, _, data in rig.core.events] == ["dome", "side"]


def test_a_camera_that_sends_rubbish_costs_no_other_its_still(rig: Rig) -> None:
    rubbish = [AccessUnit(b"\0\0\0\1\x65\xff\xff", True, 0, 0, 1)]
    rig.in_hand = {"bad": (INFO, rubbish), "dome": rig.in_hand["dome"]}

    async def work() -> None:
        rig.press()
        await rig.told(1)

    play(rig, work)
    assert rig.core.events[0][2]["camera"] == "dome"


def test_a_child_that_hangs_is_killed(rig: Rig, mocker: MockerFixture) -> None:
    mocker.patch.object(sys, "executable", "/bin/sleep")
    mocker.patch.object(under_test, "CHILD_S", 0.1)
    children: list[asyncio.subprocess.Process] = []
    make = asyncio.create_subprocess_exec

    async def hang(program: str, *_: str, **pipes: Any) -> asyncio.subprocess.Process:
        children.append(await make(program, "100", **pipes))
        return children[-1]

    mocker.patch.object(asyncio, "create_subprocess_exec", hang)

    async def work() -> None:
        rig.press()
        await true(lambda: len(children) == under_test.TRIES)
        await true(lambda: all(child.returncode is not None for child in children))

    play(rig, work)
    assert rig.core.events == []


def test_a_full_disk_keeps_none_and_core_is_told_all_the_same(rig: Rig, mocker: MockerFixture) -> None:
    mocker.patch.object(disk, "write_all", side_effect=OSError(errno.ENOSPC, "full"))

    async def work() -> None:
        rig.press()
        await rig.told(1)
        await true(lambda: rig.stills.unsaved == 1)

    play(rig, work)
    assert list(rig.kept.iterdir()) == [], "no half of a file is left"


def test_a_core_that_starts_afresh_in_the_incident_is_told_again(rig: Rig) -> None:
    async def work() -> None:
        rig.press()
        await rig.told(1)
        rig.press(session=2)
        await rig.told(2)
        rig.core.tell(Desired(session=3, number=9))

    play(rig, work)
    assert [data["sha256"] for _, _, data in rig.core.events] == [rig.core.events[0][2]["sha256"]] * 2


def test_a_name_that_is_taken_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "dome-1.jpg").write_bytes(b"before")
    assert save_exclusively(tmp_path, "dome", b"now").name == "dome-2.jpg"
    assert (tmp_path / "dome-1.jpg").read_bytes() == b"before"
    assert (tmp_path / "dome-2.jpg").read_bytes() == b"now"


def test_a_picture_larger_than_any_camera_s_is_refused_by_the_decoder() -> None:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 4352, 2304, "yuv420p"
    encoder.time_base = Fraction(1, 20)
    encoder.options = {"preset": "ultrafast", "x264-params": "annexb=1:repeat-headers=1"}
    packets = [*encoder.encode(av.VideoFrame(4352, 2304, "yuv420p")), *encoder.encode(None)]
    assert make_still(group(units=[(b"".join(bytes(each) for each in packets), 0, 1)])).error


# --- an operator's order ----------------------------------------------------------------------------------------------


def test_an_ordered_picture_is_taken_once_and_the_next_one_again(rig: Rig) -> None:
    def order(number: int) -> None:
        incident = OpenIncident(incident_id=INCIDENT, kind="panic", stage="answered", raised_mono_ns=0, presses=1)
        wanted = RecordWanted(snapshot=number)
        rig.core.tell(Desired(session=1, number=rig.core.version + 1, incident=incident, record=wanted))

    async def work() -> None:
        order(0)  # an old incident: its press's pictures were taken by a predecessor
        order(7)
        await rig.saved(1)
        order(7)
        order(0)
        order(8)
        await rig.saved(2)
        order(8)
        await asyncio.sleep(0)
        assert [line["incident_id"] for line in rig.lines()] == [INCIDENT, INCIDENT]
        assert len(rig.core.events) == 2

    play(rig, work)


def test_orders_that_no_camera_can_serve_do_not_pile_up(rig: Rig) -> None:
    rig.in_hand = {"dome": None}

    async def work() -> None:
        for number in range(1, 20):
            incident = OpenIncident(incident_id=INCIDENT, kind="panic", stage="answered", raised_mono_ns=0)
            rig.core.tell(Desired(session=1, number=number, incident=incident, record=RecordWanted(snapshot=number)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert len(rig.stills._ordered) == under_test.ORDERED_AT_ONCE

    play(rig, work)
