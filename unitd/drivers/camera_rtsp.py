"""A camera's H.264 stream by RTSP, by our own client: a picture is handed on when its last packet is there.

Measured beside FFmpeg's client (camera_libav.py) on the same camera: a picture interval earlier (50 ms at 20 fps) and
less than half the CPU. What it does not understand (B-frames, other codecs, redirects) goes to the other one.
"""

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from unitd.config import CameraTable
from unitd.drivers.rtp_h264 import SPS, Depacketizer, ReorderedError, picture_size
from unitd.drivers.rtsp_session import RtspError, RtspSession, UnsupportedStreamError
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit, Profile, StreamInfo

OPEN_TIMEOUT_S = 4.0
STALL_S = 2.0
"""A stream without a picture for this long is stalled; the slowest camera of use sends a picture a second."""

POLL_S = 0.5
NO_KEYFRAME_S = 12.0
UDP_BUFFER_BYTES = 1024 * 1024
REORDER_PACKETS = 32
_DATAGRAM_BYTES = 65_536
_HALF = 0x8000


class RtspStream:
    """One session with one profile of a camera. Not thread-safe; used and closed by the thread that opened it."""

    def __init__(self, camera: CameraTable, profile: Profile) -> None:
        """Open the stream; blocks up to a few seconds. Raises UnsupportedStreamError, or DeviceError (no secrets)."""
        self._name = f"{camera.name}/{profile}"
        self._session: RtspSession | None = None
        self._udp: _UdpPair | None = None
        self._units: list[AccessUnit] = []
        self.on_unsupported: Callable[[], None] = lambda: None
        url = camera.main_url if profile == "main" else camera.sub_url
        if url is None:
            raise DeviceError(f"{camera.name} has no {profile} stream")
        try:
            self._open(url, camera)
            self.info = self._info()
        except UnsupportedStreamError:
            self.close()
            raise
        except (RtspError, OSError, ValueError) as error:
            self.close()
            raise DeviceError(f"{camera.name}: cannot open the {profile} stream ({_plain(error)})") from None

    @property
    def mended_times(self) -> int:
        return self._depacketizer.mended_times

    @property
    def damaged_units(self) -> int:
        return self._depacketizer.damaged_units

    def units(self) -> Iterator[AccessUnit]:
        """Yield access units from the first keyframe on, each as it comes; blocks up to STALL_S.

        Raises DeviceError when the stream stalls, ends or breaks; before that calls `on_unsupported` when another
        driver may understand it.
        """
        waiting, opened = True, time.monotonic()
        last = opened
        try:
            while True:
                for unit in self._units or self._more():
                    last = time.monotonic()
                    waiting = waiting and not unit.keyframe
                    if not waiting:
                        yield unit
                self._units = []
                if time.monotonic() - last > STALL_S:
                    raise RtspError(f"no picture for {STALL_S:g} s")
                if waiting and time.monotonic() - opened > NO_KEYFRAME_S:
                    raise UnsupportedStreamError("no keyframe")
        except (UnsupportedStreamError, ReorderedError) as error:
            self.on_unsupported()
            raise DeviceError(f"{self._name}: {error}; trying the other driver") from None
        except (RtspError, OSError, ValueError) as error:
            raise DeviceError(f"{self._name}: {_plain(error)}") from None

    def close(self) -> None:
        """End the session; does not wait for the camera. May be called again."""
        if self._session is not None:
            self._session.close()
        if self._udp is not None:
            self._udp.close()

    def _open(self, url: str, camera: CameraTable) -> None:
        password = ""
        if camera.password_file is not None:
            password = Path(camera.password_file).read_text(encoding="utf-8").strip()
        session = self._session = RtspSession(url, camera.username, password, OPEN_TIMEOUT_S)
        video = session.describe()
        if camera.transport == "udp":
            self._udp = _UdpPair(session.socket.family)
        session.set_up(video, self._udp.ports if self._udp is not None else None)
        if self._udp is not None:
            self._udp.open_the_way(session.host, session.server_port)
        self._depacketizer = Depacketizer(video.payload_type, list(video.parameter_sets))
        session.play()
        session.socket.settimeout(POLL_S)

    def _info(self) -> StreamInfo:
        """What the stream is, from its description, or else from its first SPS."""
        deadline = time.monotonic() + OPEN_TIMEOUT_S
        while not (sets := [one for one in self._depacketizer.parameter_sets if one]):
            if time.monotonic() > deadline:
                raise UnsupportedStreamError("no parameter sets")
            self._units += self._more()
        sps = next((one for one in sets if one[0] & 0x1F == SPS), None)
        try:
            width, height = picture_size(sps or b"")
        except (ValueError, IndexError) as error:
            raise UnsupportedStreamError(f"its SPS: {error}") from None
        return StreamInfo("h264", width, height, b"".join(b"\x00\x00\x00\x01" + one for one in sets))

    def _more(self) -> list[AccessUnit]:
        """The units that the next read brings, perhaps none."""
        if self._session is None:
            raise RtspError("closed")
        self._session.keep_alive()
        try:
            packets = self._session.packets() if self._udp is None else self._udp.packets(self._session)
        except TimeoutError:
            return []
        arrival_ns = time.monotonic_ns()
        return [unit for packet in packets for unit in self._depacketizer.push(packet, arrival_ns)]


