"""RTSP 1.0 (RFC 2326) as far as a camera needs it: describe, set up one video stream, play, keep alive, tear down.

Blocking, one thread. Every wait is bounded by the socket's time-out, so a frozen camera is noticed exactly then.
"""

import base64
import contextlib
import hashlib
import re
import secrets
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_MESSAGE_BYTES = 64 * 1024
RECEIVE_BYTES = 256 * 1024
USER_AGENT = "unitd"
_INTERLEAVED = 0x24
_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^",\s]+))')


class RtspError(Exception):
    """The camera refused, broke the protocol or closed."""


class UnsupportedStreamError(RtspError):
    """A stream that this driver does not understand and another may."""


@dataclass(frozen=True)
class Video:
    """The video stream of a session description (RFC 4566, RFC 6184)."""

    control: str
    payload_type: int
    parameter_sets: tuple[bytes, ...]


@dataclass(frozen=True)
class Response:
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class RtspSession:
    """One TCP connection to a camera. Raises RtspError or OSError (TimeoutError among them)."""

    def __init__(self, url: str, username: str | None, password: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 554
        self._username = username if username is not None else parts.username
        self._password = password if username is not None else (parts.password or "")
        query = f"?{parts.query}" if parts.query else ""
        shown = f"[{host}]" if ":" in host else host
        self._url = f"rtsp://{shown}:{port}{parts.path}{query}"
        self._base = self._url
        self._sequence = 0
        self._session = ""
        self._count = 0
        self._challenge: dict[str, str] | None = None
        self._buffer = bytearray()
        self._keep_alive_s = 20.0
        self._alive_at = time.monotonic()
        self.host = host
        self.rtp_channel = 0
        self.server_port = 0
        self.socket = socket.create_connection((host, port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def describe(self) -> Video:
        """The camera's H.264 stream. Raises UnsupportedStreamError when it has none."""
        response = self._ask("DESCRIBE", self._url, {"Accept": "application/sdp"})
        headers = response.headers
        self._base = headers.get("content-base") or headers.get("content-location") or self._url
        return parse_sdp(response.body.decode("utf-8", "replace"))

    def set_up(self, video: Video, udp_ports: tuple[int, int] | None) -> None:
        """Set the stream up: interleaved in this connection, or to two UDP ports of ours."""
        transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
        if udp_ports is not None:
            transport = f"RTP/AVP;unicast;client_port={udp_ports[0]}-{udp_ports[1]}"
        response = self._ask("SETUP", self._under(video.control), {"Transport": transport})
        self._session, _, rest = response.headers.get("session", "").partition(";")
        if limit := re.search(r"timeout\s*=\s*(\d+)", rest):
            self._keep_alive_s = max(1.0, int(limit[1]) / 3)
        answer = response.headers.get("transport", "")
        if channel := re.search(r"interleaved=(\d+)", answer):
            self.rtp_channel = int(channel[1])
        if port := re.search(r"server_port=(\d+)", answer):
            self.server_port = int(port[1])

    def play(self) -> None:
        self._ask("PLAY", self._base, {"Range": "npt=0.000-"})

    def keep_alive(self) -> None:
        """Tell the camera now and then that we are there; its answers are skipped by `messages`."""
        now = time.monotonic()
        if now - self._alive_at > self._keep_alive_s:
            self._alive_at = now
            self._send("GET_PARAMETER", self._base, {})

    def packets(self) -> list[memoryview]:
        """The RTP packets that have come, at least one read's worth; waits up to the socket's time-out for them."""
        found = self._parse()
        if not found:
            self._receive()
            found = self._parse()
        return found

    def close(self) -> None:
        """Tear down as a courtesy and close; never waits for the answer."""
        if self._session:
            with contextlib.suppress(OSError):
                self.socket.settimeout(0.2)
                self._send("TEARDOWN", self._base, {})
        self.socket.close()

    def _receive(self) -> None:
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise RtspError("the camera closed the connection")
        self._buffer += data

    def _parse(self) -> list[memoryview]:
        """Take the whole interleaved RTP packets out of the buffer; answers in between are skipped."""
        whole = memoryview(bytes(self._buffer))
        found: list[memoryview] = []
        at, end = 0, len(whole)
        while end - at >= 4:
            if whole[at] == _INTERLEAVED:
                size = whole[at + 2] << 8 | whole[at + 3]
                if end - at < 4 + size:
                    break
                if whole[at + 1] == self.rtp_channel:
                    found.append(whole[at + 4 : at + 4 + size])
                at += 4 + size
            else:
                length = self._message_bytes(at)
                if length is None:
                    break
                at += length
        del self._buffer[:at]
        return found

    def _message_bytes(self, at: int) -> int | None:
        stop = self._buffer.find(b"\r\n\r\n", at, at + MAX_MESSAGE_BYTES)
        if stop < 0:
            if len(self._buffer) - at > MAX_MESSAGE_BYTES:
                raise RtspError("not RTSP: a message without an end")
            return None
        size = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", self._buffer[at:stop])
        length = stop + 4 - at + (int(size[1]) if size else 0)
        return length if len(self._buffer) - at >= length else None

    def _under(self, control: str) -> str:
        if control.startswith("rtsp://"):
            return control
        if control in ("", "*"):
            return self._base
        return self._base.rstrip("/") + "/" + control.lstrip("/")

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> Response:
        for attempt in (1, 2):
            self._send(method, url, headers)
            response = self._answer()
            if response.status == 401 and attempt == 1 and self._username is not None:
                self._challenge, self._count = _challenge(response.headers.get("www-authenticate", "")), 0
                continue
            break
        if 300 <= response.status < 400:
            raise UnsupportedStreamError(f"{method}: redirected")
        if response.status != 200:
            raise RtspError(f"{method}: {response.status} {response.reason}")
        return response

    def _send(self, method: str, url: str, headers: dict[str, str]) -> None:
        self._sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}", f"User-Agent: {USER_AGENT}"]
        if self._session:
            lines.append(f"Session: {self._session}")
        if self._challenge is not None:
            lines.append(f"Authorization: {self._authorization(method, url)}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def _answer(self) -> Response:
        """The next answer; packets that come before it stay in the buffer."""
        while True:
            at = 0
            while len(self._buffer) - at >= 4 and self._buffer[at] == _INTERLEAVED:
                at += 4 + int.from_bytes(self._buffer[at + 2 : at + 4], "big")
            length = self._message_bytes(at) if at < len(self._buffer) else None
            if length is None:
                self._receive()
                continue
            message = bytes(self._buffer[at : at + length])
            del self._buffer[at : at + length]
            response = _parse_response(message)
            if response.headers.get("cseq", str(self._sequence)) == str(self._sequence):
                return response

    def _authorization(self, method: str, url: str) -> str:
        challenge = self._challenge or {}
        username, password = self._username or "", self._password
        if challenge.get("scheme") == "basic":
            return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self._count += 1
        return _digest(challenge, username, password, method, url, self._count)


def parse_sdp(text: str) -> Video:
    """The first H.264 video stream. Raises UnsupportedStreamError when there is none."""
    section: list[str] = []
    for block in re.split(r"(?m)^m=", text)[1:]:
        if block.startswith("video"):
            section = block.splitlines()
            break
    attributes = [line[2:].strip() for line in section if line.startswith("a=")]
    for attribute in attributes:
        if mapped := re.match(r"rtpmap:(\d+)\s+H264/90000", attribute, re.IGNORECASE):
            number = mapped[1]
            control = next((a[8:] for a in attributes if a.startswith("control:")), "")
            formats = next((a for a in attributes if a.startswith(f"fmtp:{number}")), "")
            if re.search(r"packetization-mode=2", formats):
                raise UnsupportedStreamError("H.264 in interleaved mode")
            sets = re.search(r"sprop-parameter-sets=([^;\s]+)", formats)
            return Video(control, int(number), _parameter_sets(sets[1] if sets else ""))
    raise UnsupportedStreamError("no H.264 video in the description")


def _parameter_sets(text: str) -> tuple[bytes, ...]:
    try:
        return tuple(base64.b64decode(part) for part in text.split(",") if part)
    except ValueError:
        return ()


def _parse_response(message: bytes) -> Response:
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.decode("utf-8", "replace").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("RTSP/") or not words[1].isdigit():
        raise RtspError("not an RTSP answer")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        # Of several challenges the digest is taken, whichever comes first.
        if name.strip().lower() == "www-authenticate" and headers.get("www-authenticate", "").startswith("Digest"):
            continue
        headers[name.strip().lower()] = value.strip()
    return Response(int(words[1]), words[2] if len(words) > 2 else "", headers, body)


def _challenge(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return found | {"scheme": scheme.lower()}


def _digest(challenge: dict[str, str], username: str, password: str, method: str, url: str, count: int) -> str:
    """RFC 7616, and RFC 2069 when the camera names no qop."""
    sha256 = challenge.get("algorithm", "").upper() == "SHA-256"

    def hashed(text: str) -> str:
        data = text.encode()
        return hashlib.sha256(data).hexdigest() if sha256 else hashlib.md5(data, usedforsecurity=False).hexdigest()

    realm, nonce = challenge.get("realm", ""), challenge.get("nonce", "")
    secret, what = hashed(f"{username}:{realm}:{password}"), hashed(f"{method}:{url}")
    fields = f'Digest username="{username}", realm="{realm}", nonce="{nonce}", uri="{url}"'
    if "auth" in challenge.get("qop", "").split(","):
        mine = secrets.token_hex(8)
        proof = hashed(f"{secret}:{nonce}:{count:08x}:{mine}:auth:{what}")
        fields += f', qop=auth, nc={count:08x}, cnonce="{mine}"'
    else:
        proof = hashed(f"{secret}:{nonce}:{what}")
    if "opaque" in challenge:
        fields += f', opaque="{challenge["opaque"]}"'
    return fields + f', response="{proof}"' + (", algorithm=SHA-256" if sha256 else "")
