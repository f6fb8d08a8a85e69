"""A camera's sound never costs its picture, whatever the camera does with it."""

import itertools
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.fake_camera import SDP, FakeCamera, Request, interleaved
from tests.unit.drivers.rtp_samples import packets
from tests.unit.record.samples import coded_second
from unitd.config import CameraTable
from unitd.drivers import camera_rtsp, rtsp_session
from unitd.drivers.camera_rtsp import RtspStream
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit, AudioUnit

PICTURES = 40
AAC = (
    "m=audio 0 RTP/AVP 97\r\na=control:track1\r\na=rtpmap:97 mpeg4-generic/16000/2\r\n"
    "a=fmtp:97 mode=AAC-hbr; config=1410; sizelength=13; indexlength=3; indexdeltalength=3\r\n"
)
OPUS = "m=audio 0 RTP/AVP 97\r\na=control:track1\r\na=rtpmap:97 opus/48000/2\r\na=fmtp:97 stereo=1\r\n"


def heard(number: int, payload: bytes, kind: int = 0, ssrc: int = 9, at: int = 0) -> bytes:
    """The n-th 20 ms of sound (of 8000 Hz), on channel 2."""
    head = struct.pack(">BBHII", 0x80, kind, number & 0xFFFF, (2**32 - 800 + at + number * 160) % 2**32, ssrc)
    return interleaved(head + payload, 2)


def beside(sound: Callable[[int], bytes], channel: int = 0) -> list[bytes]:
    """Pictures, each with what `sound` gives behind it."""
    found, sequence = [], 65_000
    for number in range(PICTURES):
        group = packets(coded_second()[number % 20][0], sequence, 2**32 - 9000 + number * 4500)
        sequence += len(group)
        found.append(b"".join(interleaved(packet, channel) for packet in group) + sound(number))
    return found


def two(number: int) -> bytes:
    return heard(2 * number, b"\xd5" * 160) + heard(2 * number + 1, b"\xd5" * 160)


def tracks(camera: FakeCamera, request: Request) -> bytes:
    """SETUP as it should be: the channels that were asked for."""
    return camera.answer(request, f"Session: 1\nTransport: {request.headers['transport']}")


def of_sound(answer: Callable[[FakeCamera, Request], bytes]) -> Callable[[FakeCamera, Request], bytes]:
    return lambda camera, request: (answer if "track1" in request.url else tracks)(camera, request)


def refused(camera: FakeCamera, request: Request) -> bytes:
    return camera.answer(request, status="461 Unsupported Transport")


def no_play_with_it(camera: FakeCamera, request: Request) -> bytes:
    """Some play one stream at a time."""
    asked = [one.url for one in camera.requests if one.method in ("SETUP", "DESCRIBE")]
    if "track1" in asked[-1]:
        return camera.answer(request, status="460 Only aggregate operation allowed")
    return camera.usual(request)


def moved(camera: FakeCamera, request: Request) -> bytes:
    return tracks(camera, request).replace(b"interleaved=2-3", b"interleaved=0-1")


def report(ntp: int, timestamp: int, channel: int) -> bytes:
    return interleaved(struct.pack(">BBHIQIII", 0x80, 200, 6, 7, ntp, timestamp, 0, 0), channel)


