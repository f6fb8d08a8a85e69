"""Cameras by servers that are not ours, gst-rtsp-server and VLC: each client, or one that falls back to another."""

import contextlib
import itertools
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contract.gst_bench import AUDIO, B_FRAMES, H265, H265_B_FRAMES, PLAIN, SLICES, gst_camera
from tests.contract.rtsp_bench import LIMIT_S, Bench, until
from unitd.config import CameraTable
from unitd.drivers.camera import CameraOpener, CameraSession
from unitd.drivers.camera_libav import LibavStream
from unitd.drivers.camera_rtsp import RtspStream
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit

PASSWORD = "p@ss/wo:rd"

Driver = type[RtspStream] | type[LibavStream]
both = pytest.mark.parametrize("driver", [RtspStream, LibavStream])


@contextmanager
def vlc(base: Path) -> Iterator[str]:
    """The address of a file that VLC serves; it does so by UDP alone, and never as root."""
    film = base / "film.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=20", "-f", "lavfi", "-i", "sine=r=8000", "-t", "20"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "20", "-c:a", "pcm_alaw"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *coded, str(film)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["env", f"HOME={base}", "cvlc", "--loop", "/dev/stdin", "--demux=mkv", "--sout-keep"]
    command += ["--sout", f"#rtp{{sdp=rtsp://127.0.0.1:{port}/stream}}"]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    with film.open("rb") as stdin:
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(port), "VLC")
        yield f"rtsp://127.0.0.1:{port}/stream"
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def take(stream: RtspStream | LibavStream | CameraSession, count: int) -> list[AccessUnit]:
    try:
        found = (unit for unit in stream.units() if isinstance(unit, AccessUnit))
        return list(itertools.islice(found, count))
    finally:
        stream.close()


def eventually(driver: Driver, table: CameraTable, count: int) -> list[AccessUnit]:
    """`count` pictures in one session. A server that stands still for 2 s on a busy machine is opened again."""

    def attempt() -> list[AccessUnit] | None:
        with contextlib.suppress(DeviceError):
            return take(driver(table, "main"), count)
        return None

    found: list[AccessUnit] = until(attempt, "pictures")
    return found


def judge(units: list[AccessUnit], count: int) -> None:
    """Every picture of 20 a second, a keyframe a second, each 4500 ticks after the one before."""
    assert len(units) == count
    assert units[0].keyframe
    assert sum(unit.keyframe for unit in units) >= count // 20
    steps = [after.dts_90khz - before.dts_90khz for before, after in itertools.pairwise(units)]
    assert all(4400 < step < 4600 for step in steps), steps
    assert all(after.pts_90khz > before.pts_90khz for before, after in itertools.pairwise(units))


@both
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_gst_rtsp_server_by_both_transports(driver: Driver, transport: Any) -> None:
    with gst_camera(video=PLAIN) as url:
        stream = driver(CameraTable(name="dome", main_url=url, transport=transport), "main")
        assert (stream.info.codec, stream.info.width, stream.info.height) == ("h264", 320, 180)
        judge(take(stream, 50), 50)
        assert (stream.mended_times, stream.damaged_units) == (0, 0)


@both
def test_a_picture_in_slices_beside_an_audio_track(driver: Driver) -> None:
    with gst_camera(video=SLICES, audio=AUDIO) as url:
        judge(eventually(driver, CameraTable(name="dome", main_url=url), 50), 50)


@both
@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_basic_and_digest_of_gst_rtsp_server(driver: Driver, scheme: str, tmp_path: Path) -> None:
    secret, wrong = tmp_path / "password", tmp_path / "wrong"
    secret.write_text(PASSWORD + "\n")
    wrong.write_text("sesame\n")
    with gst_camera(video=PLAIN, auth=scheme, user="viewer", password=PASSWORD) as url:
        right = CameraTable(name="dome", main_url=url, username="viewer", password_file=str(secret))
        judge(eventually(driver, right, 25), 25)
        with pytest.raises(DeviceError) as refused:
            driver(CameraTable(name="dome", main_url=url, username="viewer", password_file=str(wrong)), "main")
        assert "sesame" not in str(refused.value)


def reopened(table: CameraTable, count: int) -> tuple[list[str], list[AccessUnit]]:
    """Reopen as `record` does until `count` pictures come: what was tried, and the pictures."""
    opener, ways = CameraOpener(), list[str]()

    def attempt() -> list[AccessUnit] | None:
        try:
            session = opener.open(table, "main")
        except DeviceError as error:
            ways.append(str(error))
            return None
        ways.append(session.client)
        with contextlib.suppress(DeviceError):
            return take(session, count)
        return None

    return ways, until(attempt, "pictures")


@pytest.mark.parametrize("video", [B_FRAMES, H265_B_FRAMES])
def test_b_frames_keep_their_order_and_their_times(video: str) -> None:
    with gst_camera(video=video) as url:
        ways, units = reopened(CameraTable(name="dome", main_url=url), 40)
    assert ways[-1] == "own/tcp"
    assert all(after.dts_90khz > before.dts_90khz for before, after in itertools.pairwise(units))
    assert all(unit.dts_90khz <= unit.pts_90khz for unit in units)
    assert any(unit.pts_90khz - unit.dts_90khz >= 4400 for unit in units)
    shown = sorted(unit.pts_90khz for unit in units)[:-4]
    assert all(4400 < after - before < 4600 for before, after in itertools.pairwise(shown)), shown


def test_a_server_that_refuses_tcp_is_read_by_udp() -> None:
    with gst_camera(video=PLAIN, udp=True) as url:
        ways, units = reopened(CameraTable(name="dome", main_url=url), 40)
    assert ways[-1].endswith("/udp")
    judge(units, 40)


@both
def test_vlc(driver: Driver, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with vlc(tmp_path) as url:
        table = CameraTable(name="dome", main_url=url, transport="udp")

        def attempt() -> list[AccessUnit] | None:
            with contextlib.suppress(DeviceError):  # it answers before it has anything to describe
                return take(driver(table, "main"), 45)
            return None

        judge(until(attempt, "pictures from VLC"), 45)


@pytest.mark.parametrize(("video", "codec"), [(H265, "hevc"), (B_FRAMES, "h264"), (PLAIN, "h264")])
def test_record_keeps_what_the_camera_sends(video: str, codec: str, tmp_path: Path) -> None:
    with gst_camera(video=video, audio=AUDIO) as url:
        bench = Bench(tmp_path, SimpleNamespace(main=url, sub=url))  # type: ignore[arg-type]
        try:
            with bench.process("record"):
                until(lambda: len(bench.core.named("segment_closed")) >= 2, "two segments")
                until(lambda: bench.core.health.facts.get("dome.client"), "the client in the facts")
                client = "own/tcp"
                assert bench.core.health.facts["dome.client"] == client
                assert bench.core.faults() == ({"camera_codec"} if codec == "hevc" else set())
        finally:
            bench.core.close()
        assert f'"client": "{client}"' in (tmp_path / "record.log").read_text()
        frames = [played(path, codec) for path in bench.segments()]
        assert max(frames) >= 40


def played(path: Path, codec: str) -> int:
    """How many pictures ffprobe decodes out of a segment, without an error."""
    shown = ["-show_entries", "stream=codec_name,nb_read_frames", "-of", "json"]
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", *shown, str(path)], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    stream = json.loads(done.stdout)["streams"][0]
    assert stream["codec_name"] == codec
    return int(stream["nb_read_frames"])
