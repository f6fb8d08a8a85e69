"""The alarm desk: each unconfirmed press is kept durable and sent on every broker, again and again, until `received`.

Sending and persisting run in parallel: neither waits for the other, and a failed disk or broker stops neither.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import msgspec

from unitd.core.latch import Latch
from unitd.core.machine import DiskWorker
from unitd.core.wishes import code_of
from unitd.messages.control_room import Alarm, Site, Stamp, topic
from unitd.model import events as ev
from unitd.model.incident import Incident, Press
from unitd.model.outputs import Outputs
from unitd.model.timetable import resend_after_ns
from unitd.ports import Clock, Uplink
from unitd.runtime.logs import Logger, chain
from unitd.runtime.waiting import Wake
from unitd.store.outbox import Entry, Outbox

PERSIST_AGAIN_NS = 5_000_000_000
AGAIN_AT_ONCE = 64
"""What is offered to the disk again at one time; its queue is for new alarms as well."""
CONFIRM_WITHIN_NS = 1_000_000_000
"""A system that listens confirms well within this; it bounds what a talkative one can make us send."""


@dataclass
class _Waiting:
    """One alarm on its way. `durable` once the outbox holds it."""

    incident: Incident
    press: Press
    attempt: int = 0
    next_ns: int = 0
    sent_ns: int = 0
    published_ns: int = 0
    """When a broker's socket first took it, at the first sending."""
    durable: bool = False
    persisting: bool = False
    offered_ns: int = 0
    """When the disk was last asked to keep it."""
    taken: bool = False
    """What has to be written of it has been begun."""
    acked: set[str] = field(default_factory=set)


