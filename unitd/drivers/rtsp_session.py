"""RTSP 1.0 (RFC 2326) as far as a camera needs it: describe, set up one video stream, play, keep alive, tear down.

Blocking, one thread. All answers up to PLAY's have one deadline, however they drip in; a read of packets waits as long
as the socket's time-out, so a frozen camera is noticed exactly then.
"""

import contextlib
import re
import socket
import struct
import time
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from unitd.drivers.rtsp_auth import Challenge, authorization, parse_challenges
from unitd.drivers.rtsp_wire import Incoming, Message, Packet, RtspError, UnsupportedStreamError
from unitd.drivers.sdp import Video, is_absolute, parse_sdp, resolve
from unitd.drivers.sdp_sound import Sound, parse_sound
from unitd.errors import DeviceError

RECEIVE_BYTES = 256 * 1024
MUCH_BYTES = 96 * 1024
"""After a read of more, more may be waiting."""

GATHERED_BYTES = 512 * 1024
"""So much the kernel takes from a camera while nobody reads: 0.2 s of the largest bit rates, or a large keyframe."""

USER_AGENT = "unitd"
DEFAULT_SESSION_S = 60
LONGEST_KEEP_ALIVE_S = 20.0
RECEIVER_REPORT_S = 5.0
"""Cameras that judge a client by its RTCP give it up after 10 s or more [vendors' knowledge]."""

SOUND_ANSWER_S = 1.5
"""So long the answer to the sound's SETUP may take; the picture does not wait for it longer."""

SHORT_BODY_S = 1.0
"""An answer whose body stops short of its length for so long is taken as it is."""

