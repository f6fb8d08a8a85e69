"""The control room's desk: every broker at once, birth and will, heartbeat, events up, commands down."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from unitd.config import BrokerTable, Config, ControlRoomTable
from unitd.core.commands import CommandDesk
from unitd.core.fitting import event_payload, state_payload
from unitd.messages import control_room as wire
from unitd.model import events as ev
from unitd.model.hysteresis import LinkFault
from unitd.model.pace import Pace
from unitd.ports import Clock, Uplink, UplinkHandlers, Will
from unitd.runtime.logs import Logger
from unitd.runtime.supervise import Service
from unitd.runtime.waiting import Wake

EVENTS_KEPT = 256
STATE_SETTLE_S = 0.3
"""Changes of the state that come together are told together."""
FACTS_PERIOD_S = 900.0
"""Facts alone (signal, frame rate) change all the time: told this often, to keep an idle unit within 1 MB a day."""
HEAD_PERIOD_NS = 3_600_000_000_000
"""A heartbeat that bears the newest checkpoint's hash: one an hour, 80 bytes each."""
STATE_PACE = Pace(burst=6, every_ns=20_000_000_000)
"""Changes that no operator waits for (faults that come and go): a flapping part must not fill the link."""
EVENT_PACE = Pace(burst=60, every_ns=2_000_000_000)
"""Events of workers, which a broken device can make a thousand of."""

MakeUplink = Callable[[BrokerTable, str, Callable[[], Will], UplinkHandlers], Uplink]
"""(broker, topic to subscribe, will, handlers) -> an uplink that is not running yet."""


