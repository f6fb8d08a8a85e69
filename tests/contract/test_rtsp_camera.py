"""Both RTSP drivers against the simulated camera: both transports, passwords, and every way a stream ends."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.rtsp_bench import SimCamera
from unitd.config import CameraTable
from unitd.drivers.camera_libav import LibavStream
from unitd.drivers.camera_rtsp import RtspStream
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit

Driver = type[RtspStream] | type[LibavStream]


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimCamera]:
    made = SimCamera(tmp_path_factory.mktemp("camera"))
    yield made
    made.close()


@pytest.fixture(params=[RtspStream, LibavStream])
def driver(request: pytest.FixtureRequest) -> Driver:
    chosen: Driver = request.param
    return chosen


def table(camera: SimCamera, **fields: Any) -> CameraTable:
    return CameraTable(name="dome", main_url=camera.main, sub_url=camera.sub, **fields)


def take(stream: RtspStream | LibavStream, count: int) -> list[AccessUnit]:
    taken = []
    for unit in stream.units():
        assert isinstance(unit, AccessUnit)
        taken.append(unit)
        if len(taken) == count:
            break
    return taken


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_access_units_begin_with_a_keyframe_and_time_runs_evenly(
    driver: Driver, camera: SimCamera, transport: Any
) -> None:
    stream = driver(table(camera, transport=transport), "main")
    try:
        assert (stream.info.codec, stream.info.width, stream.info.height) == ("h264", 320, 180)
        units = take(stream, 45)
    finally:
        stream.close()
    assert units[0].keyframe
    assert [unit.keyframe for unit in units].count(True) >= 2
    for unit in units:
        assert unit.data[:4] == b"\0\0\0\1"
        if unit.keyframe:
            assert unit.data[4] & 0x1F == 7
    steps = [b.dts_90khz - a.dts_90khz for a, b in itertools.pairwise(units)]
    assert all(step > 0 for step in steps)
    assert 80 * 45 < sum(steps) / len(steps) < 100 * 50
    assert stream.mended_times == 0


def test_the_first_picture_is_there_well_within_a_second(driver: Driver, camera: SimCamera) -> None:
    started = time.monotonic()
    stream = driver(table(camera), "main")
    take(stream, 1)
    stream.close()
    assert time.monotonic() - started < 0.9


def test_the_sub_profile_is_another_stream(driver: Driver, camera: SimCamera) -> None:
    stream = driver(table(camera), "sub")
    units = take(stream, 5)
    stream.close()
    assert units[4].dts_90khz - units[0].dts_90khz > 4 * 90 * 80


@pytest.mark.parametrize("fault", ["frozen", "hung"])
def test_a_stalled_stream_is_found_within_three_seconds(driver: Driver, camera: SimCamera, fault: str) -> None:
    stream = driver(table(camera), "main")
    try:
        units = stream.units()
        next(units)
        camera.fault(fault)
        started = time.monotonic()
        with pytest.raises(DeviceError):
            for _ in units:
                pass
        assert time.monotonic() - started < 3.0
    finally:
        camera.fault(None)
        stream.close()


def test_a_camera_that_is_off_or_silent_is_an_error_in_time(driver: Driver, camera: SimCamera) -> None:
    for fault in ("off", "hung"):
        camera.fault(fault)
        started = time.monotonic()
        try:
            with pytest.raises(DeviceError, match="dome: cannot open the main stream"):
                driver(table(camera), "main")
        finally:
            camera.fault(None)
        assert time.monotonic() - started < 9.0


def test_passwords_come_from_a_file_and_stay_out_of_messages(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/wo:rd\n")
    (tmp_path / "wrong").write_text("sesame\n")
    camera = SimCamera(tmp_path, "--user", "viewer", "--password-file", str(tmp_path / "password"))
    try:
        bare = camera.main.replace(camera.main.rpartition("@")[0], "rtsp://") if "@" in camera.main else camera.main
        bare = bare.replace("rtsp://@", "rtsp://")
        right = CameraTable(name="d", main_url=bare, username="viewer", password_file=str(tmp_path / "password"))
        stream = driver(right, "main")
        assert take(stream, 1)[0].keyframe
        stream.close()
        wrong = CameraTable(name="d", main_url=bare, username="viewer", password_file=str(tmp_path / "wrong"))
        with pytest.raises(DeviceError) as refused:
            driver(wrong, "main")
        assert "sesame" not in str(refused.value)
        assert "viewer" not in str(refused.value)
    finally:
        camera.close()
