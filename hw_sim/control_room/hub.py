"""The hub's own system: hears units over MQTT, keeps incidents durably, answers `received`, sends commands.

An alarm is answered by `down/received` only when it is on disk. Every unit that is online also gets an empty
`received` when it is born and every KEEP_ALIVE_S, so that it knows that somebody hears it (its locator light).
Everything runs on one loop; the book's disk calls run on one thread. What has come in meanwhile is taken together, the
alarms of it first and in one transaction: a storm of alarms costs a few flushes of the disk, not one for each.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hw_sim.control_room.book import Book, Incident, now_utc_us
from hw_sim.control_room.commands import Commander, Outcome
from hw_sim.control_room.heads import HeadBook
from hw_sim.control_room.mqtt import QUEUE_MESSAGES, Message, Transport
from hw_sim.control_room.notes import lists, note, sound_of, warned
from hw_sim.control_room.stills import StillBook
from unitd.messages.control_room import Alarm, Beat, Event, OpenIncident, Received, Reply, State, Still, topic

KEEP_ALIVE_S = 30.0
TAKEN_AT_ONCE = 256
T = TypeVar("T")


class Unit(msgspec.Struct, kw_only=True):
    """What is known of one unit now."""

    name: str
    state: State
    heard_mono_s: float
    uptime_ms: int = 0
    uptime_at_s: float = 0.0
    uptime_known: bool = False

    def uptime_now_ms(self) -> int:
        """The unit's uptime as far as we know: never more than it really is."""
        return self.uptime_ms + int((time.monotonic() - self.uptime_at_s) * 1000)

    def heard(self, uptime_ms: int, fresh: bool) -> None:
        self.uptime_ms, self.uptime_at_s = uptime_ms, time.monotonic()
        self.uptime_known = fresh
        if fresh:
            self.heard_mono_s = self.uptime_at_s


