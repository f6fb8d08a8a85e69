"""The broker that scenarios run against: certificates and topics are enforced by a real Mosquitto."""

from __future__ import annotations

import asyncio
import queue
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from hw_sim.control_room.broker import Broker
from hw_sim.pki import Credentials, Pki

pytestmark = pytest.mark.system


@contextmanager
def client(port: int, who: Credentials) -> Iterator[tuple[paho.Client, queue.Queue[tuple[str, str]]]]:
    got: queue.Queue[tuple[str, str]] = queue.Queue()
    mqtt = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    mqtt.tls_set(str(who.ca_file), str(who.cert_file), str(who.key_file))
    mqtt.on_connect = lambda *_: got.put(("connected", ""))
    mqtt.on_subscribe = lambda *_: got.put(("subscribed", ""))
    mqtt.on_publish = lambda _c, _u, _mid, reason, _p: got.put(("published", str(reason)))
    mqtt.on_message = lambda _c, _u, message: got.put((message.topic, message.payload.decode()))
    mqtt.connect("127.0.0.1", port)
    mqtt.loop_start()
    try:
        assert got.get(timeout=5)[0] == "connected"
        yield mqtt, got
    finally:
        mqtt.disconnect()
        mqtt.loop_stop()


def test_units_keep_to_their_topics_and_thieves_stay_out(tmp_path: Path) -> None:
    asyncio.run(_check(tmp_path))


async def _check(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    broker = Broker(tmp_path / "broker", pki.broker)
    await broker.start()
    try:
        await asyncio.to_thread(_units_keep_to_their_topics, pki, broker.port)
        port = broker.port
        await broker.kill()
        assert not broker.running
        await broker.start()
        assert broker.port == port
    finally:
        await broker.stop()
    assert not broker.running


def _units_keep_to_their_topics(pki: Pki, port: int) -> None:
    with client(port, pki.control_room) as (hub, heard), client(port, pki.unit("pole-1")) as (unit, got):
        hub.subscribe("hp/1/+/up/#", qos=1)
        assert heard.get(timeout=5)[0] == "subscribed"
        unit.subscribe("hp/1/pole-2/down/#", qos=1)
        assert got.get(timeout=5)[0] == "subscribed"
        unit.subscribe("hp/1/pole-1/down/#", qos=1)
        assert got.get(timeout=5)[0] == "subscribed"
        unit.publish("hp/1/pole-2/up/alarm", "forged", qos=1)
        assert got.get(timeout=5) == ("published", "Not authorized")
        unit.publish("hp/1/pole-1/up/alarm", "mine", qos=1)
        assert got.get(timeout=5) == ("published", "Success")
        assert heard.get(timeout=5) == ("hp/1/pole-1/up/alarm", "mine")
        hub.publish("hp/1/pole-2/down/received", "not for you", qos=1)
        hub.publish("hp/1/pole-1/down/received", "yours", qos=1)
        assert got.get(timeout=5) == ("hp/1/pole-1/down/received", "yours")
    thief = pki.thief("pole-1")
    context = ssl.create_default_context(cafile=str(thief.ca_file))
    context.load_cert_chain(str(thief.cert_file), str(thief.key_file))
    # In TLS 1.3 the client has finished before its certificate is looked at: the refusal comes with the read.
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        pytest.raises(ssl.SSLError, match="alert"),
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.recv(1)
