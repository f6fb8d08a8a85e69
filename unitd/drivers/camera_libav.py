"""A camera's stream by RTSP through PyAV, for what our own client (camera_rtsp.py) does not understand.

Blocking reads on the caller's thread, nothing decoded.

Traps of PyAV 18 (FFmpeg 8.1) that this file answers, all measured: a black-holed open hangs for ever without a
time-out; a frozen server is noticed only after twice the read time-out; errors vary, FFmpegError covers them;
containers that are not closed pile up descriptors; a short `analyzeduration` and no frame-rate probing open in 0.3 s
instead of 1.8; `fflags=nobuffer` would throw the first GOP away. FFmpeg hands a picture over when the next one begins,
so each is late by one picture interval (50 ms at 20 fps, measured).
"""

import errno
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import av

from unitd.config import CameraTable
from unitd.drivers.camera_failures import CameraAwayError, NotUnderstoodError, PasswordRefusedError
from unitd.errors import DeviceError
from unitd.messages.media import CLOCK_RATE_HZ, AccessUnit, Profile, StreamInfo

OPEN_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 1.1
"""A stalled stream is then noticed within 2.2 s; the slowest camera of use sends a frame a second."""

UNTIMED_PACKETS = 8
"""FFmpeg gives the first packet of a session no time until the second has come; more than this is damage."""

NO_KEYFRAME_S = 5.0
"""With the opening still below the time after which `record` takes the reading thread for hung."""

CODECS = ("h264", "hevc")
_AWAY = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)
_START_CODE = b"\x00\x00\x01"
_HEAD_BYTES = 512


class LibavStream:
    """One session with one profile of a camera. Not thread-safe; `close` only from the thread that reads."""

    def __init__(self, camera: CameraTable, profile: Profile) -> None:
        """Open the stream; blocks up to a few seconds. Raises DeviceError, whose text names no credentials."""
        self.waiting: Callable[[str], bool] = lambda _: True  # as our own client has; here NO_KEYFRAME_S is all
        self.hearing = False  # no sound by this client
        url = camera.main_url if profile == "main" else camera.sub_url
        if url is None:
            raise DeviceError(f"{camera.name} has no {profile} stream")
        options = {
            "rtsp_transport": camera.transport,
            "analyzeduration": "200000",
            "fpsprobesize": "0",
            "allowed_media_types": "video",
        }
        try:
            self._container: Any = av.open(
                _with_credentials(url, camera), options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S)
            )
        except av.error.HTTPUnauthorizedError:
            raise PasswordRefusedError(f"{camera.name}: the camera refuses the password") from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            away = isinstance(error, OSError) and error.errno in _AWAY
            kind = CameraAwayError if away else DeviceError
            raise kind(f"{camera.name}: cannot open the {profile} stream ({_plain(error)})") from None
        try:
            self._stream = self._container.streams.video[0]
            context = self._stream.codec_context
            self.info = StreamInfo(context.name, context.width, context.height, bytes(context.extradata or b""))
        except (IndexError, AttributeError, av.error.FFmpegError) as error:
            self.close()
            raise DeviceError(f"{camera.name}: no usable video in the {profile} stream ({_plain(error)})") from None
        if not self.info.width or not self.info.height:
            self.close()
            raise DeviceError(f"{camera.name}: no picture size found in the {profile} stream")
        if self.info.codec not in CODECS:
            self.close()
            raise NotUnderstoodError(
                f"{camera.name}: the {profile} stream is {self.info.codec}; set the camera to H.264"
            )
        self._is_set = _CODEC_SETS[self.info.codec]
        self._name = f"{camera.name}/{profile}"
        self._last_dts = -(1 << 62)
        scale = (self._stream.time_base or 0) * CLOCK_RATE_HZ
        self._scale: int | Fraction = 1 if scale in (0, 1) else scale  # whole numbers: fractions cost 5 us each
        self.mended_times = 0
        self.damaged_units = 0

    def units(self) -> Iterator[AccessUnit]:
        """Yield access units from the first keyframe on, each as it comes; blocks up to the read time-out.

        Raises DeviceError when the stream stalls, ends or breaks.
        """
        untimed: list[tuple[Any, int]] = []
        waiting, opened = True, time.monotonic()
        try:
            for packet in self._container.demux(self._stream):
                arrival_ns = time.monotonic_ns()
                if not packet.size:
                    break
                if packet.is_corrupt:
                    self.damaged_units += 1
                if waiting and not packet.is_keyframe:
                    if time.monotonic() - opened > NO_KEYFRAME_S:
                        raise DeviceError(f"{self._name}: no keyframe within {NO_KEYFRAME_S:g} s")
                    continue
                waiting = False
                untimed.append((packet, arrival_ns))
                if packet.pts is None and packet.dts is None and len(untimed) < UNTIMED_PACKETS:
                    continue
                for number, (held, held_ns) in enumerate(untimed):
                    yield self._unit(held, held_ns, self._guess(packet, len(untimed) - 1 - number))
                untimed.clear()
        except DeviceError:
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise DeviceError(f"{self._name}: {_plain(error)}") from None
        raise DeviceError(f"{self._name}: the camera ended the stream")

    def close(self) -> None:
        """End the session; blocks a moment for TEARDOWN. May be called again."""
        self._container.close()

    def _unit(self, packet: Any, arrival_ns: int, guess: int) -> AccessUnit:
        data = bytes(packet)
        keyframe = bool(packet.is_keyframe)
        if keyframe and not _has_parameter_sets(data, self._is_set):
            data = self.info.extradata + data
        dts, pts = self._times(packet, guess)
        return AccessUnit(data, keyframe, pts, dts, arrival_ns)

    def _guess(self, timed: Any, earlier: int) -> int:
        """The time, in the stream's own ticks, of a packet without one: so many pictures before `timed`."""
        stamp = timed.dts if timed.dts is not None else timed.pts
        return int((stamp or 0) - earlier * (timed.duration or 0))

    def _times(self, packet: Any, guess: int) -> tuple[int, int]:
        """(dts, pts) in 90 kHz. A camera's clock that stands still or steps back would end the muxer: it is mended."""
        scale = self._scale
        stamp = packet.dts if packet.dts is not None else packet.pts
        dts = int((stamp if stamp is not None else guess) * scale)
        pts = int(packet.pts * scale) if packet.pts is not None else dts
        if dts <= self._last_dts:
            self.mended_times += 1
            dts = self._last_dts + 1
        self._last_dts = dts
        return dts, max(pts, dts)


def _with_credentials(url: str, camera: CameraTable) -> str:
    if camera.username is None:
        return url
    password = ""
    if camera.password_file is not None:
        password = Path(camera.password_file).read_text(encoding="utf-8").strip()
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(camera.username, safe='')}:{quote(password, safe='')}@{host}"))


def _plain(error: BaseException) -> str:
    """The reason without FFmpeg's copy of the URL, which carries the password."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__


def _is_h264_sps(head: int) -> bool:
    return head & 0x1F == 7


def _is_hevc_sps(head: int) -> bool:
    return head >> 1 & 0x3F == 33


_CODEC_SETS = {"h264": _is_h264_sps, "hevc": _is_hevc_sps}


def _has_parameter_sets(data: bytes, is_sps: Callable[[int], bool]) -> bool:
    """Whether an SPS stands near the start of this Annex B access unit."""
    at = data.find(_START_CODE, 0, _HEAD_BYTES)
    while at >= 0 and at + 3 < len(data):
        if is_sps(data[at + 3]):
            return True
        at = data.find(_START_CODE, at + 3, _HEAD_BYTES)
    return False
