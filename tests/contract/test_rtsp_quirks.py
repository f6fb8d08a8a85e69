"""Dialects of RTSP seen in the field, byte for byte, against our own client."""

import hashlib
import itertools
import re
import struct
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
import pytest

from tests.contract.fake_camera import SDP, SPROPS, FakeCamera, Request, digest_nonce, interleaved, pictures
from tests.contract.rtsp_bench import until
from tests.unit.drivers.rtp_samples import packets
from tests.unit.record.samples import HEIGHT, WIDTH, coded_second
from unitd.config import CameraTable
from unitd.drivers import camera_rtsp, rtsp_session
from unitd.drivers.camera import CameraOpener
from unitd.drivers.camera_failures import CameraAwayError, NotUnderstoodError, PasswordRefusedError
from unitd.drivers.camera_rtsp import RtspStream
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit

MakeCamera = Callable[..., FakeCamera]


@pytest.fixture
def make() -> Iterator[MakeCamera]:
    made: list[FakeCamera] = []

    def camera(**fields: Any) -> FakeCamera:
        made.append(FakeCamera(**fields).start())
        return made[-1]

    yield camera
    for one in made:
        one.close()


def table(camera: FakeCamera, url: str | None = None) -> CameraTable:
    return CameraTable(name="dome", main_url=url or camera.url)


def read(camera: FakeCamera, count: int = 40, url: str | None = None) -> list[AccessUnit]:
    stream = RtspStream(table(camera, url), "main")
    try:
        assert (stream.info.width, stream.info.height) == (WIDTH, HEIGHT)
        units = [unit for unit in itertools.islice(stream.units(), count) if isinstance(unit, AccessUnit)]
    finally:
        stream.close()
    steps = {after.pts_90khz - before.pts_90khz for before, after in itertools.pairwise(units)}
    assert steps == {4500}
    return units


@pytest.mark.parametrize(
    ("base", "control", "aggregate", "set_up", "play"),
    [
        ("{url}/", "track2", "*", "{url}/track2", "{url}/"),
        ("{url}", "track2", "*", "{url}/track2", "{url}"),
        (None, "track2", "*", "{url}/track2", "{url}"),
        (None, "trackID=2", "", "{url}/trackID=2", "{url}"),
        ("{url}/", "rtsp://10.0.0.9/other/track2", "rtsp://10.0.0.9/other", "rtsp://10.0.0.9/other/track2", "rtsp://10.0.0.9/other"),
        ("/cam", "track2", "*", "{url}/track2", "{url}"),
        ("{url}/", "", "*", "{url}/", "{url}/"),
    ],
)  # fmt: skip
def test_addresses_of_tracks_are_made_as_cameras_mean_them(
    make: MakeCamera, base: str | None, control: str, aggregate: str, set_up: str, play: str
) -> None:
    sdp = SDP.replace("a=control:track2\r\n", f"a=control:{control}\r\n" if control else "")
    sdp = sdp.replace("a=control:*\r\n", f"a=control:{aggregate}\r\n" if aggregate else "")
    camera = make(base=base, sdp=sdp)
    read(camera)
    assert camera.asked("SETUP")[0].url == set_up.format(url=camera.url)
    assert camera.asked("PLAY")[0].url == play.format(url=camera.url)


def no_sprops(sdp: str) -> str:
    return sdp.replace(f"; sprop-parameter-sets={SPROPS}", "")


