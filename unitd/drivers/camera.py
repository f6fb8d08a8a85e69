"""Opens a camera's stream with the client and the transport that work with it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from unitd.config import CameraTable
from unitd.drivers.camera_failures import (
    CameraAwayError,
    MoreReorderError,
    NotUnderstoodError,
    PasswordRefusedError,
    SilentError,
)
from unitd.drivers.camera_libav import LibavStream
from unitd.drivers.camera_rtsp import QUICK_S, RtspStream
from unitd.errors import DeviceError
from unitd.messages.media import MediaUnit, Profile, StreamInfo

Transport = Literal["tcp", "udp"]

SHORT_SESSION_S = 100.0
"""Longer than the time after which cameras drop a client whose keep-alive they do not understand (60 s mostly)."""

SHORT_SESSIONS = 3
OUTAGE_S = 60.0
"""For so long after a stream that worked, a camera that does not answer is the camera's fault, not the client's."""

STRIKES = 2
DEAF_AFTER = 3
"""So many sessions in a row that came without sound only: then the sound is left alone."""

PASSWORD_PAUSES_S = (0.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Before the next attempt with a password that was refused: once more at once (a camera that starts may refuse a right
one), then slowly. Some makers lock a client out for half an hour after 5 to 7 attempts [vendors' knowledge]."""

_UNKNOWN = (0, 1, 0, 1, 2, 3)
_KNOWN = (0, 1, 0, 1, 0, 2, 0, 3)
"""Numbers of ways in the order of trying, and the same counted from the one that worked (exclusive or)."""

_OTHER: dict[Transport, Transport] = {"tcp": "udp", "udp": "tcp"}


@dataclass(frozen=True)
class Way:
    """A client and a transport."""

    client: Literal["own", "ffmpeg"]
    transport: Transport

    def __str__(self) -> str:
        return f"{self.client}/{self.transport}"


@dataclass
class WayFinder:
    """Which way is tried next for one stream. Pure; not thread-safe.

    Ours and FFmpeg's client in turn, now and then both with the other transport; once a way has worked, every second
    attempt is that. No connection at all does not count. The first way, 50 ms earlier than FFmpeg's, gets a second
    chance when another one worked: a camera that was still starting may have refused it.
    """

    transport: Transport
    worked: int | None = None
    failures: int = 0
    strikes: list[int] = field(default_factory=lambda: [0] * 4)
    short: int = 0
    doubted: int | None = None
    """The way that was left for its short sessions: when another's long one is over it is tried once more."""
    words: dict[int, str] = field(default_factory=dict)
    reorder: int = 0
    """How many pictures come before one that is shown earlier, as found out by our own client."""
    opened_in_s: float = 0.0
    lost_at: float = float("-inf")
    deaf: bool = False
    """Whether the next attempt goes without the camera's sound: it may be what a camera cannot do."""
    deaf_times: int = 0

    def __post_init__(self) -> None:
        first, other = self.transport, _OTHER[self.transport]
        self.ways = (Way("own", first), Way("ffmpeg", first), Way("own", other), Way("ffmpeg", other))

    def in_outage(self, now_s: float) -> bool:
        """Whether a stream that worked has just been lost."""
        return self.worked is not None and now_s - self.lost_at < OUTAGE_S

    def choose(self) -> int:
        if self.worked is None:
            return _UNKNOWN[self.failures % len(_UNKNOWN)]
        if self.worked != 0 and self.failures == 0 and self.strikes[0] < STRIKES:
            return 0
        return self.worked ^ _KNOWN[self.failures % len(_KNOWN)]

    def failed(self, way: int, words: str, *, hopeless: bool) -> None:
        """No picture came. `hopeless`: none will ever come this way."""
        self.deaf = not self.deaf
        if hopeless:
            self.strikes[way] = STRIKES
        elif self.failures == 0:
            self.strikes[way] += 1
        self.failures += 1
        self.words[way] = words

    def began(self, way: int) -> None:
        """The first picture is there."""
        self.worked, self.failures = way, 0
        self.deaf_times = self.deaf_times + 1 if self.deaf and way % 2 == 0 else 0
        self.strikes[way] = 0
        self.words.clear()

    def ended(self, way: int, lasted_s: float, *, hopeless: bool) -> None:
        """A session with pictures is over. Of short ones in a row another client may get more."""
        self.deaf = self.deaf_times >= DEAF_AFTER
        self.short = 0 if lasted_s > SHORT_SESSION_S else self.short + 1
        if self.doubted is not None and self.doubted != way and not self.short:
            self.strikes[self.doubted], self.doubted = 0, None
            self.short = SHORT_SESSIONS - 1
        if hopeless or self.short >= SHORT_SESSIONS:
            self.doubted = None if hopeless else way
            self.strikes[way] = STRIKES
            self.short, self.worked = 0, way ^ 1

    def told(self) -> str:
        """What is wrong, in the same words however the attempts take turns; ours first."""
        return "; ".join(dict.fromkeys(words for _, words in sorted(self.words.items())))


