"""Control rooms and the operators in them: durable alarms, `received`, signs of life, commands; and their failures.

A control room's book is durable the moment an alarm is `held`: what it lost before that it has never confirmed.
"""

import random
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulate.live_orders import LiveOrders
from unitd.messages import control_room as wire

if TYPE_CHECKING:
    from tests.simulate.day import Day
    from tests.simulate.network import Broker

VALID_MS = 15_000
TRIES = 6


class ControlRoom:
    """One control room's system. `up`: it listens; `mute`: it hears and stores, and nothing of it goes out."""

    def __init__(self, day: "Day", name: str, brokers: "list[Broker]", heard_every_s: float) -> None:
        self.day, self.name, self.brokers = day, name, brokers
        self.up = True
        self.mute = False
        self.slow_s = 0.05
        self.held: dict[str, wire.Alarm] = {}
        self.state: wire.State | None = None
        self.state_at_ns = 0
        self.online = False
        self._heard_every_s = heard_every_s
        for broker in brokers:
            broker.listeners.append(self)
        day.timeline.after(day.chance.uniform(0, heard_every_s), self._sign_of_life)

    def take(self, broker: "Broker", topic: str, payload: bytes) -> None:
        """One message of the unit, from one of the brokers; once more, perhaps."""
        if not self.up:
            return
        what = topic.rpartition("/")[2]
        if what == "alarm":
            alarm = self.day.parse(payload, wire.Alarm)
            self.day.timeline.after(self.day.chance.uniform(0.2, 1.8) * self.slow_s, lambda: self._hold(alarm))
        elif what == "state":
            state = self.day.parse(payload, wire.State)
            self.online = state.online
            if state.online:
                born = self.state is None or self.state.session != state.session
                self.state, self.state_at_ns = state, self.day.timeline.now_ns
                if born:
                    self.say_received(())
                self.day.operators.state(self, state)
        elif what == "reply":
            self.day.operators.reply(self.day.parse(payload, wire.Reply))
        elif what == "event":
            self.day.checker.event(self.day.parse(payload, wire.Event))

    def _hold(self, alarm: wire.Alarm) -> None:
        if not self.up:  # it died with the alarm in its memory
            return
        new = alarm.press_id not in self.held
        self.held.setdefault(alarm.press_id, alarm)
        if new:
            self.day.trace.say(self.name, "holds", alarm.press_id)
            self.day.checker.held(self.name, alarm)
        self.say_received((alarm.press_id,))
        if new:
            self.day.operators.alarm(self, alarm)

    def say_received(self, press_ids: tuple[str, ...]) -> None:
        if self.mute or not self.up:
            return
        payload = msgspec.json.encode(wire.Received(press_ids=press_ids))
        for broker in self.brokers:
            broker.say(self.day.topic("received"), payload)

    def command(self, command: wire.Command, role: str) -> None:
        if self.mute or not self.up:
            return
        for broker in self.brokers:
            broker.say(self.day.topic(role, "cmd"), msgspec.json.encode(command))

    def uptime_ms(self) -> int:
        """The unit's uptime as far as it is known here."""
        if self.state is None:
            return 0
        return self.state.uptime_ms + (self.day.timeline.now_ns - self.state_at_ns) // 1_000_000

    def _sign_of_life(self) -> None:
        if self.online:
            self.say_received(())
        self.day.timeline.after(self._heard_every_s * self.day.chance.uniform(0.95, 1.0), self._sign_of_life)

    def stop(self) -> None:
        self.up = False
        self.day.trace.say(self.name, "down")

    def start(self) -> None:
        if not self.up:
            self.up = True
            self.day.trace.say(self.name, "up")
            for broker in self.brokers:
                broker.listener_back(self)


class _Order:
    """A command on its way to being answered: sent again under the same number, then afresh."""

    def __init__(self, room: ControlRoom, kind: Any, fields: dict[str, Any], role: str) -> None:
        self.room, self.kind, self.fields, self.role = room, kind, fields, role
        self.tries = 0
        self.seq = -1
        self.session = -1
        self.command: wire.Command | None = None


