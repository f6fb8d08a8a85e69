"""The control room's MQTT 5 client: mutual TLS, a persistent session, messages handed to the loop in order.

paho runs a thread of its own; it hands every message over by `call_soon_threadsafe` into a bounded queue, whose
overflow is counted in `dropped` (QoS 1 messages have then been acknowledged to the broker; units repeat alarms until
`received`, so none is lost by it).
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from hw_sim.control_room.tls import client_context
from hw_sim.pki import Credentials
from unitd.messages.control_room import PREFIX

QUEUE_MESSAGES = 10_000
"""A thousand units that are pressed within a second say some four thousand things meanwhile (docs/benchmarks.md)."""
SESSION_EXPIRY_S = 24 * 3600
KEEPALIVE_S = 10


@dataclass(frozen=True)
class Message:
    """One message from the broker; `retained` means it may be old."""

    topic: str
    payload: bytes
    retained: bool = False


class Transport(Protocol):
    """What the hub needs of a broker connection. No call blocks."""

    def start(self, on_message: Callable[[Message], None], on_connection: Callable[[bool], None]) -> None:
        """Begin; both callbacks run on the caller's loop."""
        ...

    def publish(self, topic: str, payload: bytes, qos: int) -> None: ...

    def stop(self) -> None:
        """End; may block for a second, so call it on a thread."""
        ...


class BrokerTransport:
    """Transport over a real broker. It re-connects for ever, 1 to 5 s between tries."""

    def __init__(self, files: Credentials, port: int, host: str = "127.0.0.1", client_id: str = "control-room") -> None:
        self._host, self._port = host, port
        self.dropped = 0
        self._room = threading.BoundedSemaphore(QUEUE_MESSAGES)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        self._client.tls_set_context(client_context(files))
        self._client.reconnect_delay_set(1, 5)
        self._client.max_queued_messages_set(QUEUE_MESSAGES)

    def start(self, on_message: Callable[[Message], None], on_connection: Callable[[bool], None]) -> None:
        loop = asyncio.get_running_loop()

        def deliver(message: Message) -> None:
            self._room.release()
            on_message(message)

        def hand_over(call: Callable[..., None], *args: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(call, *args)

        def message(_client: Any, _userdata: Any, got: Any) -> None:
            if not self._room.acquire(blocking=False):
                self.dropped += 1
                return
            hand_over(deliver, Message(got.topic, got.payload, bool(got.retain)))

        def connected(client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if reason.is_failure:
                return
            client.subscribe(f"{PREFIX}/+/up/#", options=SubscribeOptions(qos=1))
            hand_over(on_connection, True)

        def disconnected(*_: Any) -> None:
            hand_over(on_connection, False)

        self._client.on_message = message
        self._client.on_connect = connected
        self._client.on_disconnect = disconnected
        self._client.on_socket_open = _no_delay
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        self._client.connect_async(
            self._host, self._port, keepalive=KEEPALIVE_S, clean_start=False, properties=properties
        )
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self._client.publish(topic, payload, qos=qos)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _no_delay(_client: Any, _userdata: Any, opened: Any) -> None:
    """Or a `received` waits up to 40 ms behind the acknowledgement of its alarm (Nagle against delayed ACK)."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
