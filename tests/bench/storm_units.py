"""Many units in one process, each with its own certificate and connection, saying what a real unit says.

    python3 -m tests.bench.storm_units PORT PKI_DIRECTORY FIRST COUNT SEED

Only the way to the control room is real: mutual TLS, MQTT 5, the structs of `unitd.messages`, the alarm repeated by the
product's timetable until `received`, the pauses before a new connection, one incident with its events and states. There
is no button, disk or worker. Told by lines on stdin, it tells by JSON lines on stdout:

    press MONO_S    every unit is pressed once within the second that begins then -> {"received": [seconds], ...}
    again MONO_S    the broker died and listens again since then -> {"connected": [seconds], ...} when all are heard
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import struct
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hw_sim.pki import Credentials
from unitd.messages import control_room as wire
from unitd.model.timetable import redial_s, resend_after_ns

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE = 1, 2, 3, 4, 8
CONNECTING_AT_ONCE = 20
SETTLE_S = 0.3
"""As the product: changes of the state within this time are told together."""
KEEPALIVE_S = 60
SITE = wire.Site(name="High Street", address="1 High Street", latitude=53.1, longitude=-1.25, approach="by the bank")


def text(words: str | bytes) -> bytes:
    raw = words.encode() if isinstance(words, str) else words
    return struct.pack(">H", len(raw)) + raw


def packet(kind: int, flags: int, body: bytes) -> bytes:
    length, out = len(body), bytearray([kind << 4 | flags])
    while True:
        length, low = divmod(length, 128)
        out.append(low | (128 if length else 0))
        if not length:
            return bytes(out) + body


class StormUnit(asyncio.Protocol):
    """One unit. All of it on the loop."""

    def __init__(self, port: int, files: Credentials, name: str, chance: random.Random) -> None:
        self._port, self.name, self._chance = port, name, chance
        self._context = ssl.create_default_context(cafile=str(files.ca_file))
        self._context.load_cert_chain(files.cert_file, files.key_file)
        self._transport: asyncio.Transport | None = None
        self._got = bytearray()
        self._mid = 0
        self._alarm: wire.Alarm | None = None
        self.pressed_s = 0.0
        self.received_s = 0.0
        self.sent = 0
        self.connected_s = 0.0
        self.heard_s = 0.0
        self.tries = 0

    # --- connection -------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """One try; raises OSError."""
        self.tries += 1
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30.0):
            await loop.create_connection(lambda: self, "127.0.0.1", self._port, ssl=self._context)

    async def connect_for_ever(self) -> None:
        pause_s, longest_s = redial_s(0, self._chance.random())
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)
            try:
                return await self.connect()
            except (OSError, TimeoutError):
                continue

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._got = transport, bytearray()
        will = msgspec.json.encode(wire.State(unit=self.name, online=False, session=1))
        head = text(b"MQTT") + bytes([5, 0x2E]) + struct.pack(">H", KEEPALIVE_S) + b"\0" + text(self.name)
        topic = wire.topic(self.name, "up", "state")
        self._write(packet(CONNECT, 0, head + b"\0" + text(topic) + text(will)))

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport, self.connected_s, self.heard_s = None, 0.0, 0.0
        keep(asyncio.get_running_loop().create_task(self.connect_for_ever()))

    def data_received(self, data: bytes) -> None:
        got = self._got
        got += data
        while len(got) >= 2:
            length, at, shift = 0, 1, 0
            while True:
                if at >= len(got):
                    return
                length |= (got[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if not got[at - 1] & 128:
                    break
            if len(got) < at + length:
                return
            self._packet(got[0], bytes(got[at : at + length]))
            del got[: at + length]

    def _packet(self, head: int, body: bytes) -> None:
        if head >> 4 == CONNACK:
            self.connected_s = time.monotonic()
            topic = text(wire.topic(self.name, "down", "#"))
            self._write(packet(SUBSCRIBE, 2, self._next_mid() + b"\0" + topic + b"\1"))
            self._state()
            self._send_alarm()
        elif head >> 4 == PUBLISH:
            at = 2 + struct.unpack_from(">H", body)[0]
            if head & 6:
                self._write(packet(PUBACK, 0, body[at : at + 2]))
                at += 2
            at += 1 + body[at]  # properties: fewer than 128 bytes here
            self._received(msgspec.json.decode(body[at:], type=wire.Received))

    # --- the unit ---------------------------------------------------------------------------------------------------

    def press(self) -> None:
        now_ns = time.monotonic_ns()
        stamp = wire.Stamp(utc_us=time.time_ns() // 1000, clock="synced", mono_ns=now_ns)
        incident = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        self._alarm = wire.Alarm(
            press_id=str(uuid.UUID(int=self._chance.getrandbits(128), version=4)),
            incident_id=incident, kind="panic", unit=self.name, session=1, site=SITE, pressed=stamp, sent=stamp,
            presses=1, attempt=0, code=incident[:6].upper(),
        )  # fmt: skip
        self._send_alarm()
        self._event("incident_raised", {"kind": "panic", "presses": 1})
        self._event("pressed", {"press": self._alarm.press_id})
        asyncio.get_running_loop().call_later(SETTLE_S, self._state)

    def _send_alarm(self) -> None:
        """Now, if it waits and there is a way, and again by the timetable until it is received."""
        if self._alarm is None or self.received_s:
            return
        self._alarm = msgspec.structs.replace(self._alarm, attempt=self._alarm.attempt + 1)
        self.sent += 1
        self._publish("alarm", self._alarm)
        pause_s = resend_after_ns(self._alarm.attempt) / 1e9
        asyncio.get_running_loop().call_later(pause_s, self._send_alarm)

    def _received(self, received: wire.Received) -> None:
        now_s = time.monotonic()
        self.heard_s = self.heard_s or now_s
        if self._alarm is not None and self._alarm.press_id in received.press_ids and not self.received_s:
            self.received_s = now_s
            self._event("incident_received", {"kind": "panic", "presses": 1})
            asyncio.get_running_loop().call_later(SETTLE_S, self._state)

    def _event(self, name: str, data: dict[str, Any]) -> None:
        assert self._alarm is not None
        event = wire.Event(name=name, at=self._alarm.pressed, session=1, incident_id=self._alarm.incident_id, data=data)
        self._publish("event", event)

    def _state(self) -> None:
        listed: tuple[wire.OpenIncident, ...] = ()
        if self._alarm is not None:
            a = self._alarm
            stage: wire.Stage = "received" if self.received_s else "sent"
            listed = (
                wire.OpenIncident(incident_id=a.incident_id, kind=a.kind, stage=stage, raised=a.pressed, presses=1),
            )
        state = wire.State(
            unit=self.name, online=True, session=1, armed=True, clock="synced", site=SITE, open_incidents=listed,
            uptime_ms=time.monotonic_ns() // 1_000_000, facts={"record": {"dome.fps": 20.0, "ring.used_percent": 1.0}},
        )  # fmt: skip
        self._publish("state", state, retain=1)

    def _publish(self, what: str, message: msgspec.Struct, retain: int = 0) -> None:
        if self.connected_s:
            topic = text(wire.topic(self.name, "up", what))
            body = topic + self._next_mid() + b"\0" + msgspec.json.encode(message)
            self._write(packet(PUBLISH, 2 | retain, body))

    def _next_mid(self) -> bytes:
        self._mid = self._mid % 65_535 + 1
        return struct.pack(">H", self._mid)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


_tasks: set[asyncio.Task[Any]] = set()


def keep(task: asyncio.Task[Any]) -> None:
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def all_of(units: list[StormUnit], good: Callable[[StormUnit], object]) -> None:
    while not all(good(each) for each in units):  # noqa: ASYNC110 - an event of each unit would cost the storm more
        await asyncio.sleep(0.02)


async def press_all(units: list[StormUnit], at_s: float, chance: random.Random) -> None:
    loop = asyncio.get_running_loop()
    for unit in units:
        unit.pressed_s = at_s + chance.random()
        loop.call_at(loop.time() + unit.pressed_s - time.monotonic(), unit.press)
    await all_of(units, lambda unit: unit.received_s)
    say(received=[unit.received_s - unit.pressed_s for unit in units], sent=sum(unit.sent for unit in units))


async def back(units: list[StormUnit], since_s: float) -> None:
    for unit in units:
        unit.tries = 0
    await all_of(units, lambda unit: unit.connected_s > since_s and unit.heard_s > since_s)
    say(
        connected=[unit.connected_s - since_s for unit in units],
        heard=[unit.heard_s - since_s for unit in units],
        tries=sum(unit.tries for unit in units),
    )


async def main(port: int, pki: Path, first: int, count: int, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"pole-{number:04d}" for number in range(first, first + count)]
    files = [Credentials(pki / "ca.pem", pki / f"unit-{name}.pem", pki / f"unit-{name}.key") for name in names]
    units = [StormUnit(port, own, name, random.Random(chance.random())) for own, name in zip(files, names, strict=True)]
    lines: asyncio.Queue[list[str]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.split())

    threading.Thread(target=listen, daemon=True).start()
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def first_time(unit: StormUnit) -> None:
        async with gate:
            await unit.connect()

    await asyncio.gather(*(first_time(unit) for unit in units))
    await all_of(units, lambda unit: unit.heard_s)
    say(up=len(units))
    while True:
        what, at = await lines.get()
        if what == "press":
            await press_all(units, float(at), chance)
        else:
            await back(units, float(at))


if __name__ == "__main__":
    _port, _pki, _first, _count, _seed = sys.argv[1:]
    asyncio.run(main(int(_port), Path(_pki), int(_first), int(_count), int(_seed)))