class Operators:
    """The people at the consoles of all control rooms; one numbering of commands, as a shared console keeps it."""

    def __init__(self, day: "Day") -> None:
        self.day = day
        self._seq = 0
        self._waiting: dict[tuple[int, int], _Order] = {}
        self._known: dict[str, ControlRoom] = {}
        self._handled: set[str] = set()
        self.sent: list[tuple[str, bytes]] = []
        """Every command as it went out, for whoever replays it."""
        self.patience = 1.0
        self._reviewers = random.Random(f"reviewers {day.seed}")
        self.live = LiveOrders(day)
        self.closing_time = False

    def alarm(self, room: ControlRoom, alarm: wire.Alarm) -> None:
        self._take_up(room, alarm.incident_id)

    def state(self, room: ControlRoom, state: wire.State) -> None:
        for incident in state.open_incidents:
            if incident.stage not in ("closing", "closed"):
                self._take_up(room, incident.incident_id)

    def close_everything(self) -> None:
        """The day ends: every incident that is listed as open is closed, again and again until it is gone."""
        self.closing_time = True
        for room in self.day.rooms:
            for incident in room.state.open_incidents if room.state else ():
                if incident.stage not in ("closing", "closed"):
                    self.order(room, wire.Close, {"incident_id": incident.incident_id, "outcome": "genuine"})

    def _take_up(self, room: ControlRoom, incident_id: str) -> None:
        if incident_id in self._handled:
            return
        self._handled.add(incident_id)
        chance, after = self.day.chance, self.day.timeline.after
        what = chance.random()
        if what < 0.08 and not self.closing_time:
            return  # nobody looks at the screen; the end of the day closes it
        at_s = chance.uniform(1, 25) * self.patience * (6 if what > 0.85 else 1)
        fields = {"incident_id": incident_id}
        self.live.of_incident(room, incident_id, at_s)
        if chance.random() < 0.6:
            after(at_s, lambda: self.order(room, wire.Accept, fields))
        at_s += chance.uniform(1, 20)
        if chance.random() < 0.85:
            after(at_s, lambda: self.order(room, wire.Answer, fields))
        if self.day.config.incident.close_after_s is not None and chance.random() < 0.2:
            extension = {**fields, "for_s": chance.choice((60, 1800, 7200, 18_000))}
            after(at_s + chance.uniform(1, 60), lambda: self.order(room, wire.Extend, extension))
            at_s += chance.choice((0, 600, 20_000))
        at_s += chance.expovariate(1 / 60)
        closing = {**fields, "outcome": chance.choice(("genuine", "hoax", "unknown"))}
        after(at_s, lambda: self.order(room, wire.Close, closing))
        if self._reviewers.random() < 0.5:
            releasing = {"incident_id": incident_id, "reason": "looked at"}
            at_s += self._reviewers.uniform(20, 4000)
            after(at_s, lambda: self.order(room, wire.ReleaseLock, releasing, "maintainer"))

    def order(self, room: ControlRoom, kind: Any, fields: dict[str, Any], role: str = "operator") -> None:
        self._send(_Order(room, kind, fields, role))

    def _send(self, order: _Order) -> None:
        order.tries += 1
        if order.tries > TRIES or order.room.state is None:
            return
        session = order.room.state.session
        fresh = order.command is None or order.session != session or order.tries % 3 == 0
        if fresh:
            self._seq += 1
            order.seq, order.session = self._seq, session
            order.command = order.kind(
                session=session,
                seq=order.seq,
                not_after_uptime_ms=order.room.uptime_ms() + VALID_MS,
                by="operator-1",
                **order.fields,
            )
            self._waiting[session, order.seq] = order
            self.day.checker.ordered(order.command, order.role)
            self.sent.append((order.role, msgspec.json.encode(order.command)))
        assert order.command is not None
        order.room.command(order.command, order.role)
        seq = order.seq
        self.day.timeline.after(self.day.chance.uniform(4, 8), lambda: self._unanswered(order, seq))

    def _unanswered(self, order: _Order, seq: int) -> None:
        if (order.session, seq) in self._waiting:
            self._send(order)

    def reply(self, reply: wire.Reply) -> None:
        order = self._waiting.pop((reply.session, reply.seq), None)
        if order is None:
            return
        if reply.result == "refused" and any(word in reply.reason for word in ("late", "session", "replayed")):
            order.command = None
            self.day.timeline.after(1.0, lambda: self._send(order))
