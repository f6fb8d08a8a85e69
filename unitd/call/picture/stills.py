"""The step `stills`: one JPEG a second at most, at the rate that is left, and never a second one under way."""

import asyncio
import time
from concurrent.futures import Executor
from typing import Protocol

from unitd.call.picture.decoded_feed import DecodedFeed
from unitd.call.picture.decoder import Picture
from unitd.call.picture.still_maker import StillMaker
from unitd.call.picture.still_parts import Caption, Still, parts_of
from unitd.call.picture.still_plan import LEAST_BIT_S, PERIOD_S, StillChooser, StillSize, most_bytes, period_s
from unitd.runtime.logs import Logger

POLL_S = 0.05
DRAINED_BYTES = 2_500
"""Less than this is still to go to the network: the last still has left."""
GIVEN_UP_AFTER_S = 3.0
"""A still that has not left by then is of no use; the next is tried."""
TRIES = 3
SIGNALLING_SHARE = 0.7
"""Of the rate on the signalling link: base64 makes four bytes of three."""


class StillPort(Protocol):
    """How a still reaches one console, on the loop; nothing blocks."""

    def still_channel_waiting(self) -> int | None:
        """Bytes that the data channel has not handed to the network; None without a channel."""

    def send_still_part(self, part: bytes) -> bool:
        """One message of the data channel; whether it was taken."""

    def send_still_whole(self, still: Still) -> bool:
        """By the signalling link; False when something still waits there."""


class StillFeed:
    """One camera's stills for all who want them: the newest decoded picture, and the JPEG maker. Runs while held."""

    def __init__(self, decoded: DecodedFeed, executor: Executor) -> None:
        self._decoded = decoded
        self._executor = executor
        self._maker = StillMaker()
        self._making = asyncio.Lock()
        self._holders = 0
        self._newest: Picture | None = None

    @property
    def lost(self) -> bool:
        """The camera gives no picture."""
        return self._decoded.feed.lost

    @property
    def broken(self) -> str | None:
        """Why no picture can be decoded."""
        return self._decoded.failed

    @property
    def newest(self) -> Picture | None:
        """The last picture there was."""
        return self._newest

    def hold(self) -> None:
        """Decode from now on."""
        self._holders += 1
        if self._holders == 1:
            self._decoded.take(self._show)

    def release(self) -> None:
        """One holder less."""
        self._holders -= 1
        if self._holders == 0:
            self._decoded.leave(self._show)
            self._newest = None

    async def make(self, picture: Picture, size: StillSize) -> tuple[bytes, int, int]:
        """(JPEG, width, height). Raises DeviceError when none can be made."""
        async with self._making:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, self._maker.make, picture, size.short_side, size.quality
            )

    async def close(self) -> None:
        """Free the JPEG maker."""
        self._newest = None
        await asyncio.get_running_loop().run_in_executor(self._executor, self._maker.stop)

    def _show(self, picture: Picture) -> None:
        """On a GStreamer thread."""
        self._newest = picture


class StillSender:
    """Sends one console one camera's stills until cancelled: `run`. `bit_s` is what the link has left and may be set at
    any time."""

    def __init__(self, camera: str, feed: StillFeed, port: StillPort, bit_s: float, log: Logger) -> None:
        self.camera = camera
        self._feed = feed
        self._port = port
        self._log = log
        self._chooser = StillChooser()
        self._number = int(time.monotonic() * 10) & 0x7FFFFFFF  # rises over one console's senders
        self.bit_s = bit_s
        self.sent = 0
        self.dropped = 0
        self._last = (0, PERIOD_S)

    @property
    def sending_bit_s(self) -> float:
        """What the last still took."""
        return self._last[0] * 8 / self._last[1]

    async def run(self) -> None:
        """Never ends by itself; a still that cannot be made or sent is counted and the next is tried."""
        self._feed.hold()
        last: Picture | None = None
        try:
            while True:
                picture = self._feed.newest
                if picture is None or picture is last:
                    await asyncio.sleep(POLL_S)
                    continue
                last, began_s = picture, time.monotonic()
                size_bytes = await self._one(picture)
                took_s = time.monotonic() - began_s
                pause_s = max(POLL_S, period_s(size_bytes, self.bit_s) - took_s)
                self._last = (size_bytes, took_s + pause_s)
                await asyncio.sleep(pause_s)
        finally:
            self._feed.release()

    async def _one(self, picture: Picture) -> int:
        """Make and send one; its size (0: none was sent)."""
        is_channel = self._port.still_channel_waiting() is not None
        bit_s = max(LEAST_BIT_S, self.bit_s) * (1.0 if is_channel else SIGNALLING_SHARE)
        try:
            still = await self._make(picture, bit_s)
        except Exception as error:  # noqa: BLE001 - GStreamer's too: the next is tried
            self._drop("not made", str(error) or repr(error))
            return 0
        if is_channel:
            done = await self._by_channel(still)
        else:
            done = self._port.send_still_whole(still)
        if not done:
            self._drop("not sent", f"{len(still.jpeg)} bytes at {bit_s / 1000:.0f} kbit/s")
            return 0
        self.sent += 1
        return len(still.jpeg)

    async def _make(self, picture: Picture, bit_s: float) -> Still:
        shape = (picture.width, picture.height)
        size = self._chooser.choose(bit_s, shape)
        for tries_left in reversed(range(TRIES)):
            jpeg, width, height = await self._feed.make(picture, size)
            self._chooser.learn(size, shape, len(jpeg))
            smaller = self._chooser.choose(bit_s, shape, below=size)
            if len(jpeg) <= most_bytes(bit_s) or smaller == size or not tries_left:
                break
            size = smaller
        age_ns = time.monotonic_ns() - picture.arrival_mono_ns
        at_utc_us = (time.time_ns() - age_ns) // 1000
        return Still(Caption(camera=self.camera, at_utc_us=at_utc_us, width=width, height=height), jpeg)

    async def _by_channel(self, still: Still) -> bool:
        """Part by part at the rate that is left, so that no voice waits behind it; whether it has left. One that was
        given up may still be on its way: nothing is added to it."""
        if not await self._drained():
            return False
        self._number += 1
        due_s = time.monotonic()
        for part in parts_of(self._number, still):
            if not self._port.send_still_part(part):
                return False
            due_s += len(part) * 8 / max(LEAST_BIT_S, self.bit_s)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        return await self._drained()

    async def _drained(self) -> bool:
        """Whether everything has left within GIVEN_UP_AFTER_S."""
        began_s = time.monotonic()
        while (waiting := self._port.still_channel_waiting()) is not None and waiting > DRAINED_BYTES:
            if time.monotonic() - began_s > GIVEN_UP_AFTER_S:
                return False
            await asyncio.sleep(POLL_S)
        return waiting is not None

    def _drop(self, what: str, why: str) -> None:
        self.dropped += 1
        if self.dropped.bit_count() == 1:  # the 1st, 2nd, 4th: a dead link does not fill the log
            self._log.warning("still dropped", what=what, why=why, dropped=self.dropped)
