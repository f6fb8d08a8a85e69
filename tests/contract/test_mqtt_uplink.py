"""The uplink against brokers that misbehave, on the wire over mutual TLS."""

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hw_sim.pki import Pki
from unitd.config import BrokerTable, HeartbeatTable
from unitd.drivers.mqtt import ALARMS_UNACKED, DEAD_WAY_MS, ORDINARY_UNACKED, MqttUplink
from unitd.drivers.tls import client_context
from unitd.messages.control_room import Stamp
from unitd.ports import UplinkHandlers, Will

CONNACK_5 = bytes.fromhex("2003000000")
PUBACK_OF_SECOND_PACKET = bytes.fromhex("40020002")
CONNACK_3 = bytes.fromhex("20020000")
TOPIC = "hp/1/pole-0001/down/received"
Script = Callable[[int, int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def publish(topic: bytes, payload: bytes, retain: bool = False) -> bytes:
    """An MQTT 5 PUBLISH of QoS 0, shorter than 128 bytes."""
    body = len(topic).to_bytes(2, "big") + topic + b"\0" + payload
    return bytes([0x30 | retain, len(body)]) + body


class Far:
    """A broker in the hands of the test, and the uplink that it torments."""

    def __init__(self, directory: Path, script: Script) -> None:
        self._pki = Pki(directory)
        self._script = script
        self.levels: list[int] = []
        self.said: list[str] = []
        self.messages: list[bytes] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connect = await reader.readuntil(b"pole-0001")
            level = connect[connect.index(b"MQTT") + 4]
            self.levels.append(level)
            await self._script(len(self.levels), level, reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def run(self, test: Callable[[MqttUplink], Awaitable[None]]) -> None:
        own, theirs = self._pki.unit("pole-0001"), self._pki.broker
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(theirs.ca_file))
        context.load_cert_chain(theirs.cert_file, theirs.key_file)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        files = (str(own.ca_file), str(own.cert_file), str(own.key_file))
        uplink = MqttUplink(
            BrokerTable(name="far", host="127.0.0.1", port=server.sockets[0].getsockname()[1]),
            "pole-0001",
            "hp/1/pole-0001/down/#",
            lambda: Will("hp/1/pole-0001/up/state", b"{}"),
            lambda: client_context(*files, lambda: Stamp(utc_us=time.time_ns() // 1000, clock="synced", mono_ns=0)),
            UplinkHandlers(
                lambda _name: self.said.append("connected"),
                lambda _name, reason: self.said.append(reason),
                lambda _name, _topic, payload: self.messages.append(payload),
                lambda _name, token, _ns: self.said.append(f"acked {token}"),
            ),
        )
        running = asyncio.create_task(uplink.run())
        try:
            await test(uplink)
        finally:
            running.cancel()
            server.close()

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        deadline_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.01)


async def stay(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


async def says_nothing_more(
    _number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """A broker that takes the connection and then only listens."""
    writer.write(CONNACK_5)
    await stay(reader)


def test_a_broker_that_talks_nonsense_is_connected_again(tmp_path: Path) -> None:
    """The library's thread dies of a topic that is no UTF-8; the uplink does not stay dead with it."""

    at_s: list[float] = []

    async def script(number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_s.append(time.monotonic())
        writer.write(CONNACK_5 + (publish(b"\xff\xfe", b"") if number < 3 else publish(TOPIC.encode(), b"well")))
        await stay(reader)

    far = Far(tmp_path, script)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: far.messages == [b"well"])
        assert uplink.connected
        assert at_s[1] - at_s[0] > 1.0, "dialled without a pause"

    asyncio.run(far.run(test))


def test_what_a_broker_retained_is_not_taken_for_news(tmp_path: Path) -> None:
    """A dead control room's `received` must not light the locator."""

    async def script(_number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK_5 + publish(TOPIC.encode(), b"old", retain=True) + publish(TOPIC.encode(), b"new"))
        await stay(reader)

    far = Far(tmp_path, script)

    async def test(_uplink: MqttUplink) -> None:
        await far.until(lambda: bool(far.messages))
        assert far.messages == [b"new"]

    asyncio.run(far.run(test))


def test_an_old_broker_that_only_hangs_up_is_spoken_to_in_its_version(tmp_path: Path) -> None:
    async def script(_number: int, level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if level == 4:
            writer.write(CONNACK_3)
            await stay(reader)

    far = Far(tmp_path, script)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        assert far.levels[-1] == 4

    asyncio.run(far.run(test))


def test_a_flood_hides_no_loss_and_no_connection(tmp_path: Path) -> None:
    async def script(number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK_5)
        if number == 1:
            writer.write(publish(TOPIC.encode(), b"flood") * 20_000)
            await writer.drain()
            return
        await stay(reader)

    far = Far(tmp_path, script)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        time.sleep(0.5)  # noqa: ASYNC251 - a loop that is busy while the flood comes in
        await far.until(lambda: far.said.count("connected") == 2)
        assert uplink.connected
        assert uplink.dropped

    asyncio.run(far.run(test))


def test_an_alarm_goes_before_what_a_slow_broker_still_owes(tmp_path: Path) -> None:
    """Events and replies fill half the window at most."""

    far = Far(tmp_path, says_nothing_more)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        taken = [uplink.publish("hp/1/pole-0001/up/event", b"{}", qos=1) for _ in range(300)]
        assert taken.count(True) == ORDINARY_UNACKED
        assert uplink.publish("hp/1/pole-0001/up/alarm", b"{}", qos=1, token="p")

    asyncio.run(far.run(test))


def test_alarms_without_an_answer_keep_no_reply_back(tmp_path: Path) -> None:
    """In a storm the operator who closes what was resolved hears that it is closed."""

    far = Far(tmp_path, says_nothing_more)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        alarms = [uplink.publish("hp/1/pole-0001/up/alarm", b"{}", qos=1, token=f"p{n}") for n in range(300)]
        assert alarms.count(True) == ALARMS_UNACKED
        replies = [uplink.publish("hp/1/pole-0001/up/reply", b"{}", qos=1) for _ in range(300)]
        assert replies.count(True) == ORDINARY_UNACKED

    asyncio.run(far.run(test))


def test_an_acknowledgement_of_before_is_not_taken_for_that_of_a_later_message(tmp_path: Path) -> None:
    """The library sends again what an earlier connection left open; its number comes round again."""

    async def script(number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK_5)
        if number == 1:
            await reader.readuntil(b"first")
            return
        await reader.readuntil(b"first")
        writer.write(PUBACK_OF_SECOND_PACKET)
        await stay(reader)

    far = Far(tmp_path, script)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        assert uplink.publish("hp/1/pole-0001/up/alarm", b"first", qos=1, token="first")
        client = uplink._client
        assert client is not None
        (mid,) = client._out_messages
        assert mid == 2
        await far.until(lambda: far.said.count("connected") == 2)
        await far.until(lambda: not client._out_messages)
        client._last_mid = mid - 1
        assert uplink.publish("hp/1/pole-0001/up/alarm", b"second", qos=1, token="second")
        assert list(client._out_messages) == [mid]
        await asyncio.sleep(0)
        assert "acked second" not in far.said

    asyncio.run(far.run(test))


def test_a_still_of_a_lost_connection_stands_before_no_alarm_of_the_next(tmp_path: Path) -> None:
    """paho alone would send all of it again before anything new: 54 kB are 7 s of a slow link."""
    heard: dict[int, bytes] = {}

    async def script(number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK_5)
        heard[number] = b""
        while b"end" not in heard[number]:
            chunk = await reader.read(4096)
            if not chunk:
                return
            heard[number] += chunk
        if number > 1:
            await stay(reader)

    far = Far(tmp_path, script)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        uplink.publish("up/still", b"s" * 54_000, qos=1, token="still 1")
        uplink.publish("up/alarm", b"an alarm", qos=1, token="press 1")
        uplink.publish("up/event", b"end", qos=1)
        await far.until(lambda: 2 in heard and b"end" in heard[2], within_s=20.0)
        assert b"ssss" in heard[1] and b"ssss" not in heard[2]
        assert b"an alarm" in heard[2]
        assert uplink.publish("up/still", b"s" * 54_000, qos=1, token="still 1"), "its desk sends it when it may"

    asyncio.run(far.run(test))


def test_a_second_client_of_the_same_id_makes_the_pauses_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection costs a handshake over 4G; turned out each second, an idle unit would use 400 MB a day."""
    monkeypatch.setattr(random, "random", lambda: 0.5)  # the spread of the pauses is not what is looked at
    at_s: list[float] = []

    async def script(_number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_s.append(time.monotonic())
        writer.write(CONNACK_5)
        await reader.read(1)
        writer.write(bytes.fromhex("e0018e"))  # session taken over
        await writer.drain()

    far = Far(tmp_path, script)

    async def test(_uplink: MqttUplink) -> None:
        await far.until(lambda: len(at_s) == 3)
        assert at_s[2] - at_s[1] > 1.8

    asyncio.run(far.run(test))


def test_a_message_leaves_without_the_librarys_thread(tmp_path: Path) -> None:
    """It is written by the caller: paho's thread, which sleeps for a second at a time, is not woken here."""
    got: list[tuple[float, bytes]] = []

    async def script(_number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK_5)
        while data := await reader.read(4096):
            got.append((time.monotonic(), data))

    far = Far(tmp_path, script)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected and bool(got))  # its subscription has come
        client = uplink._client
        assert client is not None
        waker, client._sockpairW = client._sockpairW, None
        for number in range(5):
            got.clear()
            at_s = time.monotonic()
            assert uplink.publish("hp/1/pole-0001/up/alarm", f"alarm {number}".encode(), qos=1, token="press")
            await far.until(lambda: bool(got))
            assert got[0][0] - at_s < 0.15
            assert got[0][1].endswith(f"alarm {number}".encode())
        assert waker is not None and waker.fileno() >= 0  # closed, it would wake the thread for good

    asyncio.run(far.run(test))


def test_what_the_kernel_does_not_take_follows_in_order(tmp_path: Path) -> None:
    """A link that stands still for a while: nothing blocks, nothing is torn, nothing overtakes."""
    reading = asyncio.Event()
    got = bytearray()

    async def script(_number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK_5)
        await reading.wait()
        while data := await reader.read(65536):
            got.extend(data)

    far = Far(tmp_path, script)
    bodies = [f"begin{number:05d}".encode() + bytes(60_000) + f"end{number:05d}".encode() for number in range(300)]

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        slowest_s = 0.0
        for body in bodies:
            began_s = time.monotonic()
            assert uplink.publish("hp/1/pole-0001/up/beat", body, qos=0)
            slowest_s = max(slowest_s, time.monotonic() - began_s)
        assert slowest_s < 0.5
        reading.set()
        await far.until(lambda: got.endswith(bodies[-1]), 20.0)
        at = 0
        for body in bodies:
            at = got.find(body, at)
            assert at >= 0
            at += len(body)

    asyncio.run(far.run(test))


def test_a_way_that_swallows_what_is_sent_is_given_up_by_the_kernel(tmp_path: Path) -> None:
    """Neither a ping nor the keep-alive finds it soon enough: TCP itself is told how long it may wait."""

    far = Far(tmp_path, says_nothing_more)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        assert uplink._client is not None
        opened = uplink._client.socket()
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == DEAD_WAY_MS
        assert DEAD_WAY_MS / 1000 + HeartbeatTable().period_s < HeartbeatTable().silent_after_s
        # where something on the way acknowledges for the broker: a ping after one keep-alive, given up after two
        assert 2 * BrokerTable(name="a", host="a").keepalive_s + 5 < HeartbeatTable().silent_after_s

    asyncio.run(far.run(test))


def test_no_ping_goes_out_in_the_midst_of_heartbeats(tmp_path: Path) -> None:
    """Each ping is 0.1 MB a day at IP level; what is said both ways takes its place."""
    got = bytearray()
    word = len(TOPIC).to_bytes(2, "big") + TOPIC.encode() + b"\x00{}"

    async def script(_number: int, _level: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK_5)
        while data := await reader.read(4096):
            got.extend(data)
            if b"beat" in data:
                writer.write(b"\x30" + bytes([len(word)]) + word)

    far = Far(tmp_path, script)

    async def test(uplink: MqttUplink) -> None:
        await far.until(lambda: uplink.connected)
        assert uplink._client is not None
        uplink._client._keepalive = 1
        end_s = time.monotonic() + 3.5
        while time.monotonic() < end_s:
            uplink.publish("hp/1/pole-0001/up/beat", b"{}", qos=0)
            await asyncio.sleep(0.2)
        assert b"\xc0\x00" not in got

    asyncio.run(far.run(test))