class Hub:
    """See the module. `on_change` is called after every change that a console should show."""

    def __init__(self, directory: Path, transport: Transport, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._directory, self._transport, self._keep_alive_s = directory, transport, keep_alive_s
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="book")
        self._book: Book | None = None
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(QUEUE_MESSAGES)
        self._tasks: list[asyncio.Task[None]] = []
        self._commander = Commander(
            lambda unit, role, payload: transport.publish(topic(unit, "down", role, "cmd"), payload, 1),
            self._next_seq,
        )
        self._unsaved: dict[str, Incident] = {}
        self._greeted: set[str] = set()
        self.units: dict[str, Unit] = {}
        self.incidents: dict[str, Incident] = {}
        self.events: list[tuple[str, Event]] = []
        self.stills = StillBook(directory / "stills")
        self.heads = HeadBook(directory / "heads.jsonl")
        self.connected = False
        self.dropped = 0
        self.malformed = 0
        self.on_change: Callable[[], None] = lambda: None
        self.on_event: Callable[[str, Event], None] = lambda _unit, _event: None

    async def start(self) -> None:
        self._book = await self._on_disk(lambda: Book(self._directory / "incidents.sqlite"))
        for incident in await self._on_disk(self._the_book().incidents):
            self.incidents[incident.incident_id] = incident
        await self._on_disk(self.stills.load)
        self._tasks = [asyncio.create_task(self._read_inbox()), asyncio.create_task(self._keep_alive())]
        self._transport.start(self._message, self._connection)

    async def stop(self) -> None:
        await asyncio.to_thread(self._transport.stop)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._book is not None:
            await self._on_disk(self._book.close)
        self._disk.shutdown(wait=False)

    async def command(self, unit: str, name: str, by: str, fields: dict[str, Any]) -> Outcome:
        """Order something of a unit; what the unit has done is noted in the incident."""
        known = self.units.get(unit)
        if known is None or not known.state.online:
            return Outcome(result="no_answer", reason=f"unit {unit!r} is not connected")
        if not self.connected:  # queued, it would arrive when nobody expects it any more
            return Outcome(result="no_answer", reason="the message broker is down")
        try:
            outcome = await self._commander.send(
                unit, known.state.session, known.uptime_now_ms(), known.uptime_known, name, by, fields
            )
        except (OSError, sqlite3.Error) as error:
            return Outcome(result="no_answer", reason=f"the control room cannot number its command: {error}")
        incident = self.incidents.get(str(fields.get("incident_id", "")))
        if incident is None:
            return outcome
        if outcome.result == "done":
            note(incident, name, by, fields)
            await self.save(incident)
        elif outcome.result == "refused" and name == "close" and not lists(known.state, incident):
            # The unit has no such incident (any more): an operator must still be able to end it here.
            note(incident, name, by, fields)
            self._closed(incident)
            await self._flush()
            return msgspec.structs.replace(outcome, result="done")
        return outcome

    async def save(self, incident: Incident) -> None:
        """Store an incident and show it."""
        await self._on_disk(lambda: self._the_book().write_incident(incident))
        self.on_change()

    # --- from the broker --------------------------------------------------------------------------------------------

    def _connection(self, connected: bool) -> None:
        self.connected = connected
        if connected:
            self._greeted.clear()  # the broker may have died: who is not back yet hears us when he is
            self._tell_all()
        self.on_change()

    def _message(self, message: Message) -> None:
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            self.dropped += 1

    async def _read_inbox(self) -> None:
        while True:
            batch = [await self._inbox.get()]
            while len(batch) < TAKEN_AT_ONCE and not self._inbox.empty():
                batch.append(self._inbox.get_nowait())
            alarms = [each for each in batch if each.topic.endswith("/alarm")]
            await self._guarded(self._alarms(alarms))
            for message in batch:
                if not message.topic.endswith("/alarm"):
                    await self._guarded(self._take(message))
            await self._guarded(self._flush())
            self.on_change()

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (msgspec.DecodeError, ValueError):
            self.malformed += 1
        except (OSError, sqlite3.Error) as error:
            print(f"control room: cannot store: {error}", flush=True)

    async def _take(self, message: Message) -> None:
        unit, what = _from(message)
        if what == "state":
            await self._state(unit, msgspec.json.decode(message.payload, type=State), message.retained)
        elif what == "beat":
            beat = msgspec.json.decode(message.payload, type=Beat)
            known = self.units.get(unit)
            if known is not None and known.state.session == beat.session:
                known.heard(beat.uptime_ms, fresh=True)
        elif what == "reply":
            self._commander.replied(unit, msgspec.json.decode(message.payload, type=Reply))
        elif what == "still":
            still = msgspec.json.decode(message.payload, type=Still)
            await self._on_disk(lambda: self.stills.keep(unit, still, now_utc_us()))
        elif what == "event":
            await self._event(unit, msgspec.json.decode(message.payload, type=Event))

    async def _alarms(self, messages: list[Message]) -> None:
        """Take these into the book together, then answer each. A malformed one hinders no other."""
        taken: list[tuple[str, Alarm]] = []
        fresh: dict[str, Incident] = {}
        for message in messages:
            try:
                unit, _ = _from(message)
                alarm = msgspec.json.decode(message.payload, type=Alarm)
            except (msgspec.DecodeError, ValueError):
                self.malformed += 1
                continue
            fresh[alarm.incident_id] = self._of_alarm(unit, alarm, fresh.get(alarm.incident_id))
            taken.append((unit, alarm))
        if taken:
            entries = [(alarm, fresh[alarm.incident_id]) for _unit, alarm in taken]
            await self._on_disk(lambda: self._the_book().write_alarms(entries))
            self.incidents.update(fresh)
            for unit, alarm in taken:
                self._say_received(unit, (alarm.press_id,))

    def _of_alarm(self, unit: str, alarm: Alarm, incident: Incident | None) -> Incident:
        incident = incident or self.incidents.get(alarm.incident_id)
        if incident is None:
            incident = Incident(
                incident_id=alarm.incident_id,
                unit=unit,
                kind=alarm.kind,
                received_utc_us=now_utc_us(),
                pressed_utc_us=alarm.pressed.utc_us,
                pressed_mono_ns=alarm.pressed.mono_ns,
                clock=alarm.pressed.clock,
                code=alarm.code,
                site=alarm.site,
            )
        if not incident.press_here_utc_us:
            waited_us = max(0, alarm.sent.mono_ns - incident.pressed_mono_ns) // 1000
            incident.press_here_utc_us = now_utc_us() - waited_us
        if alarm.corrected is not None and alarm.corrected.mono_ns == incident.pressed_mono_ns:
            incident.pressed_utc_us, incident.clock = alarm.corrected.utc_us, alarm.corrected.clock
        incident.presses = max(incident.presses, alarm.presses)
        incident.site, incident.code, incident.origin = alarm.site, alarm.code, alarm.origin
        incident.asked, incident.isolated = alarm.asked, alarm.isolated
        incident.recent_incidents, incident.recent_hoaxes = alarm.recent_incidents, alarm.recent_hoaxes
        return incident

    async def _state(self, name: str, state: State, retained: bool) -> None:
        known = self.units.get(name)
        born = state.online and (known is None or not known.state.online or known.state.session != state.session)
        if known is None:
            known = self.units[name] = Unit(name=name, state=state, heard_mono_s=time.monotonic())
        if not state.online and not state.uptime_ms:  # a last will knows nothing but that the unit is gone
            state = msgspec.structs.replace(known.state, online=False, armed=False)
        known.state = state
        if state.online:
            known.heard(state.uptime_ms, fresh=not retained)
            self._reconcile(known)
        if born or (state.online and name not in self._greeted):
            self._greeted.add(name)
            self._say_received(name, ())

    def _reconcile(self, unit: Unit) -> None:
        """Make our incidents agree with what the unit lists as open."""
        listed = {each.incident_id: each for each in unit.state.open_incidents}
        for each in listed.values():
            incident = self.incidents.get(each.incident_id) or self._unheard_of(unit, each)
            before = (incident.stage, incident.presses, incident.asked, incident.sound)
            changed = not incident.listed or before != (each.stage, each.presses, each.asked, sound_of(each))
            if changed and not incident.over:  # what the unit lists is open, whatever we believed
                incident.listed, incident.stage, incident.presses = True, each.stage, each.presses
                incident.asked, incident.sound = each.asked, sound_of(each)
                incident.closed_utc_us = 0 if incident.is_open else incident.closed_utc_us
                self._unsaved[incident.incident_id] = incident
        for incident in [i for i in self.incidents.values() if i.unit == unit.name and i.listed]:
            if incident.incident_id not in listed:
                incident.listed = False
                self._closed(incident)

    def _unheard_of(self, unit: Unit, each: OpenIncident) -> Incident:
        """An incident whose alarm is still on its way (or that was received by another system)."""
        incident = self.incidents[each.incident_id] = Incident(
            incident_id=each.incident_id,
            unit=unit.name,
            kind=each.kind,
            received_utc_us=now_utc_us(),
            pressed_utc_us=each.raised.utc_us,
            pressed_mono_ns=each.raised.mono_ns,
            clock=each.raised.clock,
            site=unit.state.site,
        )
        return incident

    async def _event(self, unit: str, event: Event) -> None:
        self.events = [*self.events[-199:], (unit, event)]
        if event.name == "checkpoint":
            await self._on_disk(lambda: self.heads.keep(unit, event, now_utc_us()))
        incident = self.incidents.get(event.incident_id or "")
        if incident is not None and event.name == "stamp_corrected":
            self._corrected(incident, event)
        if incident is not None and event.name == "call_time_warning":
            warned(incident, event)
            self._unsaved[incident.incident_id] = incident
        if incident is not None and event.name == "incident_closed":
            incident.over = True
            self._closed(incident)
        if incident is not None and event.name == "upload_done" and event.data.get("ok") is False:
            incident.clip.error = str(event.data.get("error") or "the unit gave no reason")
            self._unsaved[incident.incident_id] = incident
        self.on_event(unit, event)

    def _corrected(self, incident: Incident, event: Event) -> None:
        """The unit has found out when a press really was; that of the incident's first is shown."""
        utc_us = event.data.get("utc_us")
        if event.data.get("mono_ns") == incident.pressed_mono_ns and isinstance(utc_us, int):
            incident.pressed_utc_us, incident.clock = utc_us, "held"
            self._unsaved[incident.incident_id] = incident

    def _closed(self, incident: Incident) -> None:
        incident.stage = "closed"
        incident.closed_utc_us = incident.closed_utc_us or now_utc_us()
        self._unsaved[incident.incident_id] = incident

    async def _flush(self) -> None:
        """Store what has changed since, in one transaction, and show it."""
        if self._unsaved:
            unsaved, self._unsaved = list(self._unsaved.values()), {}
            await self._on_disk(lambda: self._the_book().write_incidents(unsaved))
            self.on_change()

    # --- to the units -----------------------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._keep_alive_s)
            if self.connected:
                self._tell_all()
            self.on_change()

    def _tell_all(self) -> None:
        """Let every unit that is online know that it is heard."""
        for unit in self.units.values():
            if unit.state.online:
                self._say_received(unit.name, ())

    def _say_received(self, unit: str, press_ids: tuple[str, ...]) -> None:
        payload = msgspec.json.encode(Received(press_ids=press_ids))
        # a sign of life is said again in KEEP_ALIVE_S; its acknowledgements would cost the unit 0.1 MB a day
        self._transport.publish(topic(unit, "down", "received"), payload, qos=1 if press_ids else 0)

    # --- disk -------------------------------------------------------------------------------------------------------

    def _the_book(self) -> Book:
        if self._book is None:
            raise RuntimeError("the hub has not been started")
        return self._book

    async def _next_seq(self, unit: str, session: int) -> int:
        return await self._on_disk(lambda: self._the_book().next_seq(unit, session))

    async def _on_disk(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, call)


def _from(message: Message) -> tuple[str, str]:
    """The unit and what it says. Raises ValueError when the topic is none of a unit's."""
    parts = message.topic.split("/")
    if len(parts) != 5 or parts[3] != "up":
        raise ValueError(f"unexpected topic {message.topic!r}")
    return parts[2], parts[4]


def closes_in_s(unit: Unit, incident_id: str) -> float | None:
    """In how many seconds the unit closes this incident by itself, unless it is extended; None = never."""
    listed = next((each for each in unit.state.open_incidents if each.incident_id == incident_id), None)
    if listed is None or listed.closes_uptime_ms is None:
        return None
    return max(0.0, (listed.closes_uptime_ms - unit.uptime_now_ms()) / 1000)