class CameraSession:
    """An open stream. Not thread-safe; used and closed by the thread that opened it."""

    def __init__(self, opener: "CameraOpener", finder: WayFinder, way: int, stream: RtspStream | LibavStream) -> None:
        self._opener, self._finder, self._way, self._stream = opener, finder, way, stream
        self.client = str(finder.ways[way])

    @property
    def info(self) -> StreamInfo:
        """What the stream is; another one from the unit on that came with other parameters."""
        return self._stream.info

    @property
    def hearing(self) -> bool:
        """Whether the camera's sound is wanted; without it its packets are dropped before any work."""
        return self._stream.hearing

    @hearing.setter
    def hearing(self, wanted: bool) -> None:
        self._stream.hearing = wanted

    def on_waiting(self, waiting: Callable[[str], bool]) -> None:
        """Have `waiting` called twice a second while pictures but no keyframe come; when it returns False, `units`
        gives up."""
        self._stream.waiting = waiting

    @property
    def mended_times(self) -> int:
        return self._stream.mended_times

    @property
    def damaged_units(self) -> int:
        return self._stream.damaged_units

    def units(self) -> Iterator[MediaUnit]:
        """Access units from a keyframe on, and the camera's sound among them.

        Raises DeviceError when the stream stalls, ends or breaks.
        """
        units = self._stream.units()
        try:
            first = next(units)
        except DeviceError as error:
            raise self._opener.note_failure(self._finder, self._way, error) from None
        self._opener.note_start(self._finder, self._way)
        began = time.monotonic()
        try:
            yield first
            yield from units
        except DeviceError as error:
            self._opener.note_end(self._finder, self._way, time.monotonic() - began, error)
            raise

    def on_reading(self, rest: Callable[[], bool]) -> None:
        """As the recorder's Source says; FFmpeg's client reads as it likes."""
        if isinstance(self._stream, RtspStream):
            self._stream.rest = rest

    def close(self) -> None:
        self._stream.close()


@dataclass
class _Refusals:
    """How often in a row a camera refused the password, and until when it is not asked again."""

    times: int = 0
    not_before: float = 0.0
    words: str = ""


class CameraOpener:
    """Remembers for each stream what works, for each camera that it refuses the password. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._finders: dict[tuple[str, Profile], WayFinder] = {}
        self._refusals: dict[str, _Refusals] = {}

    def open(self, camera: CameraTable, profile: Profile) -> CameraSession:
        """A session with the camera; blocks up to 9 s. Raises DeviceError, its words stable while nothing changes."""
        with self._lock:
            finder = self._finders.setdefault((camera.name, profile), WayFinder(camera.transport))
            refusals = self._refusals.setdefault(camera.name, _Refusals())
            if time.monotonic() < refusals.not_before:
                raise PasswordRefusedError(refusals.words)
            number, sound = finder.choose(), not finder.deaf
            began = time.monotonic()
            quick = finder.in_outage(began) and finder.opened_in_s < QUICK_S / 2
        way, reorder = finder.ways[number], finder.reorder
        table = msgspec.structs.replace(camera, transport=way.transport)
        try:
            stream = (
                RtspStream(table, profile, reorder, sound=sound, quick=quick)
                if way.client == "own"
                else LibavStream(table, profile)
            )
        except PasswordRefusedError as error:
            raise self._refused(refusals, error) from None
        except DeviceError as error:
            raise self.note_failure(finder, number, error) from None
        with self._lock:
            refusals.times = 0
            finder.opened_in_s = time.monotonic() - began
        return CameraSession(self, finder, number, stream)

    def note_failure(self, finder: WayFinder, way: int, error: DeviceError) -> DeviceError:
        """Count an attempt without a picture; returns what is to be said of it."""
        with self._lock:
            outage = isinstance(error, SilentError) and finder.in_outage(time.monotonic())
            if outage or isinstance(error, CameraAwayError):
                finder.short = 0  # the camera went away: that its session was short is not the client's fault
                return error
            if isinstance(error, MoreReorderError):
                finder.reorder = error.reorder
                return error
            finder.failed(way, str(error), hopeless=isinstance(error, NotUnderstoodError))
            return DeviceError(finder.told())

    def note_start(self, finder: WayFinder, way: int) -> None:
        with self._lock:
            finder.began(way)

    def note_end(self, finder: WayFinder, way: int, lasted_s: float, error: DeviceError) -> None:
        with self._lock:
            finder.lost_at = time.monotonic()
            if isinstance(error, MoreReorderError):
                finder.reorder = error.reorder
                return
            finder.ended(way, lasted_s, hopeless=isinstance(error, NotUnderstoodError))

    def _refused(self, refusals: _Refusals, error: PasswordRefusedError) -> PasswordRefusedError:
        with self._lock:
            pause_s = PASSWORD_PAUSES_S[min(refusals.times, len(PASSWORD_PAUSES_S) - 1)]
            refusals.times += 1
            refusals.not_before, refusals.words = time.monotonic() + pause_s, str(error)
        return error
