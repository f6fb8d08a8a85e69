"""One broker connection by paho: MQTT 5, falling back to 3.1.1, mutual TLS, birth and last will.

paho runs its own thread; everything it has to say is handed to the event loop. Nothing is queued here while the broker
is away: the alarm desk keeps what must be sent.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from unitd.config import BrokerTable
from unitd.drivers.paho_direct import DirectClient
from unitd.messages.control_room import MAX_PAYLOAD_BYTES
from unitd.model.timetable import redial_s
from unitd.ports import UplinkHandlers, Will

INBOUND_PENDING = 200
CONNECT_TIMEOUT_S = 5.0
DEAD_WAY_MS = 20_000
"""What we sent and the other end's kernel has not acknowledged for so long went nowhere (a modem with a new address):
dial again. With a heartbeat every 30 s a dead way is noticed within 50 s, by an alarm within 20 s, without any ping."""
HELD_S = 10.0
"""A shorter connection makes the next pause longer: two clients of one id would turn each other out each second."""
AFRESH_AFTER_S = 2.0
"""Before a new client: a broker that upsets each one at once is not dialled without a pause."""
MAX_INFLIGHT = 40
ORDINARY_UNACKED = MAX_INFLIGHT // 2
"""Messages without a token (events, replies, states) on their way at once: the rest of the window is for alarms."""
ALARMS_UNACKED = 4 * MAX_INFLIGHT
"""Past so many messages without an acknowledgement an alarm has to wait: there is always room for a reply."""
MAX_PACKET_BYTES = 2 * MAX_PAYLOAD_BYTES
"""An MQTT 5 broker sends nothing larger: a retained monster would cost core its memory at each connection."""
UNANSWERED_BEFORE_OTHER_VERSION = 2
"""Some brokers close on an unknown protocol version without a word."""


class MqttUplink:
    """A connection to one broker that is kept for ever while `run` runs. Methods belong to the loop's thread."""

    def __init__(
        self,
        broker: BrokerTable,
        client_id: str,
        subscribe: str,
        will: Callable[[], Will],
        context: Callable[[], ssl.SSLContext],
        handlers: UplinkHandlers,
    ) -> None:
        self.name = broker.name
        self.connected = False
        self.dropped = 0
        self._broker = broker
        self._client_id = client_id
        self._subscribe = subscribe
        self._will = will
        self._context = context
        self._handlers = handlers
        self._client: DirectClient | None = None
        self._unanswered = 0
        self._tokens: dict[int, str | None] = {}
        self._early: dict[int, int] | None = None
        self._tokens_lock = threading.Lock()
        self._pending = 0
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._restart = asyncio.Event()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False, token: str | None = None) -> bool:
        """Hand one message to the broker's socket; False when it is not connected. Does not block."""
        if self._client is None or not self.connected:
            return False
        if qos > 0 and not self._has_room(self._client, token):
            return False
        # our lock is never held inside a call to paho, which calls on_publish with its own locks held
        with self._tokens_lock:
            self._early = {}
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        # paho tells of QoS 0 too: every mid is paired, so that a reused one finds nothing stale
        with self._tokens_lock:
            early, self._early = self._early, None
            acked_ns = early.get(info.mid) if early is not None else None
            if acked_ns is None and info.rc == paho.MQTT_ERR_SUCCESS:
                self._tokens[info.mid] = token
        if info.rc != paho.MQTT_ERR_SUCCESS:
            return False
        if acked_ns is not None:
            asyncio.get_running_loop().call_soon(self._handlers.acked, self.name, token or "", acked_ns)
        return True

    def _has_room(self, client: DirectClient, token: str | None) -> bool:
        """Whether one more of its kind may wait for an acknowledgement."""
        if token is not None:
            return client.unacked() < ALARMS_UNACKED
        with self._tokens_lock:
            return sum(each is None for each in self._tokens.values()) < ORDINARY_UNACKED

    async def run(self) -> None:
        """Connect and stay connected until cancelled. Raises OSError when certificates cannot be read."""
        loop = asyncio.get_running_loop()
        while True:
            self._restart.clear()
            client = self._make(loop, await asyncio.to_thread(self._context))
            self._client = client
            limits = None
            if self._protocol == MQTTProtocolVersion.MQTTv5:
                limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                limits.MaximumPacketSize = MAX_PACKET_BYTES
            client.connect_async(
                self._broker.host, self._broker.port, keepalive=self._broker.keepalive_s, properties=limits
            )
            client.loop_start()
            try:
                await self._restart.wait()
            finally:
                self.connected = False
                self._client = None  # what the old one still has to say is not about the next
                client.disconnect()
                # loop_stop joins paho's thread, which may be inside a connect: never on the loop
                threading.Thread(target=client.loop_stop, name="mqtt stop", daemon=True).start()
            await asyncio.sleep(AFRESH_AFTER_S)

    def _make(self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext) -> DirectClient:
        client = DirectClient(CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=self._protocol)
        client.tls_set_context(context)
        client.connect_timeout = CONNECT_TIMEOUT_S
        _redial(client, 0)
        client.max_inflight_messages_set(MAX_INFLIGHT)
        client.max_queued_messages_set(ALARMS_UNACKED + 2 * ORDINARY_UNACKED)
        client.on_socket_open = _opened
        will = self._will()
        client.will_set(will.topic, will.payload, qos=1, retain=True)

        def hand_over(call: Callable[..., None], *arguments: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._deliver, client, call, *arguments)

        up_s = 0.0
        short = 0

        def on_connect(_c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
            if reason.is_failure:
                hand_over(self._refused, str(reason))
                return
            nonlocal up_s
            up_s = time.monotonic()
            client.subscribe(self._subscribe, qos=1)
            hand_over(self._up)

        def on_disconnect(_c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
            nonlocal short
            short = short + 1 if time.monotonic() - up_s < HELD_S else 0
            _redial(client, short)
            hand_over(self._down, str(reason), True)

        def on_connect_fail(_c: Any, _u: Any) -> None:
            hand_over(self._down, "cannot be reached")

        def on_message(_c: Any, _u: Any, message: Any) -> None:
            # a retained message is what somebody said once: neither a command nor a sign of life
            if message.retain or self._pending >= INBOUND_PENDING:
                self.dropped += 1
                return
            self._pending += 1
            hand_over(self._message, message.topic, message.payload)

        def on_publish(_c: Any, _u: Any, mid: int, _r: Any, _p: Any) -> None:
            at_ns = time.monotonic_ns()
            with self._tokens_lock:
                if mid in self._tokens:
                    token = self._tokens.pop(mid)
                else:
                    if self._early is not None:  # `publish` has not come back yet, and tells it
                        self._early[mid] = at_ns
                    return  # else it is of an earlier connection
            hand_over(self._handlers.acked, self.name, token or "", at_ns)

        def died(error: Exception) -> None:
            hand_over(self._died, repr(error))

        client.on_connect = on_connect
        client.on_disconnect = on_disconnect
        client.on_connect_fail = on_connect_fail
        client.on_message = on_message
        client.on_publish = on_publish
        client.died = died
        return client

    def _deliver(self, client: paho.Client, call: Callable[..., None], *arguments: Any) -> None:
        if client is self._client or call == self._message:
            call(*arguments)

    def _message(self, topic: str, payload: bytes) -> None:
        self._pending -= 1
        self._handlers.message(self.name, topic, payload)

    def _died(self, reason: str) -> None:
        self._down(reason)
        self._restart.set()

    def _up(self) -> None:
        self._unanswered = 0
        with self._tokens_lock:
            self._tokens.clear()
        self.connected = True
        self._handlers.connected(self.name)

    def _down(self, reason: str, closed: bool = False) -> None:
        if closed and not self.connected:
            self._unanswered += 1
            if self._unanswered >= UNANSWERED_BEFORE_OTHER_VERSION:
                self._other_version()
        self.connected = False
        self._handlers.lost(self.name, reason)

    def _refused(self, reason: str) -> None:
        if "protocol version" in reason.lower():
            self._other_version()
        self._down(reason)

    def _other_version(self) -> None:
        five, four = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
        self._protocol = four if self._protocol == five else five
        self._unanswered = 0
        self._restart.set()


def _redial(client: paho.Client, short: int) -> None:
    least_s, most_s = redial_s(short, random.random())  # noqa: S311 - it spreads units over time and guards nothing
    client.reconnect_delay_set(least_s, most_s)  # type: ignore[arg-type]  # paho only doubles and compares them


def _opened(_client: Any, _userdata: Any, opened: Any) -> None:
    # or a reply waits 40 ms behind the acknowledgement of its command (Nagle against delayed ACK, measured)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_WAY_MS)
