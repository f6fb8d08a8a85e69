"""An MQTT client with somebody's certificate, which says what the broker let it do."""

from __future__ import annotations

import queue
import socket
import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho

from hw_sim.pki import Credentials

WITHIN_S = 5.0
CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me"
"""MQTT 3.1.1, a clean session."""


class Client:
    """All calls wait for the broker's word. `heard` is what was delivered, in order."""

    def __init__(self, port: int, who: Credentials, client_id: str = "", will: tuple[str, str] | None = None) -> None:
        self.heard: list[tuple[str, str]] = []
        self.lost = False
        self._said: queue.Queue[str] = queue.Queue()
        self._mqtt = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        self._mqtt.tls_set(str(who.ca_file), str(who.cert_file), str(who.key_file))
        self._mqtt.on_connect = lambda _c, _u, _f, reason, _p: self._said.put(str(reason))
        self._mqtt.on_subscribe = lambda *_: self._said.put("subscribed")
        self._mqtt.on_publish = lambda _c, _u, _mid, reason, _p: self._said.put(str(reason))
        self._mqtt.on_message = lambda _c, _u, message: self.heard.append((message.topic, message.payload.decode()))
        self._mqtt.on_disconnect = self._disconnected
        if will is not None:
            self._mqtt.will_set(*will, qos=1, retain=True)
        self._mqtt.connect("127.0.0.1", port)
        self._mqtt.loop_start()
        try:
            self.connected = self._said.get(timeout=WITHIN_S)
        except queue.Empty:
            self.close()
            raise

    def _disconnected(self, *_: object) -> None:
        self.lost = True
        self._said.put("lost")

    def subscribe(self, topic: str) -> None:
        self._mqtt.subscribe(topic, qos=1)
        assert self._said.get(timeout=WITHIN_S) == "subscribed"

    def publish(self, topic: str, text: str = "{}", retain: bool = False) -> str:
        """The broker's reason: "Success" (or "No matching subscribers"), "Not authorized", or "lost"."""
        self._mqtt.publish(topic, text, qos=1, retain=retain)
        return self._said.get(timeout=WITHIN_S)

    def vanish(self) -> None:
        """End as a power cut does: the broker publishes the last will."""
        opened = self._mqtt.socket()
        assert opened is not None
        opened.shutdown(socket.SHUT_RDWR)
        self._mqtt.loop_stop()

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


@contextmanager
def client(port: int, who: Credentials, client_id: str = "", will: tuple[str, str] | None = None) -> Iterator[Client]:
    made = Client(port, who, client_id, will)
    try:
        assert made.connected == "Success"
        yield made
    finally:
        made.close()


def shut_out(port: int, who: Credentials) -> bool:
    """Whether TLS lets this certificate not even say CONNECT (None at all: credentials without files)."""
    context = ssl.create_default_context(cafile=str(who.ca_file))
    if who.cert_file.is_file():
        context.load_cert_chain(str(who.cert_file), str(who.key_file))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            # In TLS 1.3 the client has finished before its certificate is looked at: the refusal comes with the read.
            secure.sendall(CONNECT)
            return not secure.recv(1)
    except (ssl.SSLError, ConnectionError):
        return True


def delivered(speaker: Client, reader: Client, marker_topic: str) -> list[tuple[str, str]]:
    """Everything that reached `reader` before a marker that `speaker` sends to a topic that `reader` may read."""
    marker = uuid.uuid4().hex
    assert speaker.publish(marker_topic, marker) == "Success"
    deadline_s = time.monotonic() + WITHIN_S
    while (marker_topic, marker) not in reader.heard:
        assert time.monotonic() < deadline_s, "the marker did not come"
        time.sleep(0.005)
    return [each for each in reader.heard if each != (marker_topic, marker)]
