"""Making room as unitd/model/retention.py says, for age, budgets, marks and reserve, and how the ring then stands."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unitd.config import RingTable
from unitd.model import retention
from unitd.model.retention import Marks, StreamUse, Why
from unitd.store.boot import Boot
from unitd.store.clock_truth import read_truths
from unitd.store.eviction import BATCH_SEGMENTS, FOR_EVER_NS, Candidate, Evictor, Gone
from unitd.store.headers import Begin, Headers
from unitd.store.index import SEQ_BITS, Index
from unitd.store.locks import Lock, LockReader, Locks
from unitd.store.place import Place
from unitd.store.stills_age import old_stills

URGENT_SEGMENTS = 4
MOST_BATCHES = 64
"""In one call, so that its caller can look after other things."""
AGE_BATCHES = 4
"""In one call, for each stream. What is too old goes slowly: a wrong date is given time to heal. While the clock is not
believed yet (unitd/model/retention.py) it is one batch each AGE_EVERY_S (twice what comes in), and one incident's
stills."""
AGE_EVERY_S = 60.0
SLOW_SEGMENT_S = 10.0
"""Of shorter segments it is more batches: they come in faster."""
TRUTHS_EVERY_S = 600.0
YIELD_S = 0.002


@dataclass(frozen=True)
class Need:
    """What record knows at this instant: whether an incident is open, its streams' rates (None: not measured yet), and
    the time with its quality as in a stamp."""

    incident: bool = False
    rates_bytes_s: tuple[float | None, ...] = ()
    utc_us: int = 0
    clock: str = "unknown"


@dataclass(frozen=True)
class Room:
    """What one call did. `wanted`: there is less room than there should be, and nothing left to delete. `more`: there
    was more to do than one call does. `recovered`: the files that a crash had left and that are in the chain now."""

    segments: int = 0
    bytes: int = 0
    wanted: bool = False
    more: bool = False
    recovered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """The ring as it was left. `short`: whatever else went, there is too little room for the next incident.

    `unreadable`: lock files that cannot be read. `days`: how far back it reaches, None when nobody knows.
    """

    short: bool = False
    locked_bytes: int = 0
    unlocked_bytes: int = 0
    incidents: int = 0
    hoaxes: int = 0
    due: int = 0
    unreadable: int = 0
    days: float | None = None


class RoomMaker:
    """`tidy` for one thread, `urgent` for any; both block on the disk and raise OSError when it refuses."""

    def __init__(
        self,
        place: Place,
        state_dir: Path,
        table: RingTable,
        keep_fresh_s: float,
        budgets: Mapping[str, int],
        index: Index,
        headers: Headers,
        evictor: Evictor,
    ) -> None:
        self._place, self._state_dir, self._table = place, state_dir, table
        self._keep_fresh_s, self._budgets = keep_fresh_s, dict(budgets)
        self._index, self._headers, self._evictor = index, headers, evictor
        self._locks = LockReader(state_dir)
        self._evicting = threading.Lock()
        self._urgent = 0
        self._going_on = False
        self._slow_batches = min(AGE_BATCHES, math.ceil(SLOW_SEGMENT_S / table.segment_s))
        self._steady = retention.SteadyClock()
        self._aged_s = self._truths_s = self._days_s = -1e9
        self._truths: dict[int, int] = {}
        self._old_boot = 0
        self._days: float | None = None
        self.standing = Standing()

    def forget(self) -> None:
        """Another disk is there."""
        with self._evicting:
            self._headers.forget()
            self._evictor.ranges.forget()
            self._aged_s = self._days_s = -1e9
            self._old_boot = 0

    def listed_again(self) -> None:
        with self._evicting:
            self._evictor.ranges.forget()

    def urgent(self, boot: Boot) -> Room:
        """A few of the oldest, also fresh ones: a write met a full disk."""
        self._urgent += 1
        try:
            with self._evicting:
                self._evictor.ranges.update(self._locks.read())
                candidates = self._evictor.candidates(self._index.streams(), boot.boot, keep_fresh=False)
                gone = self._evictor.batch(candidates, "full", boot.boot, URGENT_SEGMENTS, FOR_EVER_NS)
        finally:
            self._urgent -= 1
        if gone.segments:
            self._place.hold_reserve()
        return Room(gone.segments, gone.bytes, wanted=not gone.segments)

    def tidy(self, boot: Boot, need: Need) -> Room:
        """Once through everything; the sizes of all segments are known."""
        with self._evicting:
            locks = self._locks.read()
            self._evictor.ranges.update(locks)
        gone = self._age(boot, need)
        gone += self._budget(boot, need)
        room = self._room(boot, need, MOST_BATCHES)
        with self._evicting:
            self.standing = self._weighed(locks, boot, need)
        if not room.wanted:
            self._place.hold_reserve()
        return Room(room.segments + gone.segments, room.bytes + gone.bytes, room.wanted, room.more)

    def _batch(self, candidates: Iterator[Candidate], why: Why, boot: Boot, wanted_bytes: int) -> Gone:
        while self._urgent:  # a writer stands still meanwhile
            time.sleep(YIELD_S)
        with self._evicting:
            return self._evictor.batch(candidates, why, boot.boot, BATCH_SEGMENTS, wanted_bytes)

    def _age(self, boot: Boot, need: Need) -> Gone:
        self._steady.look(time.monotonic_ns() // 1000, need.utc_us, need.clock)
        believed = self._steady.is_believed(time.monotonic_ns() // 1000)
        before_us = retention.old_before_utc_us(need.utc_us, need.clock, self._table.retain_days)
        now_s = time.monotonic()
        if before_us is None or now_s - self._aged_s < AGE_EVERY_S:
            return Gone()
        time_of = _time_by(self._known_truths(boot, need))
        total, more = Gone(), False
        for stream in self._index.streams():
            old = self._noted(self._evictor.too_old(stream, boot.boot, before_us, time_of))
            for _ in range(AGE_BATCHES if believed else self._slow_batches):
                gone = self._batch(old, "age", boot, FOR_EVER_NS)
                total += gone
                if gone.segments < BATCH_SEGMENTS:
                    break
            else:
                more = believed
        if not more:
            self._aged_s = now_s
        self._age_stills(boot, before_us, time_of, most=None if believed else 1)
        return total

    def _noted(self, old: Iterator[Candidate]) -> Iterator[Candidate]:
        for each in old:
            if each.own:
                self._old_boot = max(self._old_boot, each.boot)
            yield each

    def _age_stills(
        self, boot: Boot, before_us: int, time_of: Callable[[int, Begin], int | None], most: int | None
    ) -> None:
        def is_old(lock: Lock) -> bool:
            time_us = time_of(lock.from_boot, Begin(lock.from_mono_ns, lock.raised_utc_us, lock.clock))
            # of an unknown time: as footage, old when something later is
            return lock.from_boot < self._old_boot if time_us is None else time_us < before_us

        for victims in old_stills(self._place.directory, self._state_dir, is_old)[:most]:
            with self._evicting:
                self._evictor.delete(victims, "age", boot.boot)
            with suppress(OSError):
                (self._place.directory / victims[0].file).parent.rmdir()

    def _budget(self, boot: Boot, need: Need) -> Gone:
        total = Gone()
        for demand in retention.demands(self._place.fill(), self._marks(need), self._uses(), incident=need.incident):
            if demand.why != "budget" or demand.stream is None:
                continue
            candidates, left = self._evictor.candidates([demand.stream], boot.boot), demand.bytes
            for _ in range(MOST_BATCHES):
                gone = self._batch(candidates, "budget", boot, left)
                total += gone
                left -= gone.bytes
                if not gone.segments or left <= 0:
                    break
        return total

    def _room(self, boot: Boot, need: Need, batches: int) -> Room:
        begin, end = retention.kept_free_bytes(self._place.fill(), self._marks(need), incident=need.incident)
        segments, freed = 0, 0
        free = self._place.fill().free_bytes
        if free >= (end if self._going_on else begin):
            self._going_on = False
            return Room()
        candidates = self._evictor.candidates(self._index.streams(), boot.boot)
        for _ in range(batches):
            gone = self._batch(candidates, "room", boot, end - free)
            segments, freed = segments + gone.segments, freed + gone.bytes
            free = self._place.fill().free_bytes
            if free >= end or not gone.segments:
                self._going_on = False
                return Room(segments, freed, wanted=free < begin)
        self._going_on = True
        return Room(segments, freed, more=True)

    def _marks(self, need: Need) -> Marks:
        table, usable = self._table, self._place.fill().usable_bytes
        return Marks(
            table.high_watermark_percent,
            table.low_watermark_percent,
            retention.reserve_bytes(need.rates_bytes_s, table.incident_reserve_s, usable),
            retention.reserve_bytes(need.rates_bytes_s, self._keep_fresh_s, usable),
        )

    def _uses(self) -> list[StreamUse]:
        ranges = self._evictor.ranges
        return [
            StreamUse(
                stream,
                self._index.total_bytes(stream) - ranges.locked_bytes(stream),
                self._budgets.get(stream),
            )
            for stream in self._index.streams()
        ]

    def _weighed(self, locks: Locks, boot: Boot, need: Need) -> Standing:
        streams = self._index.streams()
        locked = sum(self._evictor.ranges.locked_bytes(stream) for stream in streams)
        unlocked = sum(self._index.total_bytes(stream) for stream in streams) - locked
        now_us = need.utc_us if need.clock != "unknown" else None
        return Standing(
            short=retention.is_short(
                self.standing.short, self._place.fill(), self._marks(need), unlocked, incident=need.incident
            ),
            locked_bytes=locked,
            unlocked_bytes=unlocked,
            incidents=len(locks.locks),
            hoaxes=sum(lock.outcome == "hoax" for lock in locks.locks),
            due=sum(
                now_us is not None and lock.review_utc_us is not None and lock.review_utc_us < now_us
                for lock in locks.locks
            ),
            unreadable=len(locks.unreadable),
            days=self._days_back(boot, need),
        )

    def _days_back(self, boot: Boot, need: Need) -> float | None:
        """From now to the oldest segment; looked up once a minute."""
        now_s = time.monotonic()
        if now_s - self._days_s < AGE_EVERY_S:
            return self._days
        self._days_s = now_s
        truths = self._known_truths(boot, need)
        ages_us = []
        for stream in self._index.streams():
            key = self._index.first(stream)
            begin = None if key is None else self._headers.begin(stream, key)
            if key is None or begin is None:
                continue
            if key >> SEQ_BITS == boot.boot:
                ages_us.append((time.monotonic_ns() - begin.mono_ns) // 1000)
            elif need.clock != "unknown" and (utc_us := _time_by(truths)(key >> SEQ_BITS, begin)) is not None:
                ages_us.append(need.utc_us - utc_us)
        self._days = max(ages_us) / retention.US_A_DAY if ages_us else None
        return self._days

    def _known_truths(self, boot: Boot, need: Need) -> dict[int, int]:
        """By boot, UTC minus monotonic; of this boot as the clock says now."""
        now_s = time.monotonic()
        if now_s - self._truths_s >= TRUTHS_EVERY_S:
            self._truths, self._truths_s = read_truths(self._state_dir), now_s
        here = {boot.boot: need.utc_us - time.monotonic_ns() // 1000} if need.clock == "synced" else {}
        return self._truths | here


def _time_by(truths: Mapping[int, int]) -> Callable[[int, Begin], int | None]:
    def time_of(boot: int, begin: Begin) -> int | None:
        return retention.known_utc_us(begin.mono_ns, begin.utc_us, begin.clock, truths.get(boot))

    return time_of