REPORT = interleaved(b"\x80\xc8\x00\x06" + bytes(24), 1)
QUIRKS: dict[str, dict[str, Any]] = {
    "LF alone ends lines": {"eol": "\n", "sdp": SDP.replace("\r\n", "\n")},
    "channels changed": {"transport": "RTP/AVP/TCP;unicast;interleaved=6-7;ssrc=1", "stream": pictures(40, 6)},
    "no parameter sets in the description": {"sdp": no_sprops(SDP)},
    "a description without fmtp": {"sdp": re.sub(r"a=fmtp.*\r\n", "", SDP)},
    "a session without a time-out": {"session": "abc"},
    "RTCP in between": {
        "stream": REPORT + pictures(20) + REPORT + pictures(20, first=20),
    },
    "answers and requests between pictures": {
        "stream": pictures(20) + b"RTSP/1.0 200 OK\r\nCSeq: 99\r\nContent-Length: 3\r\n\r\n$$$"
        + b"ANNOUNCE rtsp://x/ RTSP/1.0\r\nCSeq: 5\r\nContent-Length: 4\r\n\r\nv=0\n\r\n"
        + b"OPTIONS * RTSP/1.0\r\nCSeq: 6\r\n\r\n" + pictures(20, first=20),
    },
    "rubbish between messages": {"stream": b"\0\1\2 rubbish \r\n" + pictures(40)},
    "another channel's data": {"stream": interleaved(bytes(200), 4) + pictures(40)},
    "RTSP/2.0 in the answers": {"version": "RTSP/2.0"},
    "no clock rate in the description": {"sdp": SDP.replace("H264/90000", "H264")},
    "empty parameter sets in the description": {"sdp": SDP.replace(SPROPS, ",")},
    "empty lines before each message": {
        "answers": {"DESCRIBE": lambda camera, request: b"\r\n\n\r\n" + camera.usual(request)},
    },
    "a description longer than its length": {
        "answers": {"DESCRIBE": lambda camera, request: camera.usual(request) + b"a=x\r\n\0"},
    },
    "a description shorter than its length": {
        "answers": {"DESCRIBE": lambda camera, request: camera.usual(request).replace(b"Length: ", b"Length: 1")},
    },
    "spaces around names and values": {
        "answers": {"DESCRIBE": lambda camera, request: camera.usual(request).replace(b"Length:", b"Length \t:  ")},
    },
    "another CSeq in what comes before the answer": {
        "answers": {"PLAY": lambda camera, request: b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n" + camera.usual(request)},
    },
    "a hundred channels": {
        "transport": "RTP/AVP/TCP;unicast;interleaved=100-101",
        "stream": b"".join(interleaved(bytes(90), n) for n in range(99)) + pictures(40, 100),
    },
    "reports of the end of time": {
        "stream": interleaved(b"\x80\xc8\x00\x06" + b"\xff" * 24, 1) + pictures(40),
    },
}  # fmt: skip


@pytest.mark.parametrize("quirk", QUIRKS)
def test_pictures_come_in_spite_of(make: MakeCamera, quirk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_session, "SHORT_BODY_S", 0.1)
    camera = make(**QUIRKS[quirk])
    units = read(camera)
    assert [unit.keyframe for unit in units[::20]] == [True, True]
    if quirk.startswith("answers"):
        until(lambda: len(camera.asked("ANSWER")) == 2, "our answers to the camera's requests")


def guarded(camera: FakeCamera, qop: str, nonces: list[str], user: str = "viewer", password: str = "p@ss:w") -> None:
    """Digest on each request, for the first of `nonces`; a test drops it to have the next wanted."""

    def check(camera: FakeCamera, request: Request) -> bytes:
        head = request.headers.get("authorization", "")
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', head))
        secret = hashlib.md5(f"{user}:cam:{password}".encode()).hexdigest()
        what = hashlib.md5(f"{request.method}:{request.url}".encode()).hexdigest()
        middle = f"{nonces[0]}:{fields.get('nc')}:{fields.get('cnonce')}:auth" if qop else nonces[0]
        proof = hashlib.md5(f"{secret}:{middle}:{what}".encode()).hexdigest()
        if fields.get("response") == proof:
            return camera.usual(request)
        stale = ", stale=true" if digest_nonce(request) else ""
        lines = f'WWW-Authenticate: Digest realm="cam", nonce="{nonces[0]}"{qop}{stale}\n'
        lines += 'WWW-Authenticate: Basic realm="cam"'
        return camera.answer(request, lines, status="401 Unauthorized")

    for method in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "GET_PARAMETER"):
        camera.answers[method] = check


@pytest.mark.parametrize("qop", ["", ', qop="auth"', ', algorithm=MD5, qop="auth,auth-int"'])
def test_digest_with_and_without_qop_from_the_address(make: MakeCamera, qop: str) -> None:
    camera = make()
    guarded(camera, qop, ["n1"])
    read(camera, url=camera.url.replace("rtsp://", "rtsp://viewer:p%40ss%3Aw@"))
    assert all("Basic" not in request.headers.get("authorization", "") for request in camera.requests)
    assert "p%40ss" not in "".join(request.url for request in camera.requests)


def test_a_wrong_password_is_tried_once_by_digest_and_once_in_clear(make: MakeCamera) -> None:
    camera = make()
    guarded(camera, "", ["n1"], password="another")
    camera.answers["DESCRIBE"] = lambda camera, request: camera.answer(
        request, 'WWW-Authenticate: Digest realm="cam", nonce="n1"\n', status="401 Unauthorized"
    )
    with pytest.raises(PasswordRefusedError, match="refuses the password"):
        read(camera, url=camera.url.replace("rtsp://", "rtsp://viewer:wrong@"))
    assert len(camera.asked("DESCRIBE")) <= 2


