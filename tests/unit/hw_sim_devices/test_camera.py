"""The camera as its clients see it: PyAV over TCP and UDP, ffprobe, and plain sockets for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import threading
import time

import av
import numpy as np
import pytest

from hw_sim.devices.camera import TEST_PROFILES, VideoProfile
from hw_sim.devices.camera.client import QUEUE_UNITS
from hw_sim.devices.dome import PRESET_PANEL, PRESETS
from hw_sim.world.pose import HOME
from hw_sim.world.street import Street
from hw_sim.world.timecode import read_time_code
from tests.unit.hw_sim_devices.camera_clients import Talk, begins_with_sps, run, running_camera, until, watch

SIZES = {profile.name: (profile.width, profile.height) for profile in TEST_PROFILES}


def test_ok__both_profiles_over_both_transports_at_once() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            ways = [(profile, transport) for profile in ("main", "sub") for transport in ("tcp", "udp")]
            played = await asyncio.gather(*(asyncio.to_thread(watch, camera.url(p), t, 12) for p, t in ways))
            for (profile, transport), seen in zip(ways, played, strict=True):
                width, height = SIZES[profile]
                assert all(picture.shape == (height, width, 3) for picture, _, _ in seen)
                codes = [code for _, code, _ in seen]
                assert None not in codes, (profile, transport)
                steps = np.diff(np.array(codes, dtype=np.int64))
                assert (steps > 0).all(), (profile, transport, codes)
                assert seen[-1][2] < 1500, (profile, transport, "too old")
            await until(lambda: camera.status()["connections"] == 0, "all clients are gone")
            assert camera.status()["dropped"] == 0

    run(scene())


def test_ok__a_second_kind_of_client() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            for transport in ("tcp", "udp"):
                command = ["ffprobe", "-v", "error", "-rtsp_transport", transport, "-show_streams", "-of", "json"]
                done = await asyncio.to_thread(
                    subprocess.run, [*command, camera.url("main")], capture_output=True, text=True, timeout=30
                )
                assert done.returncode == 0, done.stderr
                stream = json.loads(done.stdout)["streams"][0]
                assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", *SIZES["main"])

    run(scene())


def test_ok__pictures_follow_the_dome() -> None:
    held = [HOME]

    async def scene() -> None:
        async with running_camera(lambda: held[0]) as camera:
            wide = (await asyncio.to_thread(watch, camera.url("sub"), "tcp", 1))[0][0]
            held[0] = PRESETS[PRESET_PANEL]
            close = (await asyncio.to_thread(watch, camera.url("sub"), "tcp", 1))[0][0]
            expected = Street(1).view(3.2, -19.4, 3.6, *SIZES["sub"], 0)
            assert np.abs(close[30:160].astype(int) - expected[30:160]).mean() < 12
            assert np.abs(wide[30:160].astype(int) - expected[30:160]).mean() > 25

    run(scene())


def test_ok__one_encoding_for_all_clients_and_none_without() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            await asyncio.gather(*(asyncio.to_thread(watch, camera.url("main"), "tcp", 20) for _ in range(3)))
            await until(lambda: camera.status()["clients"] == 0, "all clients are gone")
            frames = camera.status()["frames"]
            assert frames < 2 * 20 + 25, "each client had an encoder of its own"
            await asyncio.sleep(0.3)
            assert camera.status()["frames"] == frames, "pictures are taken for nobody"

    run(scene())


def test_ok__the_dialogue_by_hand() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            url, talk = camera.url("main"), await Talk.to(camera)
            status, headers, _ = await talk.ask("OPTIONS", "*")
            assert status == 200
            assert "DESCRIBE" in headers["public"]
            status, headers, sdp = await talk.ask("DESCRIBE", url, Accept="application/sdp")
            assert status == 200
            assert headers["content-base"] == url + "/"
            assert "a=rtpmap:96 H264/90000" in sdp
            assert "packetization-mode=1" in sdp
            status, headers, _ = await talk.ask("SETUP", url + "/trackID=0", Transport="RTP/AVP/TCP;interleaved=4-5")
            assert status == 200
            assert "interleaved=4-5" in headers["transport"]
            session = headers["session"].split(";")[0]
            status, headers, _ = await talk.ask("PLAY", url, Session=session)
            assert status == 200
            first_seq = int(headers["rtp-info"].split("seq=")[1].split(";")[0])
            packets = [await talk.packet() for _ in range(40)]
            assert {channel for channel, _ in packets} == {4, 5}
            rtp = [packet for channel, packet in packets if channel == 4]
            assert int.from_bytes(rtp[0][2:4], "big") == first_seq
            # The first picture is a keyframe: its parameter sets come first.
            assert begins_with_sps(rtp[0])
            reports = [packet for channel, packet in packets if channel == 5]
            assert reports[0][1] == 200
            assert (await talk.ask("GET_PARAMETER", url, Session=session))[0] == 200
            assert (await talk.ask("PAUSE", url, Session=session))[0] == 200
            assert camera.status()["clients"] == 0
            assert (await talk.ask("PLAY", url, Session=session))[0] == 200
            assert (await talk.ask("TEARDOWN", url, Session=session))[0] == 200
            assert await talk.reader.read() == b""

    run(scene())


def test_fail__wrong_requests_get_their_status() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            url, talk = camera.url("main"), await Talk.to(camera)
            nowhere = url.replace("main", "none")
            assert (await talk.ask("DESCRIBE", nowhere))[0] == 404
            assert (await talk.ask("SETUP", nowhere, Transport="RTP/AVP/TCP"))[0] == 404
            assert (await talk.ask("SETUP", url, Transport="RTP/AVP;multicast"))[0] == 461
            assert (await talk.ask("PLAY", url))[0] == 455
            assert (await talk.ask("PAUSE", url))[0] == 455
            assert (await talk.ask("PLAY", url, Session="nonsense"))[0] == 454
            assert (await talk.ask("RECORD", url))[0] == 405
            talk.writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await talk.answer())[0] == 400
            assert await talk.reader.read() == b""
            # Too long a head ends the connection and nothing else.
            talk = await Talk.to(camera)
            talk.writer.write(b"x" * 100_000)
            with contextlib.suppress(ConnectionError):
                assert await talk.reader.read() == b""
            assert (await (await Talk.to(camera)).ask("OPTIONS", "*"))[0] == 200

    run(scene())


def test_ok__credentials_by_digest() -> None:
    async def scene() -> None:
        async with running_camera(user="admin", password="s3cret") as camera:
            assert len(await asyncio.to_thread(watch, camera.url("sub"), "tcp", 2)) == 2
            bare = camera.url("sub").replace("admin:s3cret@", "")
            status, headers, _ = await (await Talk.to(camera)).ask("DESCRIBE", bare)
            assert status == 401
            assert headers["www-authenticate"].startswith("Digest ")
            with pytest.raises(av.error.FFmpegError):
                await asyncio.to_thread(watch, bare, "tcp", 1)

    run(scene())


def test_ok__a_slow_client_loses_pictures_and_nobody_else_does() -> None:
    async def scene() -> None:
        # A high rate, so that the buffers on the way fill soon.
        async with running_camera(profiles=[VideoProfile("main", 640, 360, 20, 8_000_000)]) as camera:
            slow = await Talk.to(camera, receive_bytes=8192)
            await slow.play(camera.url("main"))
            # It reads nothing from here on; the kernel's and our buffers fill.
            await until(lambda: camera.status()["dropped"], "the slow client loses pictures", 20.0)
            # Some pictures later: a new client gets a keyframe, which must not be what the slow one goes on with.
            frames = camera.status()["frames"]
            await until(lambda: camera.status()["frames"] >= frames + 3, "pictures go on")
            seen = await asyncio.to_thread(watch, camera.url("main"), "tcp", 20)
            assert seen[-1][2] < 1000
            assert camera.status()["clients"] >= 1
            # It reads again: what comes after the gap begins with a keyframe.
            gap_seen = False
            last = None
            deadline = time.monotonic() + 15
            while not gap_seen:
                assert time.monotonic() < deadline
                channel, packet = await slow.packet()
                if channel != 0:
                    continue
                stamp = int.from_bytes(packet[4:8], "big")
                if last is not None and (stamp - last) % 2**32 > 90_000 * 0.4:
                    gap_seen = True
                    assert begins_with_sps(packet), "the stream goes on without a keyframe"
                last = stamp

    run(scene())


def test_ok__a_client_that_joins_gets_a_keyframe_at_once() -> None:
    async def scene() -> None:
        # Left to itself this camera would make the next keyframe in a minute.
        async with running_camera(
            profiles=[VideoProfile("main", 320, 180, 10, 150_000, keyframe_every_s=60)]
        ) as camera:
            first = await Talk.to(camera)
            await first.play(camera.url("main"))
            for _ in range(15):
                await first.packet()
            for _ in range(3):
                joining = await Talk.to(camera)
                await joining.play(camera.url("main"))
                async with asyncio.timeout(5):
                    packets = [await joining.packet() for _ in range(3)]
                assert begins_with_sps(next(packet for channel, packet in packets if channel == 0))

    run(scene())


def test_ok__queue_is_bounded() -> None:
    assert QUEUE_UNITS <= 100


def test_ok__snapshot() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            jpeg = await camera.snapshot_jpeg(640, 360)
            with av.open(io.BytesIO(jpeg), format="jpeg_pipe") as image:
                picture = next(image.decode(video=0)).to_ndarray(format="rgb24")
            assert picture.shape == (360, 640, 3)
            assert read_time_code(picture) is not None

    run(scene())


def test_ok__stop_leaves_no_thread() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            talk = await Talk.to(camera)
            await talk.play(camera.url("main"))
            await talk.packet()

    run(scene())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("camera-")]
