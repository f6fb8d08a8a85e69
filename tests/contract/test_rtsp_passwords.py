"""Every way in which a camera may ask for a password, against our own client."""

import hashlib
import re
from collections.abc import Iterator

import pytest

from tests.contract.fake_camera import FakeCamera, Request
from unitd.config import CameraTable
from unitd.drivers.camera_rtsp import RtspStream

OFFERS = {
    "Basic alone": 'Basic realm="cam"',
    "MD5-sess": 'Digest realm="cam", nonce="n", algorithm=MD5-sess, qop="auth"',
    "SHA-256": 'Digest realm="cam", nonce="n", algorithm=SHA-256, qop="auth", opaque="x"',
    "SHA-256-sess in quotes": 'Digest realm="cam", nonce="n", algorithm="SHA-256-sess", qop="auth"',
    "SHA-256 after MD5": 'Digest realm="cam",nonce="n",algorithm=MD5, Digest realm="cam",nonce="n",algorithm=SHA-256',
}


def proven(head: str, method: str) -> bool:
    """Whether credentials of user viewer, password p@ss:w, are right (RFC 7617, RFC 7616)."""
    if head.startswith("Basic "):
        return head[6:] == "dmlld2VyOnBAc3M6dw=="
    fields = dict(re.findall(r'(\w+)="?([^",]*)"?', head))
    algorithm = fields.get("algorithm", "MD5")

    def hashed(*parts: str) -> str:
        return hashlib.new("sha256" if "SHA" in algorithm else "md5", ":".join(parts).encode()).hexdigest()

    secret = hashed("viewer", "cam", "p@ss:w")
    if algorithm.endswith("-sess"):
        secret = hashed(secret, "n", fields["cnonce"])
    middle = (fields["nc"], fields["cnonce"], "auth") if "qop" in fields else ()
    return fields.get("response") == hashed(secret, "n", *middle, hashed(method, fields["uri"]))


@pytest.fixture
def made() -> Iterator[list[FakeCamera]]:
    cameras: list[FakeCamera] = []
    yield cameras
    for camera in cameras:
        camera.close()


@pytest.mark.parametrize("offer", OFFERS)
def test_every_way_to_ask_for_a_password_is_answered(offer: str, made: list[FakeCamera]) -> None:
    def check(camera: FakeCamera, request: Request) -> bytes:
        head = request.headers.get("authorization", "")
        if head and proven(head, request.method):
            return camera.usual(request)
        return camera.answer(request, f"WWW-Authenticate: {OFFERS[offer]}", status="401 Unauthorized")

    camera = FakeCamera(answers=dict.fromkeys(("OPTIONS", "DESCRIBE", "SETUP", "PLAY"), check)).start()
    made.append(camera)
    address = camera.url.replace("rtsp://", "rtsp://viewer:p%40ss%3Aw@")
    RtspStream(CameraTable(name="dome", main_url=address), "main").close()
    assert "SHA-256" not in offer or "SHA-256" in camera.asked("PLAY")[0].headers["authorization"]
