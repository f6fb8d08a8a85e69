"""RTSP requests, transports and who may look."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_sim.devices.camera.auth import REALM, Gate
from hw_sim.devices.camera.profile import VideoProfile, parse_profile
from hw_sim.devices.camera.rtsp import BadRequestError, Transport, body_bytes, choose_transport, parse_request


def test_ok__a_request() -> None:
    request = parse_request(b"SETUP rtsp://h:554/main/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP\r\n\r\n")
    assert (request.method, request.path) == ("SETUP", "main/trackID=0")
    assert request.headers == {"cseq": "3", "transport": "RTP/AVP"}
    assert body_bytes(request) == 0


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"PLAY rtsp://x\r\n",
        b"PLAY rtsp://x RTSP/1.0\r\nnocolon\r\n",
        b"PLAY rtsp://[ RTSP/1.0",
    ],
)
def test_fail__not_a_request(head: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse_request(head)


@given(st.binary(max_size=200))
def test_ok__only_one_kind_of_error_on_any_bytes(head: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        body_bytes(parse_request(head))


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=2-3", Transport(True, 2, 3)),
        ("RTP/AVP/TCP;unicast", Transport(True, 0, 1)),
        ("RTP/AVP;unicast;client_port=5000-5001", Transport(False, 5000, 5001)),
        ("RTP/AVP/UDP;unicast;client_port=5000", Transport(False, 5000, 5001)),
        ("RTP/AVP;multicast,RTP/AVP/TCP;interleaved=0-1", Transport(True, 0, 1)),
        ("RTP/AVP;unicast", None),
        ("RTP/AVP;unicast;client_port=70000-70001", None),
        ("RTP/SAVP;unicast;client_port=5000-5001", None),
        ("", None),
    ],
)
def test_ok__transport(header: str, chosen: Transport | None) -> None:
    assert choose_transport(header) == chosen


def test_ok__no_credentials_lets_everybody_in() -> None:
    assert Gate(None).admits("DESCRIBE", None)


def test_ok__basic() -> None:
    gate = Gate("admin", "s3cret")
    right = base64.b64encode(b"admin:s3cret").decode()
    wrong = base64.b64encode(b"admin:guess").decode()
    assert gate.admits("DESCRIBE", f"Basic {right}")
    for header in (None, "", "Basic", "Basic ???", f"Basic {wrong}", f"Bearer {right}"):
        assert not gate.admits("DESCRIBE", header)


def test_ok__digest() -> None:
    gate = Gate("admin", "s3cret")
    nonce = gate.challenges().split('nonce="')[1].rstrip('"')

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    def header(password: str, method: str) -> str:
        proof = md5(f"{md5(f'admin:{REALM}:{password}')}:{nonce}:{md5(f'{method}:/main')}")
        return f'Digest username="admin", realm="{REALM}", nonce="{nonce}", uri="/main", response="{proof}"'

    assert gate.admits("PLAY", header("s3cret", "PLAY"))
    assert not gate.admits("PLAY", header("guess", "PLAY"))
    assert not gate.admits("PLAY", header("s3cret", "SETUP"))
    assert not Gate("admin", "s3cret").admits("PLAY", header("s3cret", "PLAY"))  # another nonce


def test_ok__profile_specs() -> None:
    assert parse_profile("main", "640x360@20:800000") == VideoProfile("main", 640, 360, 20, 800_000)
    assert parse_profile("sub", "320x180@10").bit_rate == 57_600


@pytest.mark.parametrize("spec", ["", "640x360", "641x360@20", "640x360@0", "640x360@99", "8x8@10", "axb@c"])
def test_fail__profile_specs(spec: str) -> None:
    with pytest.raises(ValueError, match="profile main"):
        parse_profile("main", spec)
