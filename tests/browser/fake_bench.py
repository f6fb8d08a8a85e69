"""A pole that only shows: lamps as told, the simulated street as its picture, presses and faults written down."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import structlog

from hw_sim.pole.bench_port import FaultSwitch, LogLine, TextMessage
from hw_sim.world.street import Street
from unitd.call.text.desk import TextDesk
from unitd.call.text.panel import PanelPort, Show, ShownLine

KILL = tuple((name, name) for name in ("core", "field", "record", "call", "sense"))


class FakeBench:
    unit_id = "pole-0001"
    site_name = "Market Square"

    def __init__(self) -> None:
        self.done: list[str] = []
        self.down = False
        self.lit = {"yellow": False, "green": False, "locator": True, "sounder": False}
        self.words: str | None = None
        self.lines: list[LogLine] = []
        self.messages: list[TextMessage] = []
        self._street = Street()
        self._faults = {
            switch.name: switch
            for switch in (
                FaultSwitch("camera", "Camera", (("unpowered", "no power"), ("frozen", "picture frozen")), "off",
                            "Noticed within 15 seconds, tried until it is back. The alarm is untouched."),
                FaultSwitch("link", "4G link", (("cut", "cut"), ("slow", "slow")), "off",
                            "Cut: a press waits on disk and goes out when the link is back. Slow: the voice stays."),
                FaultSwitch("disk", "Disk", (), "off", "Not here: this system refuses a disk of limited size."),
                FaultSwitch("kill", "Kill a process", KILL, "off", "It is back in about a second.", True),
            )
        }  # fmt: skip
        self.log("core", "armed", "info")

    def log(self, source: str, text: str, level: str) -> None:
        self.lines.append(LogLine(len(self.lines) + 1, time.time_ns() // 1000, source, text, level))

    def press(self) -> None:
        self.done.append("press")
        self.down = True
        self._street.set_caller(True)
        self.log("core", "latched (incident 3f9a2c)", "info")
        self.log("record", "camera dome does not answer", "warning")

    def release(self) -> None:
        self.done.append("release")
        self.down = False

    def pressed(self) -> bool:
        return self.down

    def outputs(self) -> Mapping[str, bool]:
        return self.lit

    def horn_words(self) -> str | None:
        return self.words

    def text_messages(self) -> Sequence[TextMessage]:
        return self.messages

    async def snapshot_jpeg(self, width: int) -> bytes:
        view = self._street.view(0, -8, 1.0, width, width * 9 // 16, time.monotonic_ns())
        return bytes(cv2.imencode(".jpg", view[:, :, ::-1])[1])

    def processes(self) -> Mapping[str, bool]:
        return {"core": True, "field": True, "record": False, "call": True, "sense": True}

    def faults(self) -> Sequence[FaultSwitch]:
        return list(self._faults.values())

    async def set_fault(self, name: str, value: str) -> None:
        switch = self._faults.get(name)
        if switch is None or value not in ("off", *(choice for choice, _ in switch.choices)):
            raise ValueError(f"no fault {name!r} with {value!r}")
        self.done.append(f"{name}={value}")
        if not switch.momentary:
            self._faults[name] = replace(switch, state=value)

    def log_after(self, number: int) -> Sequence[LogLine]:
        return self.lines[number:]


class FakePanel:
    """The daemon's end of the panel's display, with its own conversation and nothing behind it."""

    def __init__(self, path: Path) -> None:
        self.answers = ("Yes", "No", "I cannot speak", "Come quickly")
        self.told: list[str] = []
        self.desk = TextDesk(lambda _who, _by, words: self.told.append(words), lambda: self.port.show())
        self.port = PanelPort(path, structlog.get_logger(), self.desk.typed, self._quick, self._shown)

    def _quick(self, n: int) -> None:
        self.desk.answered(self.answers[n])

    def _shown(self) -> Show:
        lines = tuple(ShownLine(who=each.who, text=each.text, done=each.done, by=each.by) for each in self.desk.lines)
        open_answers = self.answers if self.desk.incident_id else ()
        return Show(
            incident=self.desk.incident_id,
            stage=self.desk.stage,
            lines=lines,
            quick_answers=open_answers,
            language="en",
        )


class FakeSound:
    """A horn that hums, and a street that keeps what is said into it."""

    def __init__(self) -> None:
        self.heard_bytes = 0

    async def horn_pcm(self) -> AsyncIterator[bytes]:
        frame = (6000 * np.sin(2 * np.pi * 400 * np.arange(960) / 48000)).astype("<i2").tobytes()
        while True:
            await asyncio.sleep(0.02)
            yield frame

    def write_caller_pcm(self, pcm: bytes) -> None:
        self.heard_bytes += len(pcm)
