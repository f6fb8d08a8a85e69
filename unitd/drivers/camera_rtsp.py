"""A camera's H.264 or H.265 stream by RTSP, by our own client: a picture is handed on when its last packet is there.

Measured beside FFmpeg's client (camera_libav.py) on the same camera: a picture interval earlier (50 ms at 20 fps) and
less than half the CPU. What it does not understand (other codecs, interlaced pictures) goes to the other one.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from unitd.config import CameraTable
from unitd.drivers.camera_failures import CameraAwayError, MoreReorderError, NotUnderstoodError, PasswordRefusedError
from unitd.drivers.rtp_clock import ReorderedError
from unitd.drivers.rtp_h264 import Depacketizer
from unitd.drivers.rtp_h265 import H265Depacketizer
from unitd.drivers.rtp_pictures import START_CODE, PictureAssembler
from unitd.drivers.rtp_udp import UdpPair
from unitd.drivers.rtsp_session import NoConnectionError, RefusedError, RtspSession, plain
from unitd.drivers.rtsp_wire import RtspError, UnsupportedStreamError
from unitd.drivers.sdp import Video
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit, MediaUnit, Profile, StreamInfo

OPEN_TIMEOUT_S = 5.0
"""From the first packet to the answer to PLAY; a resolver may take longer."""

STALL_S = 2.0
"""A stream without a picture for this long is stalled; the slowest camera of use sends a picture a second."""

POLL_S = 0.5
NO_KEYFRAME_S = 4.0
"""So long after PLAY a keyframe is waited for; cameras of this class send one every 1 to 4 s, most of them at PLAY."""

PATIENCE_S = 30.0
"""So long in all, when pictures do come: "smart" codecs send a keyframe every 10 to 20 s [vendors' knowledge]."""


class RtspStream:
    """One session with one profile of a camera. Not thread-safe; used and closed by the thread that opened it.

    `info` becomes another one when the camera changes its parameters, right before the keyframe that has them.
    `waiting` is called each POLL_S while pictures but no keyframe come, with words that say so; False gives it up.
    """

    def __init__(self, camera: CameraTable, profile: Profile, reorder: int = 0) -> None:
        """Open the stream and wait for its first keyframe; blocks up to OPEN_TIMEOUT_S + NO_KEYFRAME_S.

        `reorder` is what an earlier MoreReorderError said. Raises DeviceError (no secrets in it), of a kind that
        camera_failures.py knows or itself.
        """
        self._name = f"{camera.name}/{profile}"
        self._session: RtspSession | None = None
        self._udp: UdpPair | None = None
        self._units: list[AccessUnit] = []
        self.hearing = False
        self.waiting: Callable[[str], bool] = lambda _: True
        url = camera.main_url if profile == "main" else camera.sub_url
        if url is None:
            raise DeviceError(f"{camera.name} has no {profile} stream")
        self._words = f"{camera.name}: cannot open the {profile} stream"
        try:
            video = self._open(url, camera, reorder)
            self.info = StreamInfo(video.codec, 0, 0, b"")
            self._opened = time.monotonic()
            self._seen = (0, self._opened)
            self._await_keyframe(NO_KEYFRAME_S)
        except NoConnectionError as error:
            self.close()
            raise CameraAwayError(f"{self._words} ({error})") from None
        except (DeviceError, RtspError, OSError, ValueError) as error:
            self.close()
            raise self._failure(self._words, error) from None

    @property
    def mended_times(self) -> int:
        return self._pictures.mended_times

    @property
    def damaged_units(self) -> int:
        return self._pictures.damaged_units

    def units(self) -> Iterator[MediaUnit]:
        """Yield access units from the first keyframe on, each as it comes; blocks up to STALL_S + POLL_S (while there
        is no keyframe up to PATIENCE_S).

        Raises DeviceError when the stream stalls, ends or breaks, of a kind that camera_failures.py knows or itself.
        """
        try:
            while not self._units:
                self._await_keyframe(POLL_S)
                if not self._units and not self.waiting(f"{self._words} (pictures come, but no keyframe)"):
                    raise RtspError("given up")
            first_pts, last, changes = self._units[0].pts_90khz, time.monotonic(), self._pictures.set_changes
            while True:
                for unit in self._units or self._more():
                    last = time.monotonic()
                    if changes != self._pictures.set_changes and unit.keyframe:
                        changes = self._pictures.set_changes
                        self._describe()
                    if unit.pts_90khz >= first_pts:  # else shown before the first keyframe: it cannot be decoded
                        yield unit
                self._units = []
                if time.monotonic() - last > STALL_S:
                    raise RtspError(f"no picture for {STALL_S:g} s")
        except (DeviceError, RtspError, OSError, ValueError) as error:
            raise self._failure(self._name, error) from None

    def close(self) -> None:
        """End the session; does not wait for the camera. May be called again."""
        if self._session is not None:
            self._session.close()
        if self._udp is not None:
            self._udp.close()

    def _failure(self, words: str, error: Exception) -> DeviceError:
        if isinstance(error, ReorderedError):
            return MoreReorderError(f"{words} ({error})", error.reorder)
        if isinstance(error, RefusedError):
            return PasswordRefusedError(f"{self._name.partition('/')[0]}: the camera refuses the password")
        kind = NotUnderstoodError if isinstance(error, UnsupportedStreamError) else DeviceError
        return kind(f"{words} ({plain(error)})" if words == self._words else f"{words}: {plain(error)}")

    def _open(self, url: str, camera: CameraTable, reorder: int) -> Video:
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
        assembler = H265Depacketizer if video.codec == "hevc" else Depacketizer
        self._pictures: PictureAssembler = assembler(video.payload_type, list(video.parameter_sets), reorder)
        session.play()
        session.socket.settimeout(POLL_S)
        return video

    def _await_keyframe(self, limit_s: float) -> None:
        """Wait so long for the first keyframe. Raises RtspError when not even pictures come, or PATIENCE_S is over."""
        started = time.monotonic()
        while not self._units and time.monotonic() - started < limit_s:
            for unit in self._more():
                if unit.keyframe or self._units:
                    self._units.append(unit)
            if self._pictures.pictures != self._seen[0]:
                self._seen = (self._pictures.pictures, time.monotonic())
        if self._units:
            self._describe()
        elif time.monotonic() - self._seen[1] > min(STALL_S, NO_KEYFRAME_S / 2):
            raise RtspError(f"no picture for {STALL_S:g} s" if self._seen[0] else "no picture")
        elif time.monotonic() - self._opened > PATIENCE_S:
            raise RtspError(f"no keyframe within {PATIENCE_S:g} s")

    def _describe(self) -> None:
        """What the stream is says its own SPS: descriptions are out of date at times."""
        try:
            sps = self._pictures.sps()
        except ValueError as error:
            raise UnsupportedStreamError(f"its SPS: {error}") from None
        sets = b"".join(START_CODE + one for one in self._pictures.parameter_sets)
        self.info = StreamInfo(self._pictures.codec, sps.width, sps.height, sets)

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
        return [unit for packet in packets for unit in self._pictures.push(packet, arrival_ns)]
