"""The picture in the corner of another: a second camera's small stream on the second track, when the link has room."""

import time

from unitd.call.picture.feeds import Feeds
from unitd.call.picture.view import LOOK_LEAST_S, PeerView, Track
from unitd.messages.duplex import Step
from unitd.runtime.logs import Logger

LOW_BIT_S = 100_000.0
"""Of a camera without a sub stream, whose picture is re-encoded."""


class Corner:
    """What the operator asked for (`ask`), and whether the link has room for it (`follow`). All on the loop."""

    def __init__(self, feeds: Feeds, log: Logger) -> None:
        self._feeds = feeds
        self._view = PeerView(feeds, None, log, claims=False)
        self._track: Track | None = None
        self._asked: str | None = None
        self._fits = False
        self._is_new = False
        self._obeyed_s = 0.0

    @property
    def camera(self) -> str | None:
        """The camera whose picture is sent now."""
        return self._view.camera if self._view.is_open and self._view.is_showing else None

    @property
    def need_bit_s(self) -> float:
        """What it takes of the link: 0 while nobody has asked for it, or the far end has no second track."""
        if self._asked is None or self._track is None:
            return 0.0
        stream = self._feeds.get(self._asked, "sub") if self._step == "sub" else None
        return LOW_BIT_S if stream is None else stream.rate.bit_s

    @property
    def stream_bit_s(self) -> float:
        """What the stream on show takes by itself."""
        return self._view.stream_bit_s

    @property
    def sending_bit_s(self) -> float:
        """What is sent now."""
        return self._view.sending_bit_s

    def ask(self, camera: str | None) -> None:
        """Show this camera in the corner; None: nothing there. A name that is unknown is none. Obeyed at the next
        `tick`."""
        self._asked = camera if camera in self._feeds.cameras else None
        self._is_new = True

    def open(self, track: Track) -> None:
        """The far end has taken the second track."""
        self._track = track
        self._agree()

    def close(self) -> None:
        """The session has ended; what was asked for is kept for the next one."""
        self._track, self._fits = None, False
        self._agree()

    def follow(self, fits: bool) -> None:
        """Whether the link has room."""
        if fits != self._fits:
            self._fits = fits
            self._agree()

    def renew(self) -> None:
        """The far end has lost this picture."""
        self._view.renew()

    def tick(self) -> None:
        """Obey what was asked, LOOK_LEAST_S after the last time at the earliest; look after a camera that died, or came
        back."""
        now_s = time.monotonic()
        if self._is_new and now_s - self._obeyed_s >= LOOK_LEAST_S:
            self._is_new, self._obeyed_s = False, now_s
            self._agree()
        self._view.tick()

    @property
    def _step(self) -> Step:
        return "sub" if "sub" in self._feeds.steps(self._asked) else "low"

    def _agree(self) -> None:
        track, asked = self._track, self._asked
        if track is None or asked is None or not self._fits:
            self._view.close()
            if track is not None:
                track.await_keyframe()
            return
        self._view.look(asked)
        self._view.follow(self._step, LOW_BIT_S)
        if not self._view.is_open:
            self._view.open(track)
