"""What comes from a camera: RTSP, its description, its credentials' challenge, RTP in TCP and UDP, and H.264."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest.mock import patch

from tests.fuzz.target import Target, registry
from unitd.drivers.camera_sound import CameraSound
from unitd.drivers.h264_sps import MAX_SIDE, picture_size
from unitd.drivers.h265_sps import read_sps as read_h265_sps
from unitd.drivers.rtcp import parse_rtcp
from unitd.drivers.rtp_clock import ReorderedError, RtpClock
from unitd.drivers.rtp_h264 import MAX_PARAMETER_SETS, MAX_UNIT_BYTES, Depacketizer
from unitd.drivers.rtp_h265 import H265Depacketizer
from unitd.drivers.rtp_udp import REORDER_PACKETS, UdpPair
from unitd.drivers.rtsp_auth import authorization, parse_challenges
from unitd.drivers.rtsp_session import RtspSession
from unitd.drivers.rtsp_wire import MAX_BODY_BYTES, MAX_HEAD_BYTES, Incoming, RtspError, UnsupportedStreamError
from unitd.drivers.sdp import parse_sdp, resolve
from unitd.drivers.sdp_sound import parse_sound

WORDS = (
    b"RTSP/1.0 200 OK\r\n",
    b"RTSP/1.0 401 Unauthorized\r\n",
    b"CSeq: 1\r\n",
    b"CSeq: 2\r\n",
    b"Content-Length: ",
    b"Session: ",
    b"Transport: RTP/AVP/TCP;interleaved=0-1\r\n",
    b"WWW-Authenticate: Digest ",
    b"Location: rtsp://",
    b"\r\n\r\n",
    b"$\0",
    b"m=video 0 RTP/AVP 96\r\n",
    b"a=rtpmap:96 H264/90000\r\n",
    b"a=control:",
    b"sprop-parameter-sets=",
    b"Public: GET_PARAMETER\r\n",
    b'realm="x"',
    b'nonce="x"',
    b"qop=auth",
    b"algorithm=SHA-256",
    b"stale=true",
    b"timeout=",
)


def rtsp_bytes(data: bytes) -> None:
    """The first byte says in which pieces the rest comes."""
    incoming = Incoming()
    step = 1 + data[0] if data else 1
    with contextlib.suppress(RtspError):
        for at in range(1, len(data), step):
            incoming.feed(data[at : at + step])
            incoming.take()
            assert len(incoming._buffer) <= MAX_HEAD_BYTES + MAX_BODY_BYTES + step


class _Socket:
    """A camera that says `data` whatever it is asked, and then closes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv(self, size: int) -> bytes:
        piece, self._data = self._data[: min(size, 700)], self._data[700:]
        return piece

    def recv_into(self, space: memoryview) -> int:
        piece = self.recv(len(space))
        space[: len(piece)] = piece
        return len(piece)

    def sendall(self, data: bytes) -> None:
        assert data.count(b"\r\n\r\n") <= 1 or not data.startswith((b"OPTIONS", b"DESCRIBE", b"SETUP", b"PLAY"))

    def settimeout(self, _seconds: float) -> None: ...

    def setsockopt(self, *_: object) -> None: ...

    def close(self) -> None: ...


def rtsp_session(data: bytes) -> None:
    """A whole conversation up to the first packets, with all that the camera's answers make of our requests."""
    with patch("socket.create_connection", lambda *_: _Socket(data)), contextlib.suppress(RtspError, OSError):
        session = RtspSession("rtsp://camera/live", "user", "secret", 5.0)
        session.set_up(session.describe(), None)
        session.play()
        depacketizer = Depacketizer(96, [])
        with contextlib.suppress(ReorderedError):
            while True:
                for packet in session.packets():
                    depacketizer.push(packet, 0)
                session.keep_alive()


def sdp(data: bytes) -> None:
    with contextlib.suppress(UnsupportedStreamError):
        video = parse_sdp(data.decode("utf-8", "replace"))
        resolve("rtsp://camera/live", video.control)
        Depacketizer(video.payload_type, list(video.parameter_sets))


def challenge(data: bytes) -> None:
    for each in parse_challenges(data.decode("utf-8", "replace"))[:4]:
        authorization(each, "user", "secret", "DESCRIBE", "rtsp://camera/live", 1)


