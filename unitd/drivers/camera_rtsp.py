"""A camera's H.264 stream by RTSP, by our own client: a picture is handed on when its last packet is there.

Measured beside FFmpeg's client (camera_libav.py) on the same camera: a picture interval earlier (50 ms at 20 fps) and
less than half the CPU. What it does not understand (B-frames, other codecs, interlaced pictures) goes to the other one.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from unitd.config import CameraTable
from unitd.drivers.camera_failures import CameraAwayError, NotUnderstoodError
from unitd.drivers.h264_sps import picture_size
from unitd.drivers.rtp_h264 import SPS, Depacketizer, ReorderedError
from unitd.drivers.rtp_udp import UdpPair
from unitd.drivers.rtsp_session import NoConnectionError, RtspSession, plain
from unitd.drivers.rtsp_wire import RtspError, UnsupportedStreamError
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit, Profile, StreamInfo

OPEN_TIMEOUT_S = 5.0
"""From the first packet to the answer to PLAY; a resolver may take longer."""

STALL_S = 2.0
"""A stream without a picture for this long is stalled; the slowest camera of use sends a picture a second."""

POLL_S = 0.5
NO_KEYFRAME_S = 4.0
"""So long after PLAY a keyframe is waited for; cameras of this class send one every 1 to 4 s, most of them at PLAY."""


class RtspStream:
    """One session with one profile of a camera. Not thread-safe; used and closed by the thread that opened it."""

    def __init__(self, camera: CameraTable, profile: Profile) -> None:
        """Open the stream and wait for its first keyframe; blocks up to OPEN_TIMEOUT_S + NO_KEYFRAME_S.

        Raises DeviceError (no secrets in it): CameraAwayError, NotUnderstoodError, or itself for all else.
        """
        self._name = f"{camera.name}/{profile}"
        self._session: RtspSession | None = None
        self._udp: UdpPair | None = None
        self._units: list[AccessUnit] = []
        url = camera.main_url if profile == "main" else camera.sub_url
        if url is None:
            raise DeviceError(f"{camera.name} has no {profile} stream")
        words = f"{camera.name}: cannot open the {profile} stream"
        try:
            self._open(url, camera)
            self.info = self._first()
        except NoConnectionError as error:
            self.close()
            raise CameraAwayError(f"{words} ({error})") from None
        except (UnsupportedStreamError, ReorderedError) as error:
            self.close()
            raise NotUnderstoodError(f"{words} ({error})") from None
        except (RtspError, OSError, ValueError) as error:
            self.close()
            raise DeviceError(f"{words} ({plain(error)})") from None

    @property
    def mended_times(self) -> int:
        return self._depacketizer.mended_times

    @property
    def damaged_units(self) -> int:
        return self._depacketizer.damaged_units

    def units(self) -> Iterator[AccessUnit]:
        """Yield access units from the first keyframe on, each as it comes; blocks up to STALL_S + POLL_S.

        Raises DeviceError when the stream stalls, ends, breaks or changes its size: NotUnderstoodError when another
        driver may understand it.
        """
        last, changes = time.monotonic(), self._depacketizer.sps_changes
        try:
            while True:
                for unit in self._units or self._more():
                    last = time.monotonic()
                    if changes != self._depacketizer.sps_changes:
                        changes = self._depacketizer.sps_changes
                        self._same_size()
                    yield unit
                self._units = []
                if time.monotonic() - last > STALL_S:
                    raise RtspError(f"no picture for {STALL_S:g} s")
        except (UnsupportedStreamError, ReorderedError) as error:
            raise NotUnderstoodError(f"{self._name}: {error}") from None
        except (RtspError, OSError, ValueError) as error:
            raise DeviceError(f"{self._name}: {plain(error)}") from None

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
            self._udp = UdpPair(session.socket.family)
        session.set_up(video, self._udp.ports if self._udp is not None else None)
        if self._udp is not None:
            self._udp.open_the_way(session)
        self._depacketizer = Depacketizer(video.payload_type, list(video.parameter_sets))
        session.play()
        session.socket.settimeout(POLL_S)

    def _first(self) -> StreamInfo:
        """Wait for the first keyframe. What the stream is says its own SPS: descriptions are out of date at times."""
        deadline, kept = time.monotonic() + NO_KEYFRAME_S, False
        while not kept:
            if time.monotonic() > deadline:
                raise RtspError(f"no keyframe within {NO_KEYFRAME_S:g} s")
            for unit in self._more():
                kept = kept or unit.keyframe
                if kept:
                    self._units.append(unit)
        width, height = self._size()
        sets = self._depacketizer.parameter_sets
        return StreamInfo("h264", width, height, b"".join(b"\x00\x00\x00\x01" + one for one in sets))

    def _sps(self) -> bytes:
        return next((one for one in self._depacketizer.parameter_sets if one[0] & 0x1F == SPS), b"")

    def _size(self) -> tuple[int, int]:
        try:
            return picture_size(self._sps())
        except ValueError as error:
            raise UnsupportedStreamError(f"its SPS: {error}") from None

    def _same_size(self) -> None:
        """A segment has one size: with another a new session begins."""
        width, height = self._size()
        if (width, height) != (self.info.width, self.info.height):
            raise RtspError(f"the picture is now {width}x{height}")

    def _more(self) -> list[AccessUnit]:
        """The units that the next read brings, perhaps none."""
        if self._session is None:
            raise RtspError("closed")
        report = self._session.keep_alive()
        try:
            if self._udp is None:
                packets: list[memoryview] | list[bytes] = self._session.packets()
            else:
                if report is not None:
                    self._udp.report(self._session, report)
                packets = self._udp.packets(self._session, POLL_S)
        except TimeoutError:
            return []
        arrival_ns = time.monotonic_ns()
        return [unit for packet in packets for unit in self._depacketizer.push(packet, arrival_ns)]
