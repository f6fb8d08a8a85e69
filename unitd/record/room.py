"""Room in the ring, as the process sees it: what the ring has to know, and what is said when there is too little."""

import asyncio
import errno
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from unitd.config import Config
from unitd.messages.workers import Fault
from unitd.runtime.ipc import Fact
from unitd.runtime.worker import Frame
from unitd.store.boot import current_boot
from unitd.store.ring import Need, Ring, Standing

ROOM_EVERY_S = 5.0
FULL_LOOK_S = 1.0
"""While the disk is full: as often as the writers try it, so that the fault does not outlast them."""
RATE_OVER_S = 60.0
"""A stream's rate is that of the fullest such span so far, slowly forgotten: a camera that is dark or lost by day needs
its room again at night."""
RATE_KEEPS = 0.999
"""Of the rate, each RATE_OVER_S: half of it is forgotten in 12 hours."""
FULL_PERCENT = 99.0


class Rates:
    """Bytes a second of each stream, from counters that only rise; None until RATE_OVER_S were seen. Loop only."""

    def __init__(self, streams: tuple[str, ...]) -> None:
        self._since: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, float | None] = dict.fromkeys(streams)

    def seen(self, now_s: float, received_bytes: Mapping[str, int]) -> None:
        for stream, count in received_bytes.items():
            at_s, before = self._since.setdefault(stream, (now_s, count))
            if now_s - at_s >= RATE_OVER_S:
                rate, known = (count - before) / (now_s - at_s), self._rates.get(stream)
                if rate > 0 or known is not None:
                    self._rates[stream] = max(rate, (known or 0.0) * RATE_KEEPS)
                self._since[stream] = (now_s, count)

    def bytes_s(self) -> tuple[float | None, ...]:
        return tuple(self._rates.values())


class RoomKeeper:
    """Makes room every ROOM_EVERY_S (FULL_LOOK_S on a full disk) on a thread, and knows the faults of the disk as a
    whole. All else is for the loop; none of it blocks."""

    def __init__(self, frame: Frame, ring: Ring, received_bytes: Callable[[], Mapping[str, int]]) -> None:
        self._frame, self._ring, self._received_bytes = frame, ring, received_bytes
        self._state_dir = Path(frame.config.paths.state_dir)
        self._rates = Rates(tuple(camera.name for camera in frame.config.cameras))
        self._boot_since_s: float | None = None
        self._full = False
        self._missing = ""
        self._standing = Standing()
        self._short = ""
        self._used_percent: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not await self.once():
                await asyncio.sleep(FULL_LOOK_S if self._full else ROOM_EVERY_S)

    async def once(self) -> bool:
        """One round; whether there is more to do at once."""
        self._rates.seen(time.monotonic(), self._received_bytes())
        desired, stamp = self._frame.core.desired, self._frame.clock.stamp()
        incident = desired is not None and desired.incident is not None
        need = Need(incident, self._rates.bytes_s(), stamp.utc_us, stamp.clock)
        return await asyncio.to_thread(self._make_room, need)

    def stuck_s(self) -> float:
        """For how long the thread has waited for the boot's number, which takes milliseconds (deleting may take
        long)."""
        since_s = self._boot_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def faults(self, writers: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """`writers`' faults and those of the disk as a whole, which take the place of what they bring about."""
        if self._missing:
            kept = tuple(fault for fault in writers if fault.code not in ("disk_error", "disk_full"))
            return (*kept, Fault(code="evidence_missing", subject="evidence", text=self._missing))
        found = list(writers)
        if self._full and not any(fault.code == "disk_full" for fault in writers):
            words = "the disk is full and everything left is locked or not ours"
            found.append(Fault(code="disk_full", subject="evidence", text=words))
        if self._short:
            found.append(Fault(code="evidence_full", subject="evidence", text=self._short))
        return tuple(found)

    def facts(self) -> dict[str, Fact]:
        """`ring.used_percent`, `ring.locked_gb`, `ring.days`, as far as they are known."""
        facts: dict[str, Fact] = {"ring.locked_gb": round(self._standing.locked_bytes / 1e9, 1)}
        if self._standing.days is not None:
            facts["ring.days"] = round(self._standing.days, 1)
        if self._used_percent is not None:
            facts["ring.used_percent"] = round(self._used_percent, 1)
        return facts

    def _make_room(self, need: Need) -> bool:
        """Whether there is more to do at once."""
        self._boot_since_s = time.monotonic()
        try:
            boot = current_boot(self._state_dir)
        except OSError:
            return False  # what the disk refuses, the writers report
        finally:
            self._boot_since_s = None
        log = self._frame.log
        try:
            self._ring.check_present()
            self._missing = ""
            room = self._ring.make_room(boot, need)
            if room.segments:
                log.info("segments evicted", segments=room.segments, bytes=room.bytes)
            if room.recovered:
                log.warning("segments recovered", segments=len(room.recovered), first=room.recovered[0])
            self._used_percent = self._ring.fill().used_percent
            self._full = room.wanted and self._used_percent > FULL_PERCENT
            self._standing = standing = self._ring.standing()
            if not (need.incident and self._short):  # inside an incident its own lock grows: the words stay
                self._short = short_words(standing) if standing.short else ""
        except OSError as error:
            if error.errno == errno.ENODEV and self._frame.config.ring.must_be_mounted:
                self._missing = "no disk is mounted at paths.evidence_dir: nothing is recorded"
            return False
        return room.more


def budgets(config: Config) -> dict[str, int]:
    """By stream, bytes of unlocked footage that it may keep; a stream that is not in it has no limit of its own."""
    return {camera.name: int(camera.budget_gb * 1e9) for camera in config.cameras if camera.budget_gb is not None}


def short_words(standing: Standing) -> str:
    """What fills the disk and what to do. The same words as long as the locks are the same."""
    if standing.unreadable:
        return f"{standing.unreadable} lock files cannot be read, so nothing is deleted; see `unitd locks`"
    gigabytes = f"{standing.locked_bytes / 1e9:.1f} GB"
    if not standing.incidents:
        return "other files leave too little room for the next incident: free the disk, or fit a bigger one"
    which = f"{standing.incidents} {'incident' if standing.incidents == 1 else 'incidents'}"
    parts = [
        f"{count} {words}" for count, words in ((standing.hoaxes, "hoaxes"), (standing.due, "due for review")) if count
    ]
    detail = f" ({', '.join(parts)})" if parts else ""
    return (
        f"{which}{detail} lock {gigabytes}: too little room is left for the next one; "
        "see `unitd locks`, export, then `unitd release`"
    )
