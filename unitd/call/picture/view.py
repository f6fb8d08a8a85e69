"""What one far end sees on one picture track: which camera, at which step, and how it changes without a gap."""

import asyncio
import time
from typing import Protocol

from unitd.call.picture.feeds import Feeds, Stream
from unitd.call.picture.low_feed import LowFeed
from unitd.call.picture.stills import StillPort, StillSender
from unitd.call.picture.units import AccessUnit
from unitd.messages.duplex import Step
from unitd.runtime.logs import Logger

UNTIL_KNOWN_BIT_S = 2_000_000.0
RENEW_LEAST_S = 0.5
LOOK_LEAST_S = 0.4
LONGEST_GROUP_UP_S = 0.15
"""A step up waits for the next keyframe rather than send a group that takes longer: the pictures behind it would all be
late by so much, and a browser that has seen late ones goes on showing late for ten seconds."""
SETTLED_S = 10.0
"""After so long at the main stream the link carries it."""
STREAMS: tuple[Step, ...] = ("main", "sub", "low")


class Track(Protocol):
    """The way out of a picture, on the loop (rtc/picture_out.py)."""

    @property
    def awaits_keyframe(self) -> bool: ...

    def push(self, unit: AccessUnit) -> None: ...

    def push_backlog(self, units: list[AccessUnit]) -> None: ...

    def await_keyframe(self) -> None: ...

    def takes_s(self, units: list[AccessUnit]) -> float:
        """How long these are on their way out, at the present pace."""
        ...


class _Tap:
    """One stream on its way to the track; it is on show from its first keyframe on."""

    def __init__(self, stream: Stream, camera: str, step: Step, view: "PeerView") -> None:
        self.stream, self.camera, self.step, self.view = stream, camera, step, view

    def begin(self, group: list[AccessUnit]) -> None:
        self.view.tap_begins(self, group)

    def picture(self, unit: AccessUnit) -> None:
        self.view.tap_pictures(self, unit)