def test_a_nonce_that_went_stale_is_renewed_at_play_and_at_keep_alive(make: MakeCamera) -> None:
    nonces = ["n1", "n2", "n3"]
    camera = make(session="1;timeout=1")
    guarded(camera, ', qop="auth"', nonces)
    plain = camera.answers["SETUP"]

    def then_stale(camera: FakeCamera, request: Request) -> bytes:
        reply = plain(camera, request)
        nonces.pop(0)
        return reply

    camera.answers["SETUP"] = then_stale
    address = camera.url.replace("rtsp://", "rtsp://viewer:p%40ss%3Aw@")
    stream = RtspStream(table(camera, address), "main", sound=False)
    try:
        assert len(camera.asked("PLAY")) == 2
        nonces.pop(0)
        with pytest.raises(DeviceError, match="no picture"):
            for _ in stream.units():
                pass
        until(lambda: [digest_nonce(one) for one in camera.asked("GET_PARAMETER")][:2] == ["n2", "n3"], "renewed")
    finally:
        stream.close()


@pytest.mark.parametrize("public", ["OPTIONS, DESCRIBE, SETUP, PLAY", "OPTIONS, GET_PARAMETER"])
def test_keep_alive_falls_back_to_options(make: MakeCamera, public: str) -> None:
    camera = make(session="1;timeout=1", public=public)
    camera.answers["GET_PARAMETER"] = lambda camera, request: camera.answer(request, status="501 Not Implemented")
    stream = RtspStream(table(camera), "main")
    try:
        with pytest.raises(DeviceError):
            for _ in stream.units():
                pass
        assert len(camera.asked("GET_PARAMETER")) == ("GET_PARAMETER" in public)
        assert len(camera.asked("OPTIONS")) >= 2
        assert all(one.headers["session"] == "1" for one in camera.asked("OPTIONS")[1:])
    finally:
        stream.close()


def test_a_session_that_the_camera_forgot_ends_at_once(make: MakeCamera) -> None:
    camera = make(session="1;timeout=1")
    camera.answers["GET_PARAMETER"] = lambda camera, request: camera.answer(request, status="454 Session Not Found")
    stream = RtspStream(table(camera), "main")
    try:
        with pytest.raises(DeviceError, match="forgotten the session"):
            for _ in stream.units():
                pass
    finally:
        stream.close()


def test_a_session_unknown_at_play_is_the_cameras_refusal(make: MakeCamera) -> None:
    camera = make(answers={"PLAY": refusal("454 Session Not Found")})
    with pytest.raises(DeviceError, match="PLAY: 454"):
        read(camera)


def test_another_source_within_the_session_costs_no_picture(make: MakeCamera) -> None:
    """Another SSRC, other numbers, times of another origin."""
    stream, sequence = pictures(20), 100
    for number in range(20):
        group = packets(coded_second()[number][0], sequence, 77 + number * 4500)
        sequence += len(group)
        stream += b"".join(interleaved(packet[:8] + b"\0\0\0\x63" + packet[12:]) for packet in group)
    source = RtspStream(table(make(stream=stream)), "main")
    try:
        units = [unit for unit in itertools.islice(source.units(), 40) if isinstance(unit, AccessUnit)]
    finally:
        source.close()
    assert [unit.keyframe for unit in units[::20]] == [True, True]
    assert all(after.dts_90khz > before.dts_90khz for before, after in itertools.pairwise(units))
    assert source.mended_times == 1


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Moved Temporarily"])
def test_a_redirect_is_followed_once(make: MakeCamera, status: str) -> None:
    there = make()

    def away(camera: FakeCamera, request: Request) -> bytes:
        return camera.answer(request, f"Location: {there.url}", status=status)

    here = make(answers={"DESCRIBE": away})
    read(here)
    there.answers["DESCRIBE"] = lambda camera, request: camera.answer(
        request, f"Location: {here.url}", status="302 Moved Temporarily"
    )
    with pytest.raises(NotUnderstoodError, match="redirected"):
        read(here)


def test_a_server_that_ends_in_the_middle_of_a_picture_is_an_error_at_once(make: MakeCamera) -> None:
    camera = make(stream=pictures(30)[:-100], close_after_stream=True)
    stream = RtspStream(table(camera), "main")
    units: list[AccessUnit] = []
    try:
        with pytest.raises(DeviceError, match="closed the connection"):
            units.extend(unit for unit in stream.units() if isinstance(unit, AccessUnit))
    finally:
        stream.close()
    assert len(units) == 29