def rtp(data: bytes) -> None:
    """Packets with two bytes of length before each."""
    depacketizer = Depacketizer(96, [])
    at, arrival_ns, out = 0, 0, 0
    with contextlib.suppress(ReorderedError):
        while at + 2 <= len(data):
            size = int.from_bytes(data[at : at + 2], "big") % 1500
            arrival_ns += 10_000_000
            for unit in depacketizer.push(data[at + 2 : at + 2 + size], arrival_ns):
                assert unit.data
                out += len(unit.data)
            at += 2 + size
    assert len(depacketizer.parameter_sets) <= 2 * MAX_PARAMETER_SETS
    assert depacketizer._size <= MAX_UNIT_BYTES
    assert out <= 20 * len(data) + 4096 * MAX_PARAMETER_SETS


def rtp_h265(data: bytes) -> None:
    """Packets with two bytes of length before each."""
    depacketizer = H265Depacketizer(96, [])
    with contextlib.suppress(ReorderedError):
        for number, packet in enumerate(_pieces(data)):
            for unit in depacketizer.push(packet, number * 10_000_000):
                assert unit.data
                assert unit.dts_90khz <= unit.pts_90khz
    assert len(depacketizer.parameter_sets) <= MAX_PARAMETER_SETS
    assert depacketizer._size <= MAX_UNIT_BYTES


def sound(data: bytes) -> None:
    """A description up to the first zero byte, then packets of what it describes."""
    text, _, rest = data.partition(b"\0")
    described = parse_sound(text.decode("utf-8", "replace"))
    if described is None:
        return
    clock = RtpClock()
    clock.stamp(0, 0)
    with contextlib.suppress(ValueError):
        kept, last = CameraSound(described, clock), -(1 << 62)
        for number, packet in enumerate(_pieces(rest)):
            for unit in kept.push(packet, number * 10_000_000):
                assert unit.data
                assert unit.pts_90khz > last
                last = unit.pts_90khz


def rtcp(data: bytes) -> None:
    assert len(parse_rtcp(data)) <= 32


def h265_sps(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read = read_h265_sps(data)
        assert 0 < read.width <= MAX_SIDE
        assert 0 < read.height <= MAX_SIDE


def _pieces(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big") % 1500
        yield data[at + 2 : at + 2 + size]
        at += 2 + size


def sps(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        width, height = picture_size(data)
        assert 0 < width <= MAX_SIDE
        assert 0 < height <= MAX_SIDE


class _Datagrams:
    def __init__(self, data: bytes) -> None:
        self.left = [data[at : at + 16] for at in range(0, len(data), 16)]

    def recv(self, _size: int) -> bytes:
        if not self.left:
            raise BlockingIOError
        return self.left.pop(0)


def udp(data: bytes) -> None:
    """Datagrams of 16 bytes in any order: what comes out is in order, and little is held."""
    pair = UdpPair.__new__(UdpPair)
    pair._rtp, pair._rtcp = _Datagrams(data), _Datagrams(b"")  # type: ignore[assignment]
    pair._held, pair._next = {}, None

    class Session:
        socket = None

    with patch("select.select", lambda *_: ([pair._rtp], [], [])):
        before: int | None = None
        for _ in range(1 + len(data) // 16):
            for packet in pair.packets(Session, 0.0):  # type: ignore[arg-type]
                number = int.from_bytes(packet[2:4], "big")
                assert before is None or (number - before) & 0xFFFF > 0, "twice"
                before = number
            assert len(pair._held) <= REORDER_PACKETS


TARGETS = registry(
    Target("rtsp-bytes", rtsp_bytes, WORDS),
    Target("rtsp-session", rtsp_session, WORDS, 8192, 0.4),
    Target("sdp", sdp, WORDS),
    Target("challenge", challenge, WORDS),
    Target("rtp", rtp, (b"\x80\x60", b"\x80\xe0", b"\x67", b"\x68", b"\x65\x88", b"\x7c\x85", b"\x78")),
    Target("sps", sps, (b"\x67\x42", b"\x67\x64", b"\0\0\x03"), 256),
    Target("h265-sps", h265_sps, (b"\x42\x01\x01", b"\0\0\x03"), 256),
    Target("rtp-h265", rtp_h265, (b"\x80\x60", b"\x80\xe0", b"\x40\x01", b"\x42\x01", b"\x26\x01", b"\x62\x01\x93")),
    Target("sound", sound, (b"m=audio 0 RTP/AVP ", b"a=rtpmap:97 MPEG4-GENERIC/16000", b"config=1408", b"\x80\xe1")),
    Target("rtcp", rtcp, (b"\x80\xc8\0\x06", b"\x81\xcb\0\x01"), 512),
    Target("udp", udp, (b"\x80\x60\0\0", b"\x80\x60\xff\xff")),
)
