"""Core as the only process of the unit, with real pins on a bench, a real broker and a control room's own client."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from hw_sim.control_room.broker import Broker
from hw_sim.devices.gpio_bench import GpioBench
from hw_sim.pki import Pki
from unitd.drivers.tls import client_context
from unitd.messages import control_room as wire

UNIT = "pole-0001"
BUTTON, YELLOW, GREEN, LOCATOR = 17, 22, 23, 24


class Room:
    """The control room's system in twenty lines: remembers what came up, answers `received` when told to."""

    def __init__(self, pki: Pki, port: int) -> None:
        self.alarms: list[wire.Alarm] = []
        self.states: list[wire.State] = []
        self.events: list[wire.Event] = []
        self.replies: list[wire.Reply] = []
        self.confirms = True
        self.alarm_at_s = 0.0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="control-room", protocol=MQTTProtocolVersion.MQTTv5
        )
        paths = pki.control_room
        self._client.tls_set_context(
            client_context(
                str(paths.ca_file),
                str(paths.cert_file),
                str(paths.key_file),
                lambda: wire.Stamp(utc_us=time.time_ns() // 1000, clock="synced", mono_ns=0),
            )
        )
        self._client.on_connect = lambda client, *_: client.subscribe("hp/1/+/up/#", qos=1)
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _message(self, _client: Any, _data: Any, message: Any) -> None:
        kind = message.topic.rsplit("/", 1)[1]
        if kind == "alarm":
            alarm = msgspec.json.decode(message.payload, type=wire.Alarm)
            self.alarms.append(alarm)
            self.alarm_at_s = time.monotonic()
            if self.confirms:
                self.send("received", wire.Received(press_ids=(alarm.press_id,)))
        elif kind == "state":
            self.states.append(msgspec.json.decode(message.payload, type=wire.State))
        elif kind == "event":
            self.events.append(msgspec.json.decode(message.payload, type=wire.Event))
        elif kind == "reply":
            self.replies.append(msgspec.json.decode(message.payload, type=wire.Reply))

    def send(self, topic: str, message: msgspec.Struct | bytes) -> None:
        payload = message if isinstance(message, bytes) else msgspec.json.encode(message)
        self._client.publish(wire.topic(UNIT, "down", topic), payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class World:
    """One core in `directory`; `until` waits for a condition with a deadline."""

    def __init__(self, directory: Path, pki: Pki, broker: Broker, gpio: GpioBench, room: Room) -> None:
        self.directory, self.pki, self.broker, self.gpio, self.room = directory, pki, broker, gpio, room
        self.process: subprocess.Popen[bytes] | None = None
        self.config = directory / "unit.toml"
        self._starts = 0

    def write_config(self, extra: str = "") -> None:
        own = self.pki.unit(UNIT)
        d = self.directory
        self.config.write_text(
            f'schema = 1\n[paths]\nstate_dir = "{d}/state"\nrun_dir = "{d}/run"\nevidence_dir = "{d}/evidence"\n'
            f'[clock]\nsynchronized_file = "{d}/synchronized"\n[incident]\npost_roll_s = 0.5\n{extra}\n'
            f'[[brokers]]\nname = "main"\nhost = "127.0.0.1"\nport = {self.broker.port}\n'
            f'ca_file = "{own.ca_file}"\ncert_file = "{own.cert_file}"\nkey_file = "{own.key_file}"\n'
        )

    async def start(self, armed: bool = True) -> None:
        environment = {
            **os.environ,
            "GPIOZERO_PIN_FACTORY": "hwsim",
            "HW_SIM_GPIO": str(self.directory / "gpio.sock"),
        }
        self._starts += 1
        with (self.directory / f"core-{self._starts}.log").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - returns within a millisecond
                [sys.executable, "-m", "unitd", "core", "--config", str(self.config)],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if armed:
            await asyncio.to_thread(self.gpio.wait_held, BUTTON, 15.0)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(10.0)

    def seconds_since_alarm(self) -> float:
        return time.monotonic() - self.room.alarm_at_s

    def log(self) -> list[dict[str, Any]]:
        lines = (self.directory / f"core-{self._starts}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def until(self, what: str, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline_s:
                raise AssertionError(f"not within {timeout_s:g} s: {what}")
            await asyncio.sleep(0.01)

    async def shown(self, pin: int, wanted: str, timeout_s: float = 5.0) -> None:
        await self.until(f"pin {pin} {wanted}", lambda: self.gpio.shown(pin) == wanted, timeout_s)

    def command(self, cls: type[wire.Command], seq: int, role: str = "operator", **fields: Any) -> None:
        session = fields.pop("session", self.room.states[-1].session)
        fields.setdefault("not_after_uptime_ms", time.monotonic_ns() // 1_000_000 + 10_000)
        self.room.send(f"{role}/cmd", cls(session=session, seq=seq, by="Ann", **fields))


@contextlib.asynccontextmanager
async def world(directory: Path, extra: str = "") -> AsyncIterator[World]:
    """Everything but core, up; core is started by the test. All of it is gone at the end."""
    pki = Pki(directory / "pki")
    broker = Broker(directory / "broker", pki.broker)
    await broker.start()
    gpio = GpioBench(directory / "gpio.sock").start()
    room = Room(pki, broker.port)
    built = World(directory, pki, broker, gpio, room)
    built.write_config(extra)
    try:
        yield built
    finally:
        if built.process is not None and built.process.poll() is None:
            built.process.kill()
            built.process.wait(5.0)
        room.close()
        built.gpio.close()
        await broker.stop()
