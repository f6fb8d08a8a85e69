"""The low step's stream: one camera's picture re-encoded at the rate that the slowest of its watchers has left."""

import asyncio
import contextlib
import time
from collections import deque
from concurrent.futures import Executor

from unitd.call.congestion.pacer import BitRate
from unitd.call.picture.decoded_feed import DecodedFeed
from unitd.call.picture.feed import Watcher
from unitd.call.picture.low_encoder import LowEncoder, encoders
from unitd.call.picture.low_plan import LowPlan, plan_for
from unitd.call.picture.units import AccessUnit
from unitd.errors import DeviceError
from unitd.runtime.logs import Logger

FIRST_BIT_S = 200_000.0
CHECK_S = 0.5
SILENT_AFTER_S = 3.0
"""Pictures go in and none comes out for so long: the encoder hangs."""
FAILURES = 3
"""In a row, of every encoder there is; then the step is left out for RETRY_S."""
RETRY_S = 60.0
GOOD_AFTER_S = 10.0
"""One that lasted so long was no failure of those before."""
PAUSE_S = 0.3
KEYFRAME_LEAST_S = 0.5
"""Between two keyframes that are asked for: at 100 kbit/s one costs 0.4 s of the rate."""
WAITING_UNITS = 30


class LowFeed:
    """As a `Feed`, with a rate that is set. The encoder runs only while somebody watches. There is no group in hand: a
    watcher gets a keyframe with the next picture, within 0.2 s."""

    def __init__(self, decoded: DecodedFeed, executor: Executor, log: Logger) -> None:
        self._decoded = decoded
        self._executor = executor
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._watchers: dict[Watcher, float] = {}
        self._encoder: LowEncoder | None = None
        self._work: asyncio.Task[None] | None = None
        self._asked_s = 0.0
        self._ask_due: asyncio.TimerHandle | None = None
        self._waiting: deque[AccessUnit] = deque()
        self._skipping = False
        self.dropped_units = 0
        self.made_units = 0
        self.rate = BitRate(FIRST_BIT_S)
        self._names = encoders()
        self._broken: str | None = None if self._names else "GStreamer has no H.264 encoder"

    @property
    def broken(self) -> str | None:
        """Why the step cannot be had; None while it can (as far as anybody has tried)."""
        return self._broken or self._decoded.failed

    @property
    def source(self) -> str | None:
        source = self._decoded.feed.source
        return None if source is None else f"{source}, re-encoded"

    @property
    def lost(self) -> bool:
        return self._decoded.feed.lost

    @property
    def bit_s(self) -> float:
        """What the encoder is asked for: the least of what its watchers have left."""
        return min(self._watchers.values(), default=FIRST_BIT_S)

    @property
    def plan(self) -> LowPlan:
        """Size and pictures a second of now."""
        return self._encoder.plan if self._encoder is not None else plan_for(self.bit_s)

    def watch(self, watcher: Watcher) -> None:
        """Give `watcher` every picture from the next keyframe on, which is made at once."""
        self._watchers.setdefault(watcher, FIRST_BIT_S if not self._watchers else self.bit_s)
        if self._work is None:
            self._work = asyncio.create_task(self._run(), name="low encoder")
        self.renew(watcher)

    def leave(self, watcher: Watcher) -> None:
        """End `watcher`'s part; the encoder ends with the last one."""
        self._watchers.pop(watcher, None)
        if self._watchers:
            self._apply_rate()
        elif self._work is not None:
            self._work.cancel()
            self._work = None

    def set_rate(self, watcher: Watcher, bit_s: float) -> None:
        """What this watcher's link has left for the picture, bit/s."""
        if watcher in self._watchers:
            self._watchers[watcher] = bit_s
            self._apply_rate()

    def renew(self, watcher: Watcher) -> None:
        """For a watcher whose far end has lost its picture: a keyframe, KEYFRAME_LEAST_S after the last at the
        earliest."""
        self._want_keyframe()

    def _want_keyframe(self) -> None:
        if self._ask_due is None:
            due_s = self._asked_s + KEYFRAME_LEAST_S - time.monotonic()
            self._ask_due = self._loop.call_later(max(0.0, due_s), self._ask_keyframe)

    async def close(self) -> None:
        """End the encoder and wait until its threads are gone."""
        self._watchers.clear()
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    # --- life -------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        try:
            while True:
                name = self._names[failures % len(self._names)] if self._names else ""
                began_s = time.monotonic()
                try:
                    await self._encode(name)
                except Exception as error:  # noqa: BLE001 - GStreamer's too: a step less, and tried again
                    self._log.warning("encoder failed", encoder=name, error=str(error))
                    failures = 1 if time.monotonic() - began_s > GOOD_AFTER_S else failures + 1
                    if failures >= FAILURES * max(1, len(self._names)):
                        self._broken = str(error) or repr(error)
                        self._log.error("the low step is left out", error=str(error), for_s=RETRY_S)
                        self._loop.call_later(RETRY_S, self._mend)
                        return
                await asyncio.sleep(PAUSE_S)
        finally:
            if self._ask_due is not None:
                self._ask_due.cancel()
                self._ask_due = None

    def _mend(self) -> None:
        """It may be tried again; those who still watch get it at once."""
        if self._names:
            self._broken = None
        if self._watchers and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(self._run(), name="low encoder")

    async def _encode(self, name: str) -> None:
        """Encode with `name` until it fails."""
        if not name:
            raise DeviceError("GStreamer has no H.264 encoder")
        encoder = LowEncoder(name, self.bit_s, self._made)
        try:
            await self._loop.run_in_executor(self._executor, encoder.start)
            self._encoder = encoder
            self._apply_rate()
            self._log.info("low step encoder", encoder=name, kbit_s=round(self.bit_s / 1000))
            self._decoded.take(encoder.show)
            taken, taken_s = 0, time.monotonic()
            while (error := encoder.error()) is None:
                await asyncio.sleep(CHECK_S)
                if encoder.taken == taken:
                    taken_s = time.monotonic()
                elif time.monotonic() - max(encoder.last_made_s, taken_s) > SILENT_AFTER_S:
                    raise DeviceError("pictures go in and none comes out")
                taken = encoder.taken
            raise DeviceError(error)
        finally:
            self._decoded.leave(encoder.show)
            self._encoder = None
            await asyncio.shield(self._loop.run_in_executor(self._executor, encoder.stop))

    def _apply_rate(self) -> None:
        if self._encoder is not None and self._watchers:
            self._encoder.set_rate(self.bit_s)

    def _ask_keyframe(self) -> None:
        self._ask_due = None
        self._asked_s = time.monotonic()
        if self._encoder is not None:
            self._encoder.ask_keyframe()

    # --- on GStreamer's thread, and handed to the loop --------------------------------------------------------------

    def _made(self, unit: AccessUnit) -> None:
        if len(self._waiting) >= WAITING_UNITS:
            self._skipping = True
        if self._skipping and not unit.keyframe:
            self.dropped_units += 1
            return
        self._skipping = False
        self._waiting.append(unit)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._hand_on)

    def _hand_on(self) -> None:
        if self._skipping:
            self._want_keyframe()
        unit = self._waiting.popleft()
        self.made_units += 1
        self.rate.add(unit.source_ns, len(unit.data))
        for watcher in list(self._watchers):
            watcher.picture(unit)