class _UdpPair:
    """An even port for RTP, the odd one after it for RTCP; puts packets back into order."""

    def __init__(self, family: int) -> None:
        self._rtp, self._rtcp = _bind_pair(family)
        self.ports = (self._rtp.getsockname()[1], self._rtcp.getsockname()[1])
        self._held: dict[int, bytes] = {}
        self._next: int | None = None

    def open_the_way(self, host: str, port: int) -> None:
        """A datagram towards the camera, so that a firewall or NAT in between lets its packets in."""
        if port:
            with contextlib.suppress(OSError):
                self._rtp.sendto(b"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", (host, port))

    def packets(self, session: RtspSession) -> list[bytes]:
        """What has come, in order; watches the RTSP connection too. Waits up to POLL_S."""
        ready, _, _ = select.select([self._rtp, session.socket], [], [], POLL_S)
        if session.socket in ready:
            session.packets()
        if self._rtp in ready:
            with contextlib.suppress(BlockingIOError):
                while len(self._held) < REORDER_PACKETS:
                    packet = self._rtp.recv(_DATAGRAM_BYTES)
                    number = int.from_bytes(packet[2:4], "big")
                    late = self._next is not None and (number - self._next) & 0xFFFF > _HALF
                    if len(packet) >= 12 and not late:
                        self._held[number] = packet
        return list(self._in_order())

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()

    def _in_order(self) -> Iterator[bytes]:
        """Packets from the expected one on; past REORDER_PACKETS what is missing is given up."""
        if self._next is None and self._held:
            self._next = min(self._held)
        while self._held and self._next is not None:
            packet = self._held.pop(self._next, None)
            if packet is None:
                if len(self._held) < REORDER_PACKETS:
                    return
                expected = self._next
                self._next = min(self._held, key=lambda number: (number - expected) & 0xFFFF)
                continue
            self._next = (self._next + 1) & 0xFFFF
            yield packet


def _bind_pair(family: int) -> tuple[socket.socket, socket.socket]:
    """Two neighbouring UDP ports, the first even (RFC 3550, 11)."""
    for _ in range(50):
        rtp = socket.socket(family, socket.SOCK_DGRAM)
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            rtp.bind(("", 0))
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind(("", port + 1))
                rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
                rtp.setblocking(False)
                return rtp, rtcp
        except OSError:
            pass
        rtp.close()
        rtcp.close()
    raise OSError("no pair of free UDP ports")


def _plain(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
