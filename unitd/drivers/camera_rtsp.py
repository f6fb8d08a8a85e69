"""A camera's H.264 or H.265 stream by RTSP, by our own client: a picture is handed on when its last packet is there.

Measured beside FFmpeg's client (camera_libav.py) on the same camera: a picture interval earlier (50 ms at 20 fps) and
less than half the CPU. What it does not understand (other codecs) goes to the other one.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from unitd.config import CameraTable
from unitd.drivers.camera_failures import (
    CameraAwayError,
    MoreReorderError,
    NotUnderstoodError,
    PasswordRefusedError,
    SilentError,
)
from unitd.drivers.camera_sound import CameraSound
from unitd.drivers.rtcp import Bye, parse_rtcp
from unitd.drivers.rtp_clock import ReorderedError
from unitd.drivers.rtp_h264 import Depacketizer
from unitd.drivers.rtp_h265 import H265Depacketizer
from unitd.drivers.rtp_pictures import START_CODE, PictureAssembler
from unitd.drivers.rtp_udp import UdpPair
from unitd.drivers.rtsp_session import NoConnectionError, RefusedError, RtspSession, plain
from unitd.drivers.rtsp_wire import RtspError, UnsupportedStreamError
from unitd.drivers.sdp import Video
from unitd.drivers.sdp_sound import Sound
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit, AudioUnit, MediaUnit, Profile, StreamInfo

OPEN_TIMEOUT_S = 5.0
"""From the first packet to the answer to PLAY; a resolver may take longer."""

STALL_S = 2.0
"""A stream without a picture for this long is stalled; the slowest camera of use sends a picture a second."""

POLL_S = 0.5
QUICK_S = 2.0
"""So long for the answers, and for the first picture, when the camera gave both within half of it before."""

NO_KEYFRAME_S = 4.0
"""So long after PLAY a keyframe is waited for; cameras of this class send one every 1 to 4 s, most of them at PLAY."""

WITHOUT_SOUND_S = 2.5
"""A camera that ends a session sooner than this when its sound is asked for is asked again at once, without."""

BYE_S = 0.5
"""After its BYE a camera may go on under another name; without a picture by then it is over."""

PATIENCE_S = 30.0
"""So long in all, when pictures do come: "smart" codecs send a keyframe every 10 to 20 s [vendors' knowledge]."""


class RtspStream:
    """One session with one profile of a camera. Not thread-safe; used and closed by the thread that opened it.

    `info` becomes another one when the camera changes its parameters, right before the keyframe that has them.
    While `hearing` is set, from any thread, the camera's sound comes among the pictures, when `info` has some.
    `rest` is called before each read over TCP; it may wait for pictures to gather, and says so.
    `waiting` is called each POLL_S while pictures but no keyframe come, with words that say so; False gives it up.
    """

    def __init__(
        self, camera: CameraTable, profile: Profile, reorder: int = 0, *, sound: bool = True, quick: bool = False
    ) -> None:
        """Open the stream and wait for its first keyframe; blocks up to OPEN_TIMEOUT_S + NO_KEYFRAME_S.

        `reorder` is what an earlier MoreReorderError said; without `sound` only pictures are asked for;
        `quick` gives up after QUICK_S each, for a camera that is known to answer sooner. Raises
        DeviceError (no secrets in it), of a kind that camera_failures.py knows or itself.
        """
        self._name = f"{camera.name}/{profile}"
        self._session: RtspSession | None = None
        self._udp: UdpPair | None = None
        self._sound_udp: UdpPair | None = None
        self._sound: CameraSound | None = None
        self._sound_asked = False
        self._ends_at: float | None = None
        self._units: list[MediaUnit] = []
        self.hearing = self._heard = False
        self.waiting: Callable[[str], bool] = lambda _: True
        self.rest: Callable[[], bool] = lambda: False
        self._newest_ns = 0
        url = camera.main_url if profile == "main" else camera.sub_url
        if url is None:
            raise DeviceError(f"{camera.name} has no {profile} stream")
        self._words = f"{camera.name}: cannot open the {profile} stream"
        try:
            self._first_s = QUICK_S if quick else NO_KEYFRAME_S
            self._open_s = QUICK_S if quick else OPEN_TIMEOUT_S
            video = self._open_as_it_can(url, camera, reorder, sound and camera.audio and profile == "main")
            self.info = StreamInfo(video.codec, 0, 0, b"")
            self._opened = time.monotonic()
            self._seen = (0, self._opened)
            self._await_keyframe(self._first_s)
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
                if not self._units and self._session is not None:
                    self._session.ask_keyframe(self._pictures.ssrc or 0)
                if not self._units and not self.waiting(f"{self._words} (pictures come, but no keyframe)"):
                    raise RtspError("given up")
            first_pts, last, changes = self._units[0].pts_90khz, time.monotonic(), self._pictures.set_changes
            while True:
                for unit in self._units or self._more():
                    if isinstance(unit, AudioUnit):
                        yield unit
                        continue
                    last, self._ends_at = time.monotonic(), None
                    if changes != self._pictures.set_changes and unit.keyframe:
                        changes = self._pictures.set_changes
                        self._describe()
                    if unit.pts_90khz >= first_pts:  # else shown before the first keyframe: it cannot be decoded
                        yield unit
                self._units = []
                if self._ends_at is not None and time.monotonic() > self._ends_at:
                    raise RtspError("the camera ended the stream")
                if time.monotonic() - last > STALL_S:
                    raise RtspError(f"no picture for {STALL_S:g} s")
        except (DeviceError, RtspError, OSError, ValueError) as error:
            raise self._failure(self._name, error) from None

    def close(self) -> None:
        """End the session; does not wait for the camera. May be called again."""
        if self._session is not None:
            self._session.close()
        for pair in (self._udp, self._sound_udp):
            if pair is not None:
                pair.close()

    def _failure(self, words: str, error: Exception) -> DeviceError:
        if isinstance(error, ReorderedError):
            return MoreReorderError(f"{words} ({error})", error.reorder)
        if isinstance(error, RefusedError):
            return PasswordRefusedError(f"{self._name.partition('/')[0]}: the camera refuses the password")
        if isinstance(error, TimeoutError):
            return SilentError(f"{words} ({plain(error)})")
        kind = NotUnderstoodError if isinstance(error, UnsupportedStreamError) else DeviceError
        return kind(f"{words} ({plain(error)})" if words == self._words else f"{words}: {plain(error)}")

    def _open_as_it_can(self, url: str, camera: CameraTable, reorder: int, sound: bool) -> Video:
        """With the sound, and at once without when it is the sound's SETUP after which the camera gives up."""
        began = time.monotonic()
        try:
            return self._open(url, camera, reorder, sound)
        except (RtspError, OSError):
            if not self._sound_asked or time.monotonic() - began > WITHOUT_SOUND_S:
                raise
        self.close()
        self._udp = self._sound_udp = self._sound = None
        return self._open(url, camera, reorder, False)

    def _open(self, url: str, camera: CameraTable, reorder: int, sound: bool) -> Video:
        password = ""
        if camera.password_file is not None:
            password = Path(camera.password_file).read_text(encoding="utf-8").strip()
        session = self._session = RtspSession(url, camera.username, password, self._open_s)
        video = session.describe()
        if camera.transport == "udp":
            self._udp = UdpPair(session.socket.family)
        session.set_up(video, self._udp.ports if self._udp is not None else None)
        if self._udp is not None:
            self._udp.open_the_way(session.host, session.server_port)
        assembler = H265Depacketizer if video.codec == "hevc" else Depacketizer
        self._pictures: PictureAssembler = assembler(video.payload_type, list(video.parameter_sets), reorder)
        if sound and session.sound is not None:
            self._open_sound(session, session.sound)
        session.play()
        session.socket.settimeout(POLL_S)
        return video

    def _open_sound(self, session: RtspSession, sound: Sound) -> None:
        try:
            kept = CameraSound(sound, self._pictures.clock)
        except ValueError:
            return
        self._sound_asked = True
        if self._udp is not None:
            self._sound_udp = UdpPair(session.socket.family)
        if session.set_up_sound(sound, self._sound_udp.ports if self._sound_udp is not None else None):
            self._sound = kept
            if self._sound_udp is not None:
                self._sound_udp.open_the_way(session.host, session.sound_server_port)

    def _await_keyframe(self, limit_s: float) -> None:
        """Wait so long for the first keyframe. Raises RtspError when not even pictures come, or PATIENCE_S is over."""
        started = time.monotonic()
        while not self._units and time.monotonic() - started < limit_s:
            for unit in self._more():
                if self._units or (isinstance(unit, AccessUnit) and unit.keyframe):
                    self._units.append(unit)
            if self._pictures.pictures != self._seen[0]:
                self._seen = (self._pictures.pictures, time.monotonic())
        if self._units:
            self._describe()
        elif time.monotonic() - self._seen[1] > min(STALL_S, self._first_s / 2):
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
        sound = self._sound.info if self._sound is not None else None
        self.info = StreamInfo(self._pictures.codec, sps.width, sps.height, sets, sound)

    def _more(self) -> list[MediaUnit]:
        """The units that the next read brings, perhaps none."""
        if self._session is None:
            raise RtspError("closed")
        rested = self._udp is None and not self._session.more and self.rest()
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
        push = self._pictures.push
        pictures = [unit for packet in packets for unit in push(packet, arrival_ns)]
        units: list[MediaUnit] = [*(self._spread(pictures) if rested and len(pictures) > 1 else pictures)]
        self._newest_ns = arrival_ns
        if self._udp is not None:
            self._udp_aside(self._udp, units, arrival_ns)
        elif self._session.aside:
            self._aside(self._session, units, arrival_ns)
        if self._sound is not None and self.hearing != self._heard:
            self._hear(self.hearing)
        return units

    def _spread(self, pictures: list[AccessUnit]) -> list[AccessUnit]:
        """Pictures that gathered came as far apart as the camera's clock says; right to a picture interval."""
        last = pictures[-1]
        return [
            replace(
                unit,
                arrival_mono_ns=max(
                    self._newest_ns, last.arrival_mono_ns - (last.dts_90khz - unit.dts_90khz) * 100_000 // 9
                ),
            )
            for unit in pictures
        ]

    def _aside(self, session: RtspSession, units: list[MediaUnit], arrival_ns: int) -> None:
        """What came beside the pictures in the same connection."""
        aside, session.aside = session.aside, []
        for channel, data in aside:
            if channel == session.sound_channel and self._sound is not None:
                units += self._sound.push(data, arrival_ns)
            else:
                self._report(data, of_sound=channel != session.rtp_channel + 1)

    def _udp_aside(self, udp: UdpPair, units: list[MediaUnit], arrival_ns: int) -> None:
        for data in udp.reports():
            self._report(data, of_sound=False)
        if self._sound_udp is None:
            return
        for data in self._sound_udp.reports():
            self._report(data, of_sound=True)
        for data in self._sound_udp.come():
            if self._sound is not None and self.hearing:
                units += self._sound.push(data, arrival_ns)

    def _report(self, data: bytes | memoryview, *, of_sound: bool) -> None:
        for report in parse_rtcp(data):
            if isinstance(report, Bye):
                if not of_sound:
                    self._ends_at = time.monotonic() + BYE_S
            elif self._sound is not None and of_sound:
                self._sound.clock.sound_report = report
            elif self._sound is not None:
                self._sound.clock.picture_report = report

    def _hear(self, wanted: bool) -> None:
        """Let the sound's packets through, or drop them before any work."""
        self._heard = wanted
        if self._sound is not None and not wanted:
            self._sound.rest()
        if self._session is not None and self._session.sound_channel is not None:
            change = self._session.aside_channels.add if wanted else self._session.aside_channels.discard
            change(self._session.sound_channel)
