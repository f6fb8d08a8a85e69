"""The way to the control rooms: the unit's link, brokers, and the `Uplink` port that core sees.

A connection is a TCP stream: what was sent arrives in order, late, or not at all once the connection has gone. While
the link is cut nothing arrives; if it comes back before anybody has given the connection up, what was under way does.
A broker takes QoS 1 at least once: it may give a subscriber the same message twice, or two in the other order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from unitd.ports import UplinkHandlers, Will

if TYPE_CHECKING:
    from tests.simulate.day import Day
    from tests.simulate.life import Life

KEEPALIVE_S = 30.0
ALARMS_UNACKED = 160
ORDINARY_UNACKED = 20
"""As unitd/drivers/mqtt.py: alarms, and messages without a token, that may wait for an acknowledgement at once."""
CONNECT_TIMEOUT_S = 5.0


class Connection:
    """One TCP stream between the unit and a broker, with two ends that may think differently of it."""

    def __init__(self, network: "Network", uplink: "SimUplink", broker: "Broker") -> None:
        self._network, self.uplink, self.broker = network, uplink, broker
        self.unit_end = self.broker_end = True
        self._free_at_ns = {"up": 0, "down": 0}
        self._stalled: list[tuple[str, Callable[[], None]]] = []

    def send(self, way: str, arrive: Callable[[], None]) -> None:
        """Carry something `up` or `down`; in order within one way."""
        if self._network.cut(self.broker):
            if len(self._stalled) < 500:
                self._stalled.append((way, arrive))
            return
        day = self._network.day
        at_ns = day.timeline.now_ns + int(self._network.latency_s() * 1e9)
        at_ns = self._free_at_ns[way] = max(at_ns, self._free_at_ns[way] + 1)
        day.timeline.at(at_ns, lambda: self._arrive(way, arrive))

    def _arrive(self, way: str, arrive: Callable[[], None]) -> None:
        if self._network.cut(self.broker):  # it was in the air when the link went
            self._stalled.append((way, arrive))
        elif (self.broker_end and self.broker.up) if way == "up" else self.unit_end:
            arrive()

    def link_restored(self) -> None:
        stalled, self._stalled = self._stalled, []
        for way, arrive in stalled:
            self.send(way, arrive)


class SimUplink:
    """`unitd.ports.Uplink`, with the limits of unitd/drivers/mqtt.py."""

    def __init__(
        self, network: "Network", life: "Life", broker: "Broker", will: Callable[[], Will], handlers: UplinkHandlers
    ) -> None:
        self.name = broker.name
        self.connected = False
        self._network, self._life, self._broker = network, life, broker
        self._will, self._handlers = will, handlers
        self._connection: Connection | None = None
        self._unacked: dict[int, tuple[str, bytes, bool, str | None]] = {}
        self._mid = 0
        self._lost: asyncio.Event | None = None
        self._broken_check: Any = None

    @property
    def unacked(self) -> int:
        return len(self._unacked)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False, token: str | None = None) -> bool:
        if self._life.dead or self._connection is None or not self.connected:
            return False
        if qos > 0 and not self._has_room(token):
            return False
        self._network.day.checker.published(self.name, topic, payload)
        self._mid += 1
        if qos > 0:
            self._unacked[self._mid] = (topic, payload, retain, token)
        self._transmit(self._connection, self._mid, topic, payload, retain, qos)
        return True

    def _has_room(self, token: str | None) -> bool:
        if token is not None:
            return len(self._unacked) < ALARMS_UNACKED
        return sum(each[3] is None for each in self._unacked.values()) < ORDINARY_UNACKED

    async def run(self) -> None:
        """As paho: connect, stay, notice the loss, pause, connect again; for ever."""
        self._lost = asyncio.Event()
        chance = self._network.day.chance
        pause_s = 1.0
        while True:
            outcome = await self._dial()
            if outcome:
                self._handlers.lost(self.name, outcome)
            else:
                pause_s = 1.0
                self._lost.clear()
                self._came_up()
                await self._lost.wait()
            await asyncio.sleep(pause_s * chance.uniform(0.9, 1.1))
            pause_s = min(pause_s * 2, 10.0)

    async def _dial(self) -> str:
        """Empty when connected, else why not."""
        network, broker = self._network, self._broker
        if network.cut(broker):
            await asyncio.sleep(CONNECT_TIMEOUT_S)
            return "cannot be reached"
        await asyncio.sleep(4 * network.latency_s())
        if network.cut(broker):
            await asyncio.sleep(CONNECT_TIMEOUT_S)
            return "cannot be reached"
        if not broker.up or broker.refuses:
            return "connection refused"
        self._connection = Connection(network, self, broker)
        network.connections.append(self._connection)
        broker.connect(self._connection, self._will())
        return ""

    def _came_up(self) -> None:
        assert self._connection is not None
        self.connected = True
        resent, self._unacked = self._unacked, {}
        self._handlers.connected(self.name)
        for topic, payload, retain, _token in resent.values():  # paho sends again what was under way; nobody is told
            self._transmit(self._connection, 0, topic, payload, retain, 1)
        self._look()

    def _look(self) -> None:
        """The keep-alive: half an hour of silence is not needed to see a dead link, a ping without an answer is."""
        connection = self._connection
        if connection is None or self._life.dead:
            return
        network = self._network
        if network.cut(self._broker):
            wait_s = KEEPALIVE_S * network.day.chance.uniform(1.0, 2.0)
            network.day.timeline.after(wait_s, lambda: self._ping_unanswered(connection, network.cuts))

    def link_cut(self) -> None:
        self._look()

    def _ping_unanswered(self, connection: Connection, cuts: int) -> None:
        if connection is self._connection and self._network.cut(self._broker) and cuts == self._network.cuts:
            self.broken("keep alive timeout")

    def broken(self, reason: str) -> None:
        """The unit's end sees that the connection has gone."""
        connection, self._connection = self._connection, None
        if connection is None or self._life.dead:
            return
        connection.unit_end = False
        self._network.forget(connection)
        self.connected = False
        self._life.loop.call_soon(self._tell_lost, reason)

    def _tell_lost(self, reason: str) -> None:
        self._handlers.lost(self.name, reason)
        if self._lost is not None:
            self._lost.set()

    def process_gone(self) -> None:
        """The process is dead: its kernel closes the socket, if the link still carries that."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.unit_end = False
            connection.send("up", lambda: connection.broker.lost(connection))
            connection.broker.silent(connection)

    def _transmit(self, connection: Connection, mid: int, topic: str, payload: bytes, retain: bool, qos: int) -> None:
        def arrive() -> None:
            connection.broker.take(topic, payload, retain, qos)
            if qos > 0 and mid:
                connection.send("down", lambda: self._acked(connection, mid))

        connection.send("up", arrive)

    def _acked(self, connection: Connection, mid: int) -> None:
        if connection is not self._connection:
            return
        known = self._unacked.pop(mid, None)
        if known is not None and not self._life.dead:
            at_ns = self._life.mono_ns()
            self._life.loop.call_soon(self._handlers.acked, self.name, known[3] or "", at_ns)

    def deliver(self, topic: str, payload: bytes) -> None:
        """A message from the broker."""
        if not self._life.dead and self.connected:
            self._network.day.checker.delivered(topic, payload)
            self._life.loop.call_soon(self._handlers.message, self.name, topic, payload)


class Broker:
    """One broker and who listens at it. `mood`: how often it says things twice, and how late."""

    def __init__(self, network: "Network", name: str) -> None:
        self._network, self.name = network, name
        self.up = True
        self.refuses = False
        self.keeps = True
        """Whether it queues for a control room that is away."""
        self.twice = 0.02
        self.disorder_s = 0.02
        self.retained: bytes | None = None
        self.listeners: list[Any] = []
        self._connection: Connection | None = None
        self._wills: dict[Connection, Will] = {}
        self._away: deque[tuple[Any, str, bytes]] = deque(maxlen=1000)

    def connect(self, connection: Connection, will: Will) -> None:
        old, self._connection = self._connection, connection
        self._wills[connection] = will
        if old is not None:  # the same client id: the older one is turned out, and its will is published
            self.lost(old)

    def take(self, topic: str, payload: bytes, retain: bool, qos: int) -> None:
        """A message of the unit has arrived."""
        if retain:
            self.retained = payload
        for listener in self.listeners:
            self._give(listener, topic, payload, qos)

    def _give(self, listener: Any, topic: str, payload: bytes, qos: int) -> None:
        day = self._network.day
        if not listener.up:
            if self.keeps and qos > 0:
                self._away.append((listener, topic, payload))
            return
        copies = 2 if qos > 0 and day.chance.random() < self.twice else 1
        for _ in range(copies):
            delay_s = day.chance.uniform(0.002, 0.005 + self.disorder_s)
            day.timeline.after(delay_s, lambda: listener.take(self, topic, payload))

    def listener_back(self, listener: Any) -> None:
        """A control room is there again: it is told what was kept for it, and the retained state."""
        kept = [each for each in self._away if each[0] is listener]
        self._away = deque((each for each in self._away if each[0] is not listener), maxlen=1000)
        for _, topic, payload in kept:
            self._give(listener, topic, payload, 1)
        if self.retained is not None:
            self._give(listener, "up/state", self.retained, 1)

    def say(self, topic: str, payload: bytes) -> None:
        """A control room publishes to the unit; nothing is kept for a unit that is away."""
        connection = self._connection
        if not self.up or connection is None or not connection.broker_end:
            return
        day = self._network.day
        copies = 2 if day.chance.random() < self.twice else 1
        for _ in range(copies):
            connection.send("down", lambda: connection.uplink.deliver(topic, payload))

    def lost(self, connection: Connection) -> None:
        """The broker's end gives a connection up: the last will is published."""
        if not connection.broker_end:
            return
        connection.broker_end = False
        if self._connection is connection:
            self._connection = None
        will = self._wills.pop(connection, None)
        if will is not None and self.up:
            self.take("up/state", will.payload, True, 1)
        uplink = connection.uplink
        connection.send(
            "down", lambda: uplink.broken("connection closed") if uplink._connection is connection else None
        )

    def silent(self, connection: Connection) -> None:
        """Nothing more comes from that unit: after one and a half keep-alives the broker gives it up."""
        self._network.day.timeline.after(1.5 * KEEPALIVE_S, lambda: self._give_up(connection))

    def _give_up(self, connection: Connection) -> None:
        if not connection.unit_end or self._network.cut(self):
            self.lost(connection)

    def link_cut(self) -> None:
        if self._connection is not None:
            self.silent(self._connection)

    def stop(self, *, forgets: bool) -> None:
        """The broker's process ends: every connection is reset."""
        self.up = False
        connection, self._connection = self._connection, None
        self._wills.clear()
        if forgets:
            self.retained = None
            self._away.clear()
        if connection is not None:
            connection.broker_end = False
            uplink = connection.uplink
            if not self._network.cut(self):
                self._network.day.timeline.after(0.01, lambda: self._reset(uplink, connection))

    def _reset(self, uplink: SimUplink, connection: Connection) -> None:
        if uplink._connection is connection:
            uplink.broken("connection reset")

    def start(self) -> None:
        self.up = True