class AlarmDesk:
    """Lives on the loop. `send`, then `reconcile` follow each change of the outputs; `run` does what is due by time."""

    def __init__(
        self,
        unit_id: str,
        site: Site,
        session: int,
        outbox: Outbox,
        disk: DiskWorker,
        latch: Latch,
        clock: Clock,
        log: Logger,
        apply: Callable[[ev.Event], None],
    ) -> None:
        self._unit_id = unit_id
        self._site = site
        self.session = session
        self._outbox = outbox
        self._disk = disk
        self._latch = latch
        self._clock = clock
        self._log = log
        self._apply = apply
        self._corrected: Callable[[Press, Incident], Stamp | None] = lambda _press, _incident: None
        self._uplinks: list[Uplink] = []
        self._waiting: dict[str, _Waiting] = {}
        self._wake = Wake()
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_disk: set[str] = set()
        self._durable: set[str] = set()
        self._unremoved: dict[str, None] = {}  # in the order in which they were refused
        self._removing: set[str] = set()
        self._disk_refused = False
        self._isolated = False

    @property
    def disk_failed(self) -> bool:
        """Alarms are in memory only: the disk refuses them, or hangs over them."""
        return self._disk_refused or (self._disk.hung and any(not each.durable for each in self._waiting.values()))

    @property
    def waiting(self) -> int:
        """Alarms not yet confirmed by the control room's system."""
        return len(self._waiting)

    @property
    def taken(self) -> bool:
        """A broker has acknowledged each alarm that waits: what is less urgent may use the link."""
        return all(each.acked for each in self._waiting.values())

    def send_on(self, uplinks: list[Uplink]) -> None:
        self._uplinks = uplinks

    def correct_with(self, corrected: Callable[[Press, Incident], Stamp | None]) -> None:
        """Ask this at each sending what the press's stamp should have said, None for nothing else."""
        self._corrected = corrected

    def held(self, press_ids: list[str], durable: bool = True) -> None:
        """These are in the outbox already (found at start); unless `durable` they are put there once more."""
        self._on_disk.update(press_ids)
        if durable:
            self._durable.update(press_ids)

    def settle(self, press_ids: list[str]) -> None:
        """Forget what latch and outbox hold of these, unless they wait to be received: already received, or presses
        beyond those that are sent one by one. What stayed would be taken for a new press by some later start of core.
        """
        for press_id in press_ids:
            if press_id not in self._waiting:
                self._task(self._remove(press_id))

    def send(self, levels: Outputs) -> bool:
        """Put new alarms on the wire and do nothing else about them yet; whether one has left."""
        now_ns = self._clock.mono_ns()
        self._isolated = levels.isolation is not None
        left = False
        for incident, press in levels.alarms:
            if press.press_id not in self._waiting:
                known = _Waiting(incident, press, durable=press.press_id in self._durable)
                self._waiting[press.press_id] = known
                left = self._send(known, now_ns) or left
        return left

    def reconcile(self, levels: Outputs) -> None:
        """Take up new alarms at once (sent, then kept), drop confirmed ones."""
        self.send(levels)
        now_ns = self._clock.mono_ns()
        wanted = {press.press_id: (incident, press) for incident, press in levels.alarms}
        for press_id, (incident, press) in wanted.items():
            known = self._waiting[press_id]
            if not known.taken:
                known.taken = True
                self._persist(known)
                if known.published_ns:
                    chain(self._log, "published", incident.incident_id, known.published_ns)
            asked_more = known.incident.asked != incident.asked
            known.incident, known.press = incident, press
            if asked_more and press is incident.presses[0]:
                self._send(known, now_ns)
        for press_id in [each for each in self._waiting if each not in wanted]:
            done = self._waiting.pop(press_id)
            self._task(self._remove(done.press.press_id))
        self._wake.set()

    def acked(self, broker: str, press_id: str, at_ns: int) -> None:
        """A broker has taken the message: worth a stage, but not the control room's word."""
        waiting = self._waiting.get(press_id)
        if waiting is not None and broker not in waiting.acked:
            waiting.acked.add(broker)
            chain(self._log, "broker_ack", waiting.incident.incident_id, at_ns)
        self._apply(ev.BrokerAcked(press_id))

    def broker_connected(self) -> None:
        """A way has opened: everything that waits is due now."""
        now_ns = self._clock.mono_ns()
        for waiting in list(self._waiting.values()):
            self._send(waiting, now_ns)
        self._wake.set()

    def hub_heard(self) -> None:
        """The control room's system speaks and has not confirmed everything: a broker may have taken an alarm while
        nobody listened. Send again what it had time to confirm."""
        now_ns = self._clock.mono_ns()
        for waiting in list(self._waiting.values()):
            if now_ns - waiting.sent_ns >= CONFIRM_WITHIN_NS:
                self._send(waiting, now_ns)

    async def run(self) -> None:
        """Send again what is due, and offer to the disk again what it refused."""
        disk_due_ns = self._clock.mono_ns() + PERSIST_AGAIN_NS
        while True:
            self._wake.clear()
            now_ns = self._clock.mono_ns()
            due = [each.next_ns for each in self._waiting.values()]
            if due or self._unremoved or self._disk_refused:
                due.append(disk_due_ns)
            if await self._wake.within(max(0.0, (min(due) - now_ns) / 1e9) if due else None):
                continue
            now_ns = self._clock.mono_ns()
            for waiting in list(self._waiting.values()):
                if now_ns >= waiting.next_ns:
                    self._send(waiting, now_ns)
            if now_ns >= disk_due_ns:
                disk_due_ns = now_ns + PERSIST_AGAIN_NS
                self._offer_again()

    def _offer_again(self) -> None:
        """Offer to the disk what it refused, alarms first, in turn; when that is nothing any more, see whether it has
        healed."""
        owed = [each for each in self._waiting.values() if not each.durable]
        resting = [each for each in owed if not each.persisting]
        for waiting in sorted(resting, key=lambda each: each.offered_ns)[:AGAIN_AT_ONCE]:
            self._persist(waiting)
        idle = [each for each in self._unremoved if each not in self._removing]
        for press_id in idle[: AGAIN_AT_ONCE - len(self._removing)]:
            self._removing.add(press_id)
            self._task(self._remove_again(press_id))
        if self._disk_refused and not owed:
            self._task(self._probe())

    async def _remove_again(self, press_id: str) -> None:
        try:
            await self._remove(press_id)
        finally:
            self._removing.discard(press_id)

    async def _probe(self) -> None:
        try:
            await self._disk.run(self._outbox.probe)
        except OSError:
            return
        self._disk_refused = False
        self._log.info("the disk takes alarms again")

    def _send(self, waiting: _Waiting, now_ns: int) -> bool:
        """Hand it to every connected broker; whether one took it."""
        waiting.attempt += 1
        waiting.sent_ns = now_ns
        waiting.next_ns = now_ns + resend_after_ns(waiting.attempt)
        payload = self._payload(waiting)
        sent = [self._publish(uplink, payload, waiting.press.press_id) for uplink in self._uplinks]
        if any(sent) and waiting.attempt == 1:
            waiting.published_ns = self._clock.mono_ns()
        return any(sent)

    def _publish(self, uplink: Uplink, payload: bytes, press_id: str) -> bool:
        try:
            return uplink.publish(topic(self._unit_id, "up", "alarm"), payload, qos=1, token=press_id)
        except Exception:  # noqa: BLE001 - one client that fails must not keep the alarm from the other brokers
            self._log.exception("alarm not handed over", broker=uplink.name)
            return False

    def rehearse(self, levels: Outputs) -> None:
        """Make the bytes of the alarms that these would send, and forget them."""
        for incident, press in levels.alarms:
            if press.press_id not in self._waiting:
                self._payload(_Waiting(incident, press, attempt=1))

    def _payload(self, waiting: _Waiting) -> bytes:
        press, incident = waiting.press, waiting.incident
        alarm = Alarm(
            press_id=press.press_id,
            incident_id=incident.incident_id,
            kind=incident.kind,
            unit=self._unit_id,
            session=self.session,
            site=self._site,
            pressed=Stamp(utc_us=press.utc_us, clock=press.clock, mono_ns=press.mono_ns),  # type: ignore[arg-type]
            corrected=self._corrected(press, incident),
            sent=self._clock.stamp(),
            presses=incident.count,
            attempt=waiting.attempt,
            code=code_of(incident),
            origin=incident.origin,
            asked=incident.asked,
            recent_incidents=incident.recent,
            recent_hoaxes=incident.recent_hoaxes,
            isolated=self._isolated,
        )
        return msgspec.json.encode(alarm)

    def _persist(self, waiting: _Waiting) -> None:
        if waiting.durable:
            self._latch.clear(waiting.press.press_id)
            return
        waiting.persisting = True
        waiting.offered_ns = self._clock.mono_ns()
        self._task(self._put(waiting))

    async def _put(self, waiting: _Waiting) -> None:
        press, incident = waiting.press, waiting.incident
        entry = Entry(
            press.press_id,
            incident.incident_id,
            incident.kind,
            press.mono_ns,
            press.utc_us,
            press.clock,
            press.boot or incident.boot,
            incident.origin,
        )
        # from here on it may be there, whatever is raised: a sync can fail, or a call be given up, after the rename
        self._on_disk.add(press.press_id)
        try:
            await self._disk.run(lambda: self._outbox.put(entry))
        except OSError as error:
            if not self._disk_refused:
                self._log.error("alarm not on disk, sending goes on from memory", error=str(error))
            self._disk_refused = True
            self._wake.set()
            return
        finally:
            waiting.persisting = False
        self._disk_refused = False
        waiting.durable = True
        self._latch.clear(press.press_id)
        chain(self._log, "persisted", incident.incident_id, self._clock.mono_ns())
        if press.press_id not in self._waiting:  # received while the disk was busy with it
            await self._remove(press.press_id)

    async def _remove(self, press_id: str) -> None:
        self._latch.clear(press_id)
        if press_id not in self._on_disk:
            return
        try:
            await self._disk.run(lambda: self._outbox.remove(press_id))
            self._on_disk.discard(press_id)
            self._durable.discard(press_id)
            self._unremoved.pop(press_id, None)
        except OSError as error:
            # found at the next start it would be sent and confirmed once more: a duplicate, never a loss
            if press_id not in self._unremoved:
                self._log.warning("confirmed alarm not removed from the outbox yet", press=press_id, error=str(error))
            self._unremoved.pop(press_id, None)
            self._unremoved[press_id] = None
            self._wake.set()

    def _task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