ODD: dict[str, dict[str, Any]] = {
    "as it should be": {},
    "its SETUP is refused": {"answers": {"SETUP": of_sound(refused)}, "silent": True},
    "its SETUP is not answered": {"answers": {"SETUP": of_sound(lambda camera, request: b"")}, "silent": True},
    "PLAY is refused with it": {"answers": {"PLAY": no_play_with_it, "SETUP": tracks}, "silent": True},
    "it gets the pictures' channels": {"answers": {"SETUP": of_sound(moved)}, "silent": True},
    "none comes": {"stream": beside(lambda number: b""), "silent": True},
    "it ends": {"stream": beside(lambda number: two(number) if number < 20 else b"")},
    "it comes and goes": {"stream": beside(lambda number: two(number) if number // 5 % 2 else b"")},
    "another source": {"stream": beside(lambda n: two(n) if n < 20 else heard(n, b"\xd5" * 160, ssrc=5, at=2**31))},
    "reports of the end of time": {
        "stream": beside(lambda n: two(n) + report(2**64 - 1 - n, n, 1) + report(n, 2**32 - 1 - n, 3))
    },
    "its end is said": {"stream": beside(lambda n: two(n) + interleaved(b"\x81\xcb\x00\x01\0\0\0\x09", 3))},
    "the end is said and is none": {"stream": beside(lambda n: two(n) + interleaved(b"\x81\xcb\x00\x01\0\0\0\x07", 1))},
    "AAC that is none": {
        "sdp": SDP.replace("m=audio 0 RTP/AVP 0\r\na=control:track1\r\n", AAC),
        "stream": beside(lambda n: heard(n, bytes([n, 255 - n, 7]) * n, 97)),
        "silent": True,
    },
    "Opus that is none": {
        "sdp": SDP.replace("m=audio 0 RTP/AVP 0\r\na=control:track1\r\n", OPUS),
        "stream": beside(lambda n: heard(n, bytes([n, 255 - n, 7]) * n, 97)),
        "silent": True,
    },
    "too many channels": {
        "sdp": SDP.replace("m=audio 0 RTP/AVP 0", "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/96000/6"),
        "silent": True,
    },
    "a rate that AAC does not have": {
        "sdp": SDP.replace("m=audio 0 RTP/AVP 0", "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/9600/1"),
        "silent": True,
    },
}


@pytest.mark.parametrize("oddity", ODD)
def test_pictures_come_to_the_tick_when(oddity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_session, "SOUND_ANSWER_S", 0.2)
    fields = dict(ODD[oddity])
    silent, steps = fields.pop("silent", False), iter(fields.pop("stream", beside(two)))
    camera = FakeCamera(**{"answers": {"SETUP": tracks}, "stream": next(steps), **fields}).start()
    stream = RtspStream(CameraTable(name="dome", main_url=camera.url), "main")
    stream.hearing = True
    pictures: list[AccessUnit] = []
    sounds: list[AudioUnit] = []
    try:
        for unit in stream.units():
            if isinstance(unit, AccessUnit):
                pictures.append(unit)
                if len(pictures) == PICTURES:
                    break
                camera.send(next(steps))
            else:
                sounds.append(unit)
    finally:
        stream.close()
        camera.close()
    assert {after.pts_90khz - before.pts_90khz for before, after in itertools.pairwise(pictures)} == {4500}
    assert len(camera.asked("DESCRIBE")) == (2 if oddity.startswith("PLAY") else 1), "asked again only where it must be"
    assert all(after.pts_90khz > before.pts_90khz for before, after in itertools.pairwise(sounds))
    if "none" not in oddity or "come" in oddity:
        assert bool(sounds) != silent


def test_a_camera_that_hangs_up_when_its_sound_is_asked_for_is_asked_again_at_once() -> None:
    camera = FakeCamera(answers={"SETUP": tracks}, stream=b"".join(beside(two)))

    def hang_up(one: FakeCamera, request: Request) -> bytes:
        if "track1" in request.url:
            raise ConnectionError
        return tracks(one, request)

    camera.answers["SETUP"] = hang_up
    camera.start()
    try:
        stream = RtspStream(CameraTable(name="dome", main_url=camera.url), "main")
        assert len(list(itertools.islice(stream.units(), PICTURES))) == PICTURES
        assert stream.info.audio is None
        stream.close()
    finally:
        camera.close()
    assert [request.method for request in camera.requests].count("DESCRIBE") == 2


def test_sound_alone_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera whose sound goes on is lost as soon as any other."""
    monkeypatch.setattr(camera_rtsp, "STALL_S", 0.3)
    monkeypatch.setattr(camera_rtsp, "POLL_S", 0.05)
    more = b"".join(two(number) for number in range(PICTURES, PICTURES + 60))
    camera = FakeCamera(answers={"SETUP": tracks}, stream=b"".join(beside(two)) + more).start()
    stream = RtspStream(CameraTable(name="dome", main_url=camera.url), "main")
    stream.hearing = True
    try:
        with pytest.raises(DeviceError, match=r"no picture for 0\.3 s"):
            list(stream.units())
    finally:
        stream.close()
        camera.close()
