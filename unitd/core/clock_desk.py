"""The clock's desk: finds when the wall clock was wrong, and appends what its stamps should have said.

Nothing that was written is changed. A correction goes to the control room as an event and to `state_dir/core.chain` as
a line; what the unit keeps on its medium is read with it (docs/design/alarm-path.md, docs/control-room-api.md).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from unitd.core.machine import DiskWorker
from unitd.messages.control_room import Stamp
from unitd.model import clock as model
from unitd.model.incident import Incident, Press, State
from unitd.ports import Clock
from unitd.runtime.logs import Logger
from unitd.store.chain import Chain, Field
from unitd.store.clock_truth import CHAIN_NAME, KIND, truths_of
from unitd.store.last_seen import read_last_seen, write_last_seen

SAVE_EVERY_S = 3600.0
"""The last seen time costs the card one small write an hour."""
DISK_AGAIN_S = 30.0
BURST = 8
REFILL_S = 3600.0
"""So many corrections at once, then one an hour: two services that fight over the clock fill neither disk nor link."""
CLOSE_S = 0.5
"""A card that is slow just then costs an hour of last seen time, and not a kill by the service manager."""
HUNG_APPEND_S = 0.2
"""One disk thread appends: another can only be one that was given up, and alarms wait behind who waits for it."""
RECENT_PRESSES = 256
OWED = 64


class Tell(Protocol):
    """Tell the control room of an event (`ControlRoomDesk.event`)."""

    def __call__(
        self, name: str, *, incident_id: str | None = None, data: Mapping[str, str | int | float | bool | None]
    ) -> None: ...


class _Recent(NamedTuple):
    """A press of this boot, and the time that the control room was last told for it."""

    press_id: str
    incident_id: str
    mono_ns: int
    utc_us: int


class ClockDesk:
    """Lives on the loop. `run` looks, `keep` writes; only `keep` waits for the disk.

    `not_before` takes the last seen time found on the disk.
    """

    def __init__(
        self,
        state_dir: Path,
        boot: int,
        boot_id: str,
        session: int,
        clock: Clock,
        disk: DiskWorker,
        log: Logger,
        tell: Tell,
        not_before: Callable[[int], None] = lambda _utc_s: None,
        chain: Chain | None = None,
    ) -> None:
        """`chain` is core's, where others write into it as well."""
        self._state_dir = state_dir
        self.boot, self._boot_id, self._session = boot, boot_id, session
        self._clock = clock
        self._disk = disk
        self._log = log
        self._tell = tell
        self._not_before = not_before
        self._chain = chain or Chain(state_dir / CHAIN_NAME, HUNG_APPEND_S)
        self._timeline: model.Timeline | None = None
        self._truths: dict[int, int] = {}
        self._recent: dict[str, _Recent] = {}
        self._seen: object = None
        self._tokens = float(BURST)
        self._tokens_ns = clock.mono_ns()
        self._owed: deque[model.Correction] = deque(maxlen=OWED)
        self._wake = asyncio.Event()
        self._save_due_ns = 0

    def note(self, state: State) -> None:
        """Remember the presses of `state` (the newest RECENT_PRESSES), to correct them when the time is found."""
        if state.incidents is self._seen:
            return
        self._seen = state.incidents
        if state.boot not in (0, self.boot):  # the disk that holds the counter was late
            if self.boot in self._truths:
                self._truths[state.boot] = self._truths.pop(self.boot)
            self.boot = state.boot
        for incident in state.incidents:
            for press in incident.presses:
                if press.press_id not in self._recent and boot_of(press, incident) == self.boot:
                    recent = _Recent(press.press_id, incident.incident_id, press.mono_ns, press.utc_us)
                    self._recent[press.press_id] = recent
                    self._correct(recent)  # made before a restart of core, when the clock was still wrong
        while len(self._recent) > RECENT_PRESSES:
            del self._recent[next(iter(self._recent))]

    @property
    def truth_us(self) -> int | None:
        """UTC minus CLOCK_MONOTONIC in this boot, once it has been found."""
        return self._truths.get(self.boot)

    def corrected(self, press: Press, incident: Incident) -> Stamp | None:
        """What the stamp of a press should have said, when that is known now and was not said then."""
        truth_us = self._truths.get(boot_of(press, incident))
        if truth_us is None:
            return None
        if press.clock != "unknown" and not model.is_wrong(press.mono_ns, press.utc_us, truth_us):
            return None
        utc_us = model.true_utc_us(press.mono_ns, truth_us)
        return Stamp(utc_us=utc_us, clock="held", mono_ns=press.mono_ns)

    async def run(self, every_s: float = 1.0) -> None:
        """Look at the clocks every `every_s`, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(every_s)

    def look(self) -> None:
        """One look: three system calls when nothing has changed. Does not block."""
        stamp = self._clock.stamp()
        quality = stamp.clock if stamp.clock != "synced" or self._may_tell(stamp.mono_ns) else "held"
        now = model.Reading(stamp.mono_ns, stamp.utc_us - stamp.mono_ns // 1000, quality)
        if self._timeline is None:
            self._timeline = model.began(now, self._truths.get(self.boot))
            return
        before_us = self._timeline.truth_us
        self._timeline, corrections = model.look(self._timeline, now)
        if self._timeline.truth_us is not None and self._timeline.truth_us != before_us:
            self._learn(self._timeline.truth_us)
        for each in corrections:
            self._take(each)
        if self._is_true(stamp) and now.mono_ns >= self._save_due_ns:
            self._wake.set()

    def _take(self, each: model.Correction) -> None:
        self._tokens -= 1
        self._owed.append(each)
        self._wake.set()
        if not each.matters:
            return
        self._log.warning("stamps corrected", **each._asdict())
        self._tell(
            "clock_corrected",
            data={
                "boot": self.boot,
                "from_mono_ns": each.from_mono_ns,
                "to_mono_ns": each.to_mono_ns,
                "offset_us": each.true_offset_us - each.was_offset_us,
                "true_offset_us": each.true_offset_us,
            },
        )

    def _learn(self, truth_us: int) -> None:
        self._truths[self.boot] = truth_us
        self._save_due_ns = 0  # a last seen time that was too late is put right at once
        self._log.info("time known", true_offset_us=truth_us)
        for recent in list(self._recent.values()):
            self._correct(recent)

    def _correct(self, recent: _Recent) -> None:
        truth_us = self._truths.get(self.boot)
        if truth_us is None or not model.is_wrong(recent.mono_ns, recent.utc_us, truth_us):
            return
        utc_us = model.true_utc_us(recent.mono_ns, truth_us)
        self._recent[recent.press_id] = recent._replace(utc_us=utc_us)
        self._tell(
            "stamp_corrected",
            incident_id=recent.incident_id,
            data={"press": recent.press_id, "utc_us": utc_us, "mono_ns": recent.mono_ns, "boot": self.boot},
        )

    def _is_true(self, stamp: Stamp) -> bool:
        """The clock is said to be right, and is where it was found to be so."""
        truth_us = self._truths.get(self.boot)
        known = truth_us is not None and not model.is_wrong(stamp.mono_ns, stamp.utc_us, truth_us)
        return stamp.clock == "synced" and known

    def _may_tell(self, now_ns: int) -> bool:
        refill = (now_ns - self._tokens_ns) / 1e9 / REFILL_S
        self._tokens = min(float(BURST), self._tokens + refill)
        self._tokens_ns = now_ns
        return self._tokens >= 1

    # --- the disk ---------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Read what is known from before, then write what is owed; what the disk refuses is tried again for ever."""
        failed = False
        read = False
        while True:
            self._wake.clear()
            try:
                if not read:
                    self._found(*await self._disk.run(self._load))
                    read = True
                await self._write_owed()
                await self._save_if_due()
                failed = False
            except OSError as error:
                if not failed:
                    self._log.error("corrections of the clock are in memory only", error=str(error))
                failed = True
            if failed:  # woken or not, a disk that refuses is not pressed
                await asyncio.sleep(DISK_AGAIN_S)
            else:
                await self._wake.wait()

    async def close(self) -> None:
        """At a clean stop: keep the last seen time, if the clock is right. Never raises."""
        self._save_due_ns = 0
        try:
            await self._save_if_due(CLOSE_S)
        except OSError as error:
            self._log.warning("last seen time not kept", error=str(error))

    def _load(self) -> tuple[int, dict[int, int]]:
        self._chain.open()
        return read_last_seen(self._state_dir), truths_of(self._chain.recent())

    def _found(self, last_seen_s: int, truths: dict[int, int]) -> None:
        self._not_before(last_seen_s)
        of_this_boot = truths.get(self.boot)
        self._truths = truths | self._truths
        if of_this_boot is None or self._timeline is None:
            return
        # what an earlier core has written already is not written again
        for each in [each for each in self._owed if not each.matters and each.from_mono_ns == 0]:
            if not model.differs(each.true_offset_us, of_this_boot):
                self._owed.remove(each)
        first_word = self._timeline.truth_us is None
        self._timeline = model.known_before(self._timeline, of_this_boot)
        if first_word:
            self._learn(of_this_boot)

    async def _write_owed(self) -> None:
        owed = list(self._owed)
        if not owed:
            return
        own: dict[str, Field] = {"boot_id": self._boot_id, "session": self._session}
        records: list[tuple[str, dict[str, Field]]] = [(KIND, own | each._asdict()) for each in owed]
        await self._disk.run(lambda: self._chain.append_all(records, self.boot))
        for each in owed:
            if each in self._owed:  # else it was pushed out meanwhile
                self._owed.remove(each)

    async def _save_if_due(self, timeout_s: float | None = None) -> None:
        stamp = self._clock.stamp()
        if not self._is_true(stamp) or stamp.mono_ns < self._save_due_ns:
            return
        utc_s = stamp.utc_us // 1_000_000
        await self._disk.run(lambda: write_last_seen(self._state_dir, utc_s), timeout_s)
        self._save_due_ns = stamp.mono_ns + int(SAVE_EVERY_S * 1e9)


def boot_of(press: Press, incident: Incident) -> int:
    """The boot in which a press was made."""
    return press.boot or incident.boot
