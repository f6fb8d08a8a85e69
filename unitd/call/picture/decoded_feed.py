"""One camera's picture decoded, once for all who need it: the low step's encoder and the stills."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor

from unitd.call.picture.decoder import Decoder, Picture
from unitd.call.picture.feed import Feed
from unitd.call.picture.units import AccessUnit
from unitd.errors import DeviceError
from unitd.runtime.logs import Logger

CHECK_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

Taker = Callable[[Picture], None]


class DecodedFeed:
    """Holds its stream (of `feeds` the first that is not lost) and a decoder while somebody takes pictures from it.

    Takers are called on a GStreamer thread and must be quick. A decoder that fails is made again, with a pause that
    grows; `failed` says why there is none now.
    """

    def __init__(self, feeds: tuple[Feed, ...], executor: Executor, log: Logger) -> None:
        self._feeds = feeds
        self.feed = feeds[0]
        self._executor = executor
        self._log = log
        self._takers: tuple[Taker, ...] = ()
        self._decoder: Decoder | None = None
        self._work: asyncio.Task[None] | None = None
        self.failed: str | None = None

    @property
    def is_running(self) -> bool:
        """Somebody takes pictures."""
        return self._work is not None

    def take(self, taker: Taker) -> None:
        """Call `taker` with every picture from now on; the newest one in hand comes first."""
        self._takers = (*self._takers, taker)
        if self._work is None:
            self._work = asyncio.create_task(self._run(), name="decoder")
        elif self._decoder is not None:
            self.feed.renew(self)  # a still scene on a slow camera: not a second without a picture

    def leave(self, taker: Taker) -> None:
        """End `taker`'s part; decoder and stream end with the last one."""
        self._takers = tuple(each for each in self._takers if each != taker)
        if not self._takers and self._work is not None:
            self._work.cancel()
            self._work = None

    async def close(self) -> None:
        """End the decoder and wait until its threads are gone."""
        self._takers = ()
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    # --- what the feed tells ----------------------------------------------------------------------------------------

    def begin(self, group: list[AccessUnit]) -> None:
        decoder = self._decoder
        if decoder is not None:
            for unit in group[:-1]:
                decoder.push(unit, shown=False)
            for unit in group[-1:]:
                decoder.push(unit)

    def picture(self, unit: AccessUnit) -> None:
        if self._decoder is not None:
            self._decoder.push(unit)

    # --- life -------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._decode()
            except Exception as error:  # noqa: BLE001 - GStreamer's too: a step less, and tried again
                if self.failed is None:
                    self._log.warning("decoder failed", error=str(error))
                self.failed = str(error) or repr(error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _decode(self) -> None:
        """Decode until it fails."""
        loop = asyncio.get_running_loop()
        decoder = Decoder(self._show)
        try:
            await loop.run_in_executor(self._executor, decoder.start)
            self._decoder = decoder
            self.feed = self._best()
            self.feed.watch(self)
            while (error := decoder.error()) is None:
                await asyncio.sleep(CHECK_S)
                if self.feed.lost and (best := self._best()) is not self.feed:
                    self.feed.leave(self)
                    self.feed = best
                    self.feed.watch(self)
            raise DeviceError(error)
        finally:
            self.feed.leave(self)
            self._decoder = None
            await asyncio.shield(loop.run_in_executor(self._executor, decoder.stop))

    def _best(self) -> Feed:
        return next((feed for feed in self._feeds if not feed.lost), self._feeds[0])

    def _show(self, picture: Picture) -> None:
        self.failed = None
        for taker in self._takers:
            taker(picture)