class ControlRoomDesk:
    """Lives on the loop. `state` gives the present State payload; `apply` takes events into the unit."""

    def __init__(
        self,
        config: Config,
        session: int,
        clock: Clock,
        log: Logger,
        state: Callable[[], wire.State],
        commands: CommandDesk,
        apply: Callable[[ev.Event], None],
        alarm_acked: Callable[[str, str, int], None],
        broker_connected: Callable[[], None],
        hub_heard: Callable[[], None],
        make_uplink: MakeUplink,
        head: Callable[[], str] = str,
    ) -> None:
        """`head()` is the hash of the newest checkpoint, "" without one."""
        self._unit = config.unit.id
        self.session = session
        self._clock = clock
        self._log = log
        self._state = state
        self._commands = commands
        self._apply = apply
        self._alarm_acked = alarm_acked
        self._broker_connected = broker_connected
        self._hub_heard = hub_heard
        self._head, self._head_due_ns = head, 0
        self._rooms = rooms_of(config.control_rooms)
        self._beat_s = config.heartbeat.period_s
        self._events: deque[wire.Event] = deque(maxlen=EVENTS_KEPT)
        self._told: wire.State | None = None
        self._told_ns = 0
        self._changed = Wake()
        self._seq = 0
        self.dropped_events = 0
        self.malformed = 0
        self._links = {each.name: LinkFault(since_ns=clock.mono_ns()) for each in config.brokers}
        self._event_pace = EVENT_PACE
        self.paced_events = 0
        self._reasons: dict[str, str] = {}
        self.uplinks = [self._uplink(each, make_uplink) for each in config.brokers]

    def services(self, look_s: float = 5.0) -> list[Service]:
        """What must run, for the supervisor. What changes by time alone is looked at every `look_s`."""
        links = [Service(f"broker {each.name}", each.run) for each in self.uplinks]
        return [*links, Service("state", lambda: self._tell(look_s)), Service("heartbeat", self._beat)]

    def state_changed(self) -> None:
        """Something of the state may have changed: tell it soon."""
        self._changed.set()

    def event(
        self,
        name: str,
        *,
        incident_id: str | None = None,
        mono_ns: int | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        """Tell the control room that something happened once; kept (the newest 256) while no broker is connected."""
        stamp = self._clock.stamp(mono_ns)
        event = wire.Event(name=name, at=stamp, session=self.session, incident_id=incident_id, data=dict(data or {}))  # type: ignore[arg-type]
        if len(self._events) == EVENTS_KEPT:
            self.dropped_events += 1
        self._events.append(event)
        self._flush_events()

    def worker_event(self, name: str, incident_id: str | None, mono_ns: int, data: Mapping[str, object]) -> None:
        """As `event`, for what a worker tells: at EVENT_PACE, the rest is dropped and counted in `paced_events`."""
        self._event_pace, may = self._event_pace.take(self._clock.mono_ns())
        if may:
            self.event(name, incident_id=incident_id, mono_ns=mono_ns, data=data)
        else:
            self.paced_events += 1

    def faults(self) -> list[wire.FaultReport]:
        """A fault for each broker that has been away for long, or has come back only just (model/hysteresis.py)."""
        now_ns = self._clock.mono_ns()
        found = []
        for link in self.uplinks:
            if self._links[link.name].at(now_ns).lost:
                words = "has come back; it was lost" if link.connected else "is not connected"
                why = self._reasons.get(link.name, "no answer")
                found.append(
                    wire.FaultReport(code="broker_lost", subject=link.name, text=f"broker {link.name} {words}: {why}")
                )
        return found

    def _uplink(self, broker: BrokerTable, make: MakeUplink) -> Uplink:
        def will() -> Will:
            state = wire.State(unit=self._unit, online=False, session=self.session)
            return Will(wire.topic(self._unit, "up", "state"), msgspec.json.encode(state))

        handlers = UplinkHandlers(self._connected, self._lost, self._message, self._acked)
        return make(broker, wire.topic(self._unit, "down", "#"), will, handlers)

    def _connected(self, name: str) -> None:
        self._log.info("broker connected", broker=name)
        self._links[name] = self._links[name].seen(True, self._clock.mono_ns())
        link = next(each for each in self.uplinks if each.name == name)
        self._publish_state(link, self._state())
        self._broker_connected()
        self._flush_events()
        self._changed.set()

    def _lost(self, name: str, reason: str) -> None:
        if self._reasons.get(name) != reason:
            self._log.warning("broker lost", broker=name, reason=reason)
        self._reasons[name] = reason
        self._links[name] = self._links[name].seen(False, self._clock.mono_ns())
        self._changed.set()

    def _acked(self, name: str, token: str, at_ns: int) -> None:
        if token:
            self._alarm_acked(name, token, at_ns)
        self._flush_events()  # there is room for more

    def _message(self, name: str, topic: str, payload: bytes) -> None:
        """The one boundary for bytes from the control room; does not raise."""
        kind = topic.removeprefix(wire.topic(self._unit, "down") + "/")
        if kind == "received":
            self._received(payload)
        elif kind in ("operator/cmd", "maintainer/cmd"):
            fresh = self._commands.fresh
            reply = self._commands.take(kind.split("/")[0], payload, self._rooms.get(name, ""))
            if reply is not None:
                self._log.info("command", role=kind, seq=reply.seq, result=reply.result, reason=reply.reason)
                for link in self.uplinks:
                    link.publish(wire.topic(self._unit, "up", "reply"), msgspec.json.encode(reply), qos=1)
            if self._commands.fresh != fresh:  # a repeated or late one does not keep the locator lit
                self._apply(ev.Heard())
        else:
            self.malformed += 1

    def _received(self, payload: bytes) -> None:
        try:
            if len(payload) > wire.MAX_PAYLOAD_BYTES:
                raise ValueError("payload too large")
            received = msgspec.json.decode(payload, type=wire.Received)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self.malformed += 1
            self._log.warning("malformed message", topic="received", error=str(error))
            return
        if received.press_ids:
            self._apply(ev.AlarmReceived(tuple(received.press_ids)))
        elif received.heard:
            self._apply(ev.Heard())
        else:
            return  # somebody (its broker's last will) says that the control room is not there
        self._hub_heard()

    def _publish_state(self, link: Uplink, state: wire.State) -> bool:
        return link.publish(wire.topic(self._unit, "up", "state"), state_payload(state), qos=1, retain=True)

    def _flush_events(self) -> None:
        """Each event goes to every connected broker that has room; while none has, it waits."""
        topic = wire.topic(self._unit, "up", "event")
        while self._events:
            payload = event_payload(self._events[0])
            if not any([link.publish(topic, payload, qos=1) for link in self.uplinks]):
                return
            self._events.popleft()

    async def _tell(self, look_s: float) -> None:
        """Publish the state when anything but its clocks has changed; facts alone only now and then.

        What an operator waits for (incidents, armed or not, maintenance) goes at once, the rest at STATE_PACE.
        """
        pace = STATE_PACE
        while True:
            if await self._changed.within(look_s):
                await asyncio.sleep(STATE_SETTLE_S)
            self._changed.clear()
            state = self._state()
            still = msgspec.structs.replace(state, uptime_ms=0, facts={})
            now_ns = self._clock.mono_ns()
            if still == self._told and now_ns - self._told_ns < FACTS_PERIOD_S * 1e9:
                continue
            if self._told is None or _urgent(still) == _urgent(self._told):
                pace, may = pace.take(now_ns)
                if not may:
                    continue
            if all([self._publish_state(link, state) for link in self.uplinks if link.connected]):
                self._told, self._told_ns = still, now_ns  # else one has no room now: again in a moment

    async def _beat(self) -> None:
        while True:
            stamp = self._clock.stamp()
            head = self._head() if stamp.mono_ns >= self._head_due_ns else ""
            if head:
                self._head_due_ns = stamp.mono_ns + HEAD_PERIOD_NS
            beat = wire.Beat(
                session=self.session, seq=self._seq, uptime_ms=stamp.mono_ns // 1_000_000, clock=stamp.clock, head=head
            )
            self._seq += 1
            for link in self.uplinks:
                link.publish(wire.topic(self._unit, "up", "beat"), msgspec.json.encode(beat), qos=0)
            await asyncio.sleep(self._beat_s)


def rooms_of(rooms: tuple[ControlRoomTable, ...]) -> dict[str, str]:
    """Whose word a broker brings; "" where several rooms share it, as nobody can tell then. Pure."""
    owners: dict[str, set[str]] = {}
    for room in rooms:
        for broker in room.brokers:
            owners.setdefault(broker, set()).add(room.name)
    return {broker: "" if len(names) > 1 else min(names) for broker, names in owners.items()}


def _urgent(state: wire.State) -> object:
    return state.open_incidents, state.armed, state.isolation, state.online, state.watch