class _Watch:
    """Keeps a stream open that nobody shows: a dead camera that is waited for."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        stream.watch(self)

    def begin(self, group: list[AccessUnit]) -> None: ...

    def picture(self, unit: AccessUnit) -> None: ...

    def end(self) -> None:
        self.stream.leave(self)


class PeerView:
    """Follows what is wanted: `look` (the operator's choice of camera) and `follow` (the controller's step and rate).

    A step up, or another camera, is shown from its first keyframe, the old picture until then; on a step down the old
    stream ends at once. A camera without a picture is stood in for by the next one that has one, and comes back by
    itself (`tick`, some times a second). Without a `port` there are no stills. All on the loop; nothing blocks.
    """

    def __init__(self, feeds: Feeds, port: StillPort | None, log: Logger, *, claims: bool = True) -> None:
        """`claims`: it is a far end's own picture, for which sub is kept in hand until main has proved itself."""
        self._feeds = feeds
        self._claims = claims
        self._port = port
        self.has_stills = port is not None
        """The far end has a way for them: a media server has not."""
        self._log = log
        self._track: Track | None = None
        self._wanted = feeds.first
        self._camera = feeds.first
        self._allowed: Step = "voice"
        self._bit_s = 0.0
        self._renewed_s = 0.0
        self._asked: str | None = None
        self._looked_s = 0.0
        self._shown: _Tap | None = None
        self._shown_s = 0.0
        self._coming: _Tap | None = None
        self._missed: _Watch | None = None
        self._sender: StillSender | None = None
        self._sending: asyncio.Task[None] | None = None

    # --- what is wanted ---------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> str | None:
        """The camera that was asked for."""
        return self._wanted

    @property
    def camera(self) -> str | None:
        """The camera that is shown: the one asked for, or its stand-in."""
        return self._shown.camera if self._shown is not None else self._camera

    @property
    def step(self) -> Step:
        """The step that is really shown."""
        if self._sender is not None:
            return "stills"
        return self._shown.step if self._shown is not None else self._target

    @property
    def steps(self) -> tuple[Step, ...]:
        """What can be had of this camera now, best first."""
        return tuple(step for step in self._feeds.steps(self._camera) if step != "stills" or self.has_stills)

    @property
    def stream_bit_s(self) -> float:
        """What the stream on show takes by itself."""
        return self._shown.stream.rate.bit_s if self._shown is not None else UNTIL_KNOWN_BIT_S

    @property
    def sending_bit_s(self) -> float:
        """What is sent now, stills included; 0 while there is no picture."""
        if self._sender is not None:
            return self._sender.sending_bit_s
        shown = self._shown
        return 0.0 if shown is None or shown.stream.source is None else shown.stream.rate.bit_s

    @property
    def trouble(self) -> str | None:
        """What is wrong with the camera that was asked for, for a person to read."""
        wanted, camera = self._wanted, self.camera
        if wanted is None:
            return "no camera"
        if camera != wanted and self._missed is not None:
            return f"{wanted} gives no picture, {camera} stands in"
        return f"{wanted} gives no picture" if self._feeds.lost(wanted) else None

    @property
    def is_open(self) -> bool:
        """A session takes pictures."""
        return self._track is not None

    def open(self, track: Track) -> None:
        """From now on pictures can leave."""
        self._track = track
        self._settle(False)
        track.await_keyframe()
        self._agree()

    def close(self) -> None:
        """The session has ended. What was asked for is kept for the next one."""
        self._drop(self._shown)
        self._drop(self._coming)
        self._shown = self._coming = None
        self._feeds.gone(self)
        self._end_stills()
        self._await_no_camera()
        self._track = None
        self._camera = self._wanted

    def look(self, camera: str) -> bool:
        """Show this camera from its next keyframe on; False when there is no such camera. Of requests that follow each
        other within LOOK_LEAST_S the last is obeyed, by `tick`: nobody can make streams open and close without end."""
        if camera not in self._feeds.cameras:
            return False
        self._asked = camera
        self._obey_look()
        return True

    def _obey_look(self) -> None:
        now_s = time.monotonic()
        if self._asked is None or now_s - self._looked_s < LOOK_LEAST_S:
            return
        self._wanted = self._camera = self._asked
        self._asked, self._looked_s = None, now_s
        self._await_no_camera()
        self._agree()

    def follow(self, step: Step, picture_bit_s: float) -> None:
        """The step that the link allows, and what it has left for the picture (for the steps whose rate is ours)."""
        if self._allowed == "main" and step == "sub":
            self._feeds.prepare_low()
        self._allowed, self._bit_s = step, picture_bit_s
        if step != "main" and self._track is not None:
            self._settle(False)
        self._set_rates()
        self._agree()

    def renew(self) -> None:
        """The far end has lost its picture: the group in hand again, or a new keyframe; every RENEW_LEAST_S at most."""
        now_s = time.monotonic()
        if self._shown is not None and now_s - self._renewed_s >= RENEW_LEAST_S:
            self._renewed_s = now_s
            self._shown.stream.renew(self._shown)

    def tick(self) -> None:
        """Look after cameras and encoders that died, or came back."""
        self._obey_look()
        if self._track is None or self._wanted is None:
            return
        missed = self._missed
        if missed is not None and self._camera != self._wanted and missed.stream.source is not None:
            self._log.info("camera is back", camera=self._wanted)
            self._camera = self._wanted
        if self._feeds.lost(self._camera or ""):
            others = [name for name in self._feeds.cameras if not self._feeds.lost(name)]
            if others:
                self._stand_in(others[0])
        self._agree()
        on_main = self._shown is not None and self._shown.step == "main" and self._allowed == "main"
        self._settle(on_main and time.monotonic() - self._shown_s > SETTLED_S)
        if self._shown is not None and isinstance(self._shown.stream, LowFeed) and self._track.awaits_keyframe:
            self.renew()  # its own next one may be seconds away
        if self._camera == self._wanted and self._missed is not None and self._coming is None:
            self._await_no_camera()

    def _settle(self, is_settled: bool) -> None:
        if self._claims:
            self._feeds.settled(self, is_settled)

    # --- making it so -----------------------------------------------------------------------------------------------

    @property
    def is_showing(self) -> bool:
        """A stream is on show."""
        return self._shown is not None

    @property
    def _target(self) -> Step:
        step = self._feeds.step_of(self._camera, self._allowed)
        return "voice" if step == "stills" and not self.has_stills else step

    def _stand_in(self, camera: str) -> None:
        self._log.warning("camera gives no picture, another stands in", camera=self._camera, stand_in=camera)
        if self._missed is None and self._wanted is not None:
            stream = self._feeds.get(self._wanted, "sub" if "sub" in self._feeds.steps(self._wanted) else "main")
            if stream is not None:
                self._missed = _Watch(stream)
        self._camera = camera

    def _await_no_camera(self) -> None:
        if self._missed is not None:
            self._missed.end()
            self._missed = None

    def _agree(self) -> None:
        """Make streams and stills what they should be."""
        track, camera, step = self._track, self._camera, self._target
        if track is None or camera is None:
            return
        if step == "stills":
            self._send_stills(camera)
        else:
            self._end_stills()
        if step not in STREAMS:
            self._stop_shown(track)
            return
        shown, coming = self._shown, self._coming
        if shown is not None and (shown.camera, shown.step) == (camera, step):
            self._drop(coming)
            self._coming = None
            return
        if coming is not None and (coming.camera, coming.step) == (camera, step):
            return
        self._drop(coming)
        self._coming = None
        stream = self._feeds.get(camera, step)
        if stream is None:
            return
        if shown is not None and STREAMS.index(step) > STREAMS.index(shown.step):
            self._stop_shown(track)  # the link does not carry it any more
        self._coming = tap = _Tap(stream, camera, step, self)
        stream.watch(tap)
        self._set_rates()

    def _stop_shown(self, track: Track) -> None:
        for tap in (self._shown, self._coming):
            self._drop(tap)
        if self._shown is not None:
            track.await_keyframe()
        self._shown = self._coming = None

    def _drop(self, tap: _Tap | None) -> None:
        if tap is not None:
            tap.stream.leave(tap)

    def _set_rates(self) -> None:
        for tap in (self._shown, self._coming):
            if tap is not None and isinstance(tap.stream, LowFeed):
                tap.stream.set_rate(tap, self._bit_s)
        if self._sender is not None:
            self._sender.bit_s = self._bit_s

    def _send_stills(self, camera: str) -> None:
        if self._sender is not None and self._sender.camera == camera:
            return
        self._end_stills()
        feed = self._feeds.stills(camera)
        if feed is not None and self._port is not None:
            self._sender = StillSender(camera, feed, self._port, self._bit_s, self._log)
            self._sending = asyncio.create_task(self._sender.run(), name="stills")

    def _end_stills(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        self._sender = self._sending = None

    # --- what the streams tell --------------------------------------------------------------------------------------

    def tap_begins(self, tap: _Tap, group: list[AccessUnit]) -> None:
        """A stream begins, with the pictures since its last keyframe."""
        track = self._track
        if track is None or tap not in (self._shown, self._coming):
            return
        if group:
            if self._is_step_up(tap) and track.takes_s(group) > LONGEST_GROUP_UP_S:
                return
            self._show(tap, track)
            track.push_backlog(group)
        elif tap is self._shown:
            track.await_keyframe()

    def tap_pictures(self, tap: _Tap, unit: AccessUnit) -> None:
        """A stream's next picture."""
        track = self._track
        if track is None:
            return
        if tap is self._coming and unit.keyframe:
            self._show(tap, track)
        if tap is self._shown:
            track.push(unit)

    def _is_step_up(self, tap: _Tap) -> bool:
        """The same camera is on show at a lower step, which goes on meanwhile."""
        shown = self._shown
        return shown is not None and shown is not tap and shown.camera == tap.camera

    def _show(self, tap: _Tap, track: Track) -> None:
        if tap is self._coming:
            self._drop(self._shown)
            self._shown, self._coming = tap, None
            self._shown_s = time.monotonic()
            track.await_keyframe()