def small_pictures(count: int) -> list[bytes]:
    """Pictures of another size, the first a keyframe with its parameter sets."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 160, 96, "yuv420p", Fraction(1, 20)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1"}
    found = []
    for number in range(count):
        frame = av.VideoFrame(160, 96, "yuv420p")
        frame.pts = number
        found += [bytes(packet) for packet in encoder.encode(frame)]
    return found


def test_other_parameters_in_the_stream_cost_no_picture_and_are_told_with_their_keyframe(make: MakeCamera) -> None:
    stream, sequence = pictures(20), 2000
    for number, data in enumerate(small_pictures(10), start=20):
        group = packets(data, sequence, 2**32 - 9000 + number * 4500)
        sequence += len(group)
        stream += b"".join(interleaved(packet) for packet in group)
    camera = make(stream=stream)
    source = RtspStream(table(camera), "main")
    try:
        sizes = [(source.info.width, unit.pts_90khz) for unit in itertools.islice(source.units(), 30)]
        assert [width for width, _ in sizes] == [320] * 20 + [160] * 10
        assert {after - before for (_, before), (_, after) in itertools.pairwise(sizes)} == {4500}
    finally:
        source.close()


def test_a_refused_password_is_tried_again_slowly_and_said(make: MakeCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    camera, opener, now = make(), CameraOpener(), [1000.0]
    guarded(camera, "", ["n1"], password="another")
    camera.answers["DESCRIBE"] = lambda camera, request: camera.answer(
        request, 'WWW-Authenticate: Digest realm="cam", nonce="n1"\n', status="401 Unauthorized"
    )
    monkeypatch.setattr("unitd.drivers.camera.time.monotonic", lambda: now[0])
    wrong = table(camera, camera.url.replace("rtsp://", "rtsp://viewer:wrong@"))
    asked = []
    for second in range(0, 700, 2):
        now[0] = 1000.0 + second
        before = len(camera.asked("DESCRIBE"))
        with pytest.raises(PasswordRefusedError, match="dome: the camera refuses the password"):
            opener.open(wrong, "main")
        if len(camera.asked("DESCRIBE")) > before:
            asked.append(second)
    assert asked == [0, 2, 12, 42, 102, 222, 522]


def refusal(status: str) -> Callable[[FakeCamera, Request], bytes]:
    return lambda camera, request: camera.answer(request, status=status)


def raw(data: bytes) -> Callable[[FakeCamera, Request], bytes]:
    return lambda camera, request: data


MULTI_TIME = b"".join(interleaved(struct.pack(">BBHII", 128, 224, n, n, 7) + b"\x1a123") for n in range(99))
BROKEN: dict[str, dict[str, Any]] = {
    "refuses DESCRIBE": {"answers": {"DESCRIBE": refusal("406 Not Acceptable")}},
    "refuses SETUP": {"answers": {"SETUP": refusal("461 Unsupported Transport")}},
    "refuses PLAY": {"answers": {"PLAY": refusal("455 Method Not Valid in This State")}},
    "another codec": {"sdp": SDP.replace("H264", "JPEG")},
    "interleaved mode": {"sdp": SDP.replace("packetization-mode=1", "packetization-mode=2")},
    "10 MB of description": {"answers": {"DESCRIBE": raw(b"RTSP/1.0 200 OK\r\nContent-Length: 10000000\r\n\r\nv=0")}},
    "a negative length": {"answers": {"DESCRIBE": raw(b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n")}},
    "speaks HTTP": {"answers": {"OPTIONS": raw(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 50_000)}},
    "multi-time packets": {"stream": MULTI_TIME},
    "no keyframe": {"stream": pictures(19, first=1), "sdp": SDP},
    "says nothing": {"answers": {"DESCRIBE": raw(b"")}},
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_whatever_gives_no_picture_is_tried_with_ffmpeg_next(
    make: MakeCamera, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_rtsp, "OPEN_TIMEOUT_S", 0.6)
    monkeypatch.setattr(camera_rtsp, "NO_KEYFRAME_S", 0.6)
    tried: list[str] = []
    monkeypatch.setattr("unitd.drivers.camera.LibavStream", lambda camera, profile: tried.append("ffmpeg"))
    opener, camera = CameraOpener(), make(**BROKEN[kind])
    started = time.monotonic()
    with pytest.raises(DeviceError, match="dome: cannot open the main stream"):
        opener.open(table(camera), "main")
    assert time.monotonic() - started < 2.0
    opener.open(table(camera), "main")
    assert tried == ["ffmpeg"]


def test_an_answer_that_drips_is_given_up_in_time(make: MakeCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_rtsp, "OPEN_TIMEOUT_S", 0.5)
    camera = make(drip_s=0.02)
    started = time.monotonic()
    with pytest.raises(DeviceError):
        read(camera)
    assert 0.4 < time.monotonic() - started < 1.5


def test_a_refused_connection_is_not_the_clients_fault(make: MakeCamera) -> None:
    camera = make()
    camera.close()
    opener = CameraOpener()
    for _ in range(3):
        with pytest.raises(CameraAwayError):
            opener.open(table(camera), "main")
