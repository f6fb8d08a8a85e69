"""A camera whose every byte a test decides: for the dialects that cameras speak in the field."""

import base64
import contextlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.unit.drivers.rtp_samples import TYPE, packets, split
from tests.unit.record.samples import coded_second

SETS = [unit for unit in split(coded_second()[0][0]) if unit[0] & 0x1F in (7, 8)]
SPROPS = ",".join(base64.b64encode(unit).decode() for unit in SETS)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n"
    "m=audio 0 RTP/AVP 0\r\na=control:track1\r\n"
    f"m=video 0 RTP/AVP {TYPE}\r\na=rtpmap:{TYPE} H264/90000\r\n"
    f"a=fmtp:{TYPE} packetization-mode=1; sprop-parameter-sets={SPROPS}\r\na=control:track2\r\n"
)


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: dict[str, str]


def interleaved(packet: bytes, channel: int = 0) -> bytes:
    return bytes([0x24, channel]) + len(packet).to_bytes(2, "big") + packet


def pictures(count: int = 40, channel: int = 0, first: int = 0) -> bytes:
    """So many pictures of 20 a second, interleaved."""
    found, second = b"", coded_second()
    sequence = 65_000 + 50 * first
    for number in range(first, first + count):
        group = packets(second[number % 20][0], sequence, 2**32 - 9000 + number * 4500)
        sequence += len(group)
        found += b"".join(interleaved(packet, channel) for packet in group)
    return found


Answer = Callable[["FakeCamera", Request], bytes]


@dataclass
class FakeCamera:
    """Listens from `start` on. `answers` replaces what a method is answered, `stream` is sent after PLAY's answer."""

    stream: bytes = field(default_factory=pictures)
    sdp: str = SDP
    base: str | None = "{url}/"
    session: str = "12345678;timeout=60"
    transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1"
    eol: str = "\r\n"
    version: str = "RTSP/1.0"
    public: str = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER"
    close_after_stream: bool = False
    drip_s: float = 0.0
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def start(self) -> "FakeCamera":
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._server.getsockname()[1]}/cam?channel=1"
        self._peers: list[socket.socket] = []
        self._never = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def close(self) -> None:
        for one in [self._server, *self._peers]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def asked(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.method == method]

    def answer(self, request: Request, headers: str = "", body: str = "", status: str = "200 OK") -> bytes:
        """An answer; `headers` are lines that end with LF."""
        lines = [f"{self.version} {status}", f"CSeq: {request.headers['cseq']}", *headers.splitlines()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return (self.eol.join([*lines, "", ""]) + body).encode()

    def send(self, data: bytes) -> None:
        """Put more into the newest connection."""
        self._peers[-1].sendall(data)

    def usual(self, request: Request) -> bytes:
        """What a camera without quirks answers."""
        if request.method == "OPTIONS":
            return self.answer(request, f"Public: {self.public}")
        if request.method == "DESCRIBE":
            base = f"Content-Base: {self.base.format(url=self.url)}\n" if self.base else ""
            return self.answer(request, base + "Content-Type: application/sdp", self.sdp)
        if request.method == "SETUP":
            return self.answer(request, f"Session: {self.session}\nTransport: {self.transport}")
        if request.method == "PLAY":
            return self.answer(request) + self.stream
        return self.answer(request)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                self._peers.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        buffer = b""
        with contextlib.suppress(OSError):
            while data := peer.recv(65_536):
                buffer += data
                buffer = self._messages(peer, buffer)
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)

    def _messages(self, peer: socket.socket, buffer: bytes) -> bytes:
        while buffer:
            if buffer[:1] == b"$":
                buffer = buffer[4 + int.from_bytes(buffer[2:4], "big") :]
                continue
            head, found, rest = buffer.partition(b"\r\n\r\n")
            if not found:
                break
            buffer = rest
            first, *lines = head.decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in lines)
            headers = {name.lower(): value for name, value in pairs}
            words = first.split(" ")
            request = Request("ANSWER" if first.startswith("RTSP/") else words[0], words[1], headers)
            self.requests.append(request)
            if request.method != "ANSWER":
                reply = self.answers.get(request.method, FakeCamera.usual)(self, request)
                for at in range(len(reply)) if self.drip_s else ():
                    peer.sendall(reply[at : at + 1])
                    self._never.wait(self.drip_s)
                if not self.drip_s:
                    peer.sendall(reply)
                if request.method == "PLAY" and self.close_after_stream:
                    peer.shutdown(socket.SHUT_RDWR)
        return buffer


def digest_nonce(request: Request) -> str:
    """The nonce that a request's credentials are for, "" without any."""
    found = re.search(r'nonce="([^"]*)"', request.headers.get("authorization", ""))
    return found[1] if found else ""
