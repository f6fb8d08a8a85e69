"""One broker connection by paho: MQTT 5, falling back to 3.1.1, mutual TLS, birth and last will.

paho runs its own thread; everything it has to say is handed to the event loop. Nothing is queued here while the broker
is away: the alarm desk keeps what must be sent.
"""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from unitd.config import BrokerTable
from unitd.ports import UplinkHandlers, Will

INBOUND_PENDING = 200
CONNECT_TIMEOUT_S = 5.0
RECONNECT_S = (1, 10)
MAX_INFLIGHT = 40


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
        self._client: paho.Client | None = None
        self._tokens: dict[int, str | None] = {}
        self._early: dict[int, int] = {}
        self._tokens_lock = threading.Lock()
        self._pending = 0
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._restart = asyncio.Event()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False, token: str | None = None) -> bool:
        """Hand one message to the broker's socket; False when it is not connected. Does not block."""
        if self._client is None or not self.connected:
            return False
        # our lock is never held inside a call to paho, which calls on_publish with its own locks held
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            return False
        # paho tells of QoS 0 too: every mid is paired, so that a reused one finds nothing stale
        with self._tokens_lock:
            acked_ns = self._early.pop(info.mid, None)
            if acked_ns is None:
                self._tokens[info.mid] = token
        if acked_ns is not None and token is not None:
            asyncio.get_running_loop().call_soon(self._handlers.acked, self.name, token, acked_ns)
        return True

    async def run(self) -> None:
        """Connect and stay connected until cancelled. Raises OSError when certificates cannot be read."""
        loop = asyncio.get_running_loop()
        while True:
            self._restart.clear()
            client = self._make(loop, await asyncio.to_thread(self._context))
            self._client = client
            client.connect_async(self._broker.host, self._broker.port, keepalive=self._broker.keepalive_s)
            client.loop_start()
            try:
                await self._restart.wait()
            finally:
                self.connected = False
                client.disconnect()
                # loop_stop joins paho's thread, which may be inside a connect: never on the loop
                threading.Thread(target=client.loop_stop, name="mqtt stop", daemon=True).start()

    def _make(self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=self._protocol)
        client.tls_set_context(context)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.reconnect_delay_set(*RECONNECT_S)
        client.max_inflight_messages_set(MAX_INFLIGHT)
        client.max_queued_messages_set(4 * MAX_INFLIGHT)
        client.on_socket_open = _no_delay
        will = self._will()
        client.will_set(will.topic, will.payload, qos=1, retain=True)

        def hand_over(call: Callable[..., None], *arguments: Any) -> None:
            if self._pending >= INBOUND_PENDING:
                self.dropped += 1
                return
            self._pending += 1
            try:
                loop.call_soon_threadsafe(self._deliver, call, *arguments)
            except RuntimeError:
                return  # the loop has ended

        def on_connect(_c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
            if reason.is_failure:
                hand_over(self._refused, str(reason))
                return
            client.subscribe(self._subscribe, qos=1)
            hand_over(self._up)

        def on_disconnect(_c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
            hand_over(self._down, str(reason))

        def on_connect_fail(_c: Any, _u: Any) -> None:
            hand_over(self._down, "cannot be reached")

        def on_message(_c: Any, _u: Any, message: Any) -> None:
            hand_over(self._handlers.message, self.name, message.topic, message.payload)

        def on_publish(_c: Any, _u: Any, mid: int, _r: Any, _p: Any) -> None:
            at_ns = time.monotonic_ns()
            with self._tokens_lock:
                if mid in self._tokens:
                    token = self._tokens.pop(mid)
                else:
                    token = None
                    self._early[mid] = at_ns
            if token is not None:
                hand_over(self._handlers.acked, self.name, token, at_ns)

        client.on_connect = on_connect
        client.on_disconnect = on_disconnect
        client.on_connect_fail = on_connect_fail
        client.on_message = on_message
        client.on_publish = on_publish
        return client

    def _deliver(self, call: Callable[..., None], *arguments: Any) -> None:
        self._pending -= 1
        call(*arguments)

    def _up(self) -> None:
        with self._tokens_lock:
            self._tokens.clear()
            self._early.clear()
        self.connected = True
        self._handlers.connected(self.name)

    def _down(self, reason: str) -> None:
        self.connected = False
        self._handlers.lost(self.name, reason)

    def _refused(self, reason: str) -> None:
        if "protocol version" in reason.lower() and self._protocol == MQTTProtocolVersion.MQTTv5:
            self._protocol = MQTTProtocolVersion.MQTTv311
            self._restart.set()
        self._down(reason)


def _no_delay(_client: Any, _userdata: Any, opened: Any) -> None:
    """Or a reply waits 40 ms behind the acknowledgement of its command (Nagle against delayed ACK, measured)."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