class Network:
    """The unit's one link (a modem's) and the brokers behind it. `cuts` counts outages, so that each is told apart."""

    def __init__(self, day: "Day", names: list[str]) -> None:
        self.day = day
        self.brokers = {name: Broker(self, name) for name in names}
        self.connections: list[Connection] = []
        self.latency = (0.02, 0.08)
        self.cuts = 0
        self._cut: set[str] = set()
        """Which brokers cannot be reached; "" is the link itself."""

    def uplink(self, life: "Life", name: str, will: Callable[[], Will], handlers: UplinkHandlers) -> SimUplink:
        uplink = SimUplink(self, life, self.brokers[name], will, handlers)
        life.uplinks.append(uplink)
        return uplink

    def cut(self, broker: Broker) -> bool:
        return bool(self._cut) and ("" in self._cut or broker.name in self._cut)

    def latency_s(self) -> float:
        return self.day.chance.uniform(*self.latency)

    def set_cut(self, cut: bool, name: str = "") -> None:
        """The link (or the way to one broker) carries nothing; connections do not know it yet."""
        if cut == (name in self._cut):
            return
        if cut:
            self._cut.add(name)
            self.cuts += 1
            for connection in list(self.connections):
                if name in ("", connection.broker.name):
                    connection.uplink.link_cut()
                    connection.broker.link_cut()
        else:
            self._cut.discard(name)
            for connection in list(self.connections):
                if not self.cut(connection.broker):
                    if not connection.broker_end:  # the broker has given it up, and says so now
                        uplink, broken = connection.uplink, connection
                        self.day.timeline.after(0.2, lambda u=uplink, c=broken: c.broker._reset(u, c))
                    connection.link_restored()

    def reset(self) -> None:
        """A modem that re-registers: every connection breaks at once, and both ends see it."""
        for connection in list(self.connections):
            connection.uplink.broken("network unreachable")
            connection.broker.silent(connection)

    def forget(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)

    def lift(self) -> None:
        """All is well again."""
        self.latency = (0.02, 0.08)
        for name in sorted(self._cut):
            self.set_cut(False, name)
        for broker in self.brokers.values():
            broker.refuses = False
            broker.twice, broker.disorder_s = 0.02, 0.02
            if not broker.up:
                broker.start()