MAX_ASIDE = 1024
_INTERLEAVED = re.compile(r"interleaved\s*=\s*(\d{1,3})", re.ASCII)
_SERVER_PORT = re.compile(r"server_port\s*=\s*(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
_REDIRECTS = (301, 302, 303, 305, 307, 308)
_REPORT = struct.pack(">BBHI", 0x80, 201, 1, 0x756E6974) + struct.pack(
    ">BBHIBB5sB", 0x81, 202, 3, 0x756E6974, 1, 5, b"unitd", 0
)
"""An empty receiver report and our name (RFC 3550, 6.4.2 and 6.5)."""


class RefusedError(RtspError):
    """401: the name and password are wrong, or missing."""


class NoConnectionError(RtspError):
    """The camera's port cannot be reached, or refuses."""


class RtspSession:
    """One TCP connection to a camera. Raises RtspError or OSError (TimeoutError among them)."""

    def __init__(self, url: str, username: str | None, password: str, timeout_s: float) -> None:
        """Connect; blocks up to `timeout_s`, within which PLAY is to be answered as well. Raises NoConnectionError."""
        parts = urlsplit(url)
        if parts.scheme.lower() not in ("rtsp", "rtspt"):
            raise UnsupportedStreamError(f"{parts.scheme[:10]} is not rtsp")
        self._username = username if username is not None else (unquote(parts.username) if parts.username else None)
        self._password = password if username is not None else unquote(parts.password or "")
        self._deadline = time.monotonic() + timeout_s
        self._sequence = 0
        self._session = ""
        self._count = 0
        self._challenge: Challenge | None = None
        self._basic_allowed = True
        self._keep_alive_s = DEFAULT_SESSION_S / 3
        self._keep_alive_method = "OPTIONS"
        self._keep_alive_renewed = False
        self._alive_at = self._report_at = time.monotonic()
        self._messages: list[Message] = []
        self._packets: list[memoryview] = []
        self._url = self._base = self._aggregate = ""
        self._interleaved = False
        self._space = memoryview(bytearray(RECEIVE_BYTES))
        self.more = False
        """Whether there is probably more to be read at once."""
        self.rtp_channel = 0
        self.server_port = self.server_rtcp_port = 0
        self.sound: Sound | None = None
        """The sound in the description, as far as it can be kept."""
        self.sound_channel: int | None = None
        self.sound_server_port = 0
        self.aside_channels: set[int] = set()
        """Channels whose packets go to `aside`: reports, and the sound while somebody wants it."""
        self.aside: list[Packet] = []
        self._connect(url)

    def describe(self) -> Video:
        """The camera's H.264 or H.265 stream. Raises UnsupportedStreamError when it has none."""
        options = self._exchange("OPTIONS", self._url, {})
        if "GET_PARAMETER" in options.headers.get("public", "").upper():
            self._keep_alive_method = "GET_PARAMETER"
        response = self._exchange("DESCRIBE", self._url, {"Accept": "application/sdp"})
        if response.status in _REDIRECTS:
            self._follow(response)
            response = self._exchange("DESCRIBE", self._url, {"Accept": "application/sdp"})
        _demand("DESCRIBE", response)
        for name in ("content-base", "content-location"):
            if is_absolute(response.headers.get(name, "")):
                self._base = response.headers[name]
                break
        text = response.body.decode("utf-8", "replace")
        video = parse_sdp(text)
        self.sound = parse_sound(text)
        self._aggregate = resolve(self._base, video.session_control)
        return video

    def set_up(self, video: Video, udp_ports: tuple[int, int] | None) -> None:
        """Set the stream up: interleaved in this connection, or to two UDP ports of ours."""
        url = resolve(self._base, video.control or video.session_control)
        answer = self._set_up(url, udp_ports, 0)
        channel = _INTERLEAVED.search(answer)
        if udp_ports is None:
            if channel is None and "tcp" not in answer.lower():
                raise UnsupportedStreamError("SETUP: the camera does not send over TCP")
            self._interleaved = True
            with contextlib.suppress(OSError):  # asking for so much widens the window; then any byte wakes again
                for low_water in (GATHERED_BYTES, 1):
                    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low_water)
            self.rtp_channel = int(channel[1]) if channel else 0
            self.aside_channels = {self.rtp_channel + 1}
        elif channel is not None:
            raise UnsupportedStreamError("SETUP: the camera does not send over UDP")
        if ports := _SERVER_PORT.search(answer):
            self.server_port = min(int(ports[1]), 65_535)
            self.server_rtcp_port = min(int(ports[2] or 0), 65_535)

    def set_up_sound(self, sound: Sound, udp_ports: tuple[int, int] | None) -> bool:
        """Set the sound up beside the pictures. A camera that refuses, or does not answer that, gives its pictures all
        the same: False."""
        deadline = self._deadline
        self._deadline = min(deadline, time.monotonic() + SOUND_ANSWER_S)
        try:
            answer = self._set_up(resolve(self._base, sound.control), udp_ports, self.rtp_channel + 2)
        except (RtspError, TimeoutError):
            return False
        finally:
            self._deadline = deadline
        channel = _INTERLEAVED.search(answer)
        if udp_ports is None:
            self.sound_channel = int(channel[1]) if channel else self.rtp_channel + 2
            if self.sound_channel in (self.rtp_channel, self.rtp_channel + 1):
                self.sound_channel = None
                return False
            self.aside_channels.add(self.sound_channel + 1)
        if ports := _SERVER_PORT.search(answer):
            self.sound_server_port = min(int(ports[1]), 65_535)
        return True

    def _set_up(self, url: str, udp_ports: tuple[int, int] | None, channel: int) -> str:
        """The camera's Transport header. Raises RtspError when it refuses."""
        transport = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        if udp_ports is not None:
            transport = f"RTP/AVP;unicast;client_port={udp_ports[0]}-{udp_ports[1]}"
        response = self._exchange("SETUP", url, {"Transport": transport})
        _demand("SETUP", response)
        session, _, rest = response.headers.get("session", "").partition(";")
        self._session = session.strip() or self._session
        if limit := re.search(r"timeout\s*=\s*(\d{1,6})", rest, re.ASCII):
            self._keep_alive_s = min(max(1.0, int(limit[1]) / 3), LONGEST_KEEP_ALIVE_S)
        return response.headers.get("transport", "")

    def play(self) -> None:
        _demand("PLAY", self._exchange("PLAY", self._aggregate, {"Range": "npt=0.000-"}))
        self._alive_at = time.monotonic()

    def keep_alive(self) -> bytes | None:
        """Tell the camera now and then that we are there; what it answers is seen to by `packets`.

        Returns a receiver report when one is due by UDP, for the caller to send.
        """
        now = time.monotonic()
        if now - self._alive_at > self._keep_alive_s:
            self._alive_at, self._keep_alive_renewed = now, False
            self._send(self._keep_alive_method, self._aggregate, {})
        if now - self._report_at > RECEIVER_REPORT_S:
            self._report_at = now
            if not self._interleaved:
                return _REPORT
            self.socket.sendall(struct.pack(">BBH", 0x24, (self.rtp_channel + 1) & 0xFF, len(_REPORT)) + _REPORT)
        return None

    def ask_keyframe(self, ssrc: int) -> None:
        """A picture loss indication (RFC 4585, 6.3.1), only inside the connection; few cameras obey, none minds."""
        if self._interleaved:
            wish = _REPORT[:8] + struct.pack(">BBHII", 0x81, 206, 2, 0x756E6974, ssrc)
            self.socket.sendall(struct.pack(">BBH", 0x24, (self.rtp_channel + 1) & 0xFF, len(wish)) + wish)

    def packets(self) -> list[memoryview]:
        """The RTP packets that have come, at least one read's worth; waits up to the socket's time-out for them."""
        if not self._packets:
            self._receive()
        found, self._packets = self._packets, []
        messages, self._messages = self._messages, []
        for message in messages:
            self._while_playing(message)
        return found

    def close(self) -> None:
        """Tear down as a courtesy and close; never waits for the answer."""
        if self._session:
            with contextlib.suppress(OSError):
                self.socket.settimeout(0.2)
                self._send("TEARDOWN", self._aggregate, {})
        self.socket.close()

    def _connect(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, port = parts.hostname or "", parts.port or 554
        if not self.host:
            raise ValueError("an address without a host")
        shown = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?{parts.query}" if parts.query else ""
        self._url = self._base = self._aggregate = f"rtsp://{shown}:{port}{parts.path}{query}"
        self._incoming = Incoming()
        try:
            self.socket = socket.create_connection((self.host, port), max(0.1, self._deadline - time.monotonic()))
        except OSError as error:
            raise NoConnectionError(plain(error)) from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _follow(self, response: Message) -> None:
        """Go where the camera sends us, once. A password in clear goes to no other host than the configured one."""
        target = response.headers.get("location", "")
        if not target.lower().startswith("rtsp://"):
            raise UnsupportedStreamError("DESCRIBE: redirected to nowhere")
        self.socket.close()
        before = self.host
        self._challenge, self._messages, self._packets = None, [], []
        self._connect(target)
        self._basic_allowed = self.host == before

    def _receive(self, deadline: float | None = None) -> None:
        if deadline is not None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self.socket.settimeout(left_s)
        count = self.socket.recv_into(self._space)
        if not count:
            raise RtspError("the camera closed the connection")
        self.more = count > MUCH_BYTES
        self._incoming.feed(self._space[:count])
        for item in self._incoming.take():
            if isinstance(item, Packet):
                if item.channel == self.rtp_channel:
                    self._packets.append(item.data)
                elif item.channel in self.aside_channels and len(self.aside) < MAX_ASIDE:
                    self.aside.append(item)
            else:
                self._messages.append(item)

    def _exchange(self, method: str, url: str, headers: dict[str, str]) -> Message:
        """Ask, with credentials once they are wanted, and again with a new nonce. Any status is an answer."""
        for _ in range(3):
            self._send(method, url, headers)
            response = self._answer()
            if response.status != 401 or not self._take_challenge(response):
                break
        return response

    def _take_challenge(self, response: Message) -> bool:
        """Whether to ask again: with credentials where none were sent, with another nonce or another scheme."""
        if self._username is None:
            return False
        before = self._challenge
        offered = parse_challenges(response.headers.get("www-authenticate", ""))
        if before is not None and not any(one.stale for one in offered):
            # The same again was refused; a scheme that comes later in the list may still do.
            offered = [one for one in offered if one.scheme != before.scheme and before.scheme == "digest"]
        offered = [one for one in offered if one.scheme != "basic" or self._basic_allowed]
        if not offered:
            return False
        self._challenge, self._count = offered[0], 0
        return True

    def _send(self, method: str, url: str, headers: dict[str, str]) -> None:
        self._sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}", f"User-Agent: {USER_AGENT}"]
        if self._session:
            lines.append(f"Session: {self._session}")
        if self._challenge is not None:
            self._count += 1
            proof = authorization(self._challenge, self._username or "", self._password, method, url, self._count)
            lines.append(f"Authorization: {proof}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def _answer(self) -> Message:
        """The answer to the last request; packets that come before it are kept."""
        while True:
            for message in self._drain():
                if message.method:
                    self._serve(message)
                elif message.headers.get("cseq", str(self._sequence)) == str(self._sequence) and message.status >= 200:
                    return message
            try:
                self._receive(min(self._deadline, time.monotonic() + SHORT_BODY_S))
            except TimeoutError:
                short = self._incoming.take_short()
                if short is not None:
                    self._messages.append(short)
                elif time.monotonic() >= self._deadline:
                    raise

    def _drain(self) -> Iterator[Message]:
        while self._messages:
            yield self._messages.pop(0)

    def _while_playing(self, message: Message) -> None:
        """An answer to a keep-alive, or a request of the camera's."""
        if message.method:
            self._serve(message)
        elif message.status == 454:
            raise RtspError("the camera has forgotten the session")
        elif message.status == 401:
            if not self._keep_alive_renewed and self._take_challenge(message):
                self._keep_alive_renewed = True
                self._send(self._keep_alive_method, self._aggregate, {})
        elif message.status >= 400 and self._keep_alive_method != "OPTIONS":
            self._keep_alive_method = "OPTIONS"
            self._send(self._keep_alive_method, self._aggregate, {})

    def _serve(self, request: Message) -> None:
        """Cameras ask OPTIONS or send ANNOUNCE; an answer keeps them content."""
        known = request.method in ("OPTIONS", "ANNOUNCE", "GET_PARAMETER", "SET_PARAMETER")
        status = "200 OK" if known else "501 Not Implemented"
        number = re.sub(r"[^\w.-]", "", request.headers.get("cseq", "0"))[:20]
        self.socket.sendall(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n\r\n".encode())
        if request.method in ("TEARDOWN", "REDIRECT"):
            raise RtspError("the camera ended the session")


def plain(error: BaseException) -> str:
    """The reason in a few words, without addresses or secrets."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and not isinstance(error, DeviceError):
        return error.strerror or type(error).__name__
    return str(error)


def _demand(method: str, response: Message) -> None:
    if response.status in _REDIRECTS:
        raise UnsupportedStreamError(f"{method}: redirected")
    if response.status == 401:
        raise RefusedError(f"{method}: 401")
    if response.status != 200:
        raise RtspError(f"{method}: {response.status} {response.reason[:40]}")
