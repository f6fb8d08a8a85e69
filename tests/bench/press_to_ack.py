"""From an accepted press to the broker's acknowledgement: core beside a bare script, press about with each other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from hw_sim.processes import bound_to_us
from tests.bench.figures import Row, median, percentile
from tests.bench.progress import Progress
from tests.system.core_alone import BUTTON, World, world
from unitd.messages import control_room as wire

PAIRS = 25
WARM_UP = 2
"""Pairs thrown away: first calls import and fill caches, on both sides."""
HELD_MS = 60.0
BARE_PIN = 27
BARE_UNIT = "pole-0002"
RATIO_CEILING = 2.0
EDGE_CEILING_MS = 15.0
WAIT_S = 10.0
QUIET_S = 0.1
"""The control room answers this long after the alarm, so that its work on the same machine does not count; the bare
script gets no answer at all."""


class Way(NamedTuple):
    """Milliseconds of one press through core."""

    edge_to_accepted: float
    accepted_to_ack: float


class BareScript:
    """The script as a process; `press` gives what it measured of one press."""

    def __init__(self, w: World, payload_bytes: int) -> None:
        own = w.pki.unit(BARE_UNIT)
        where = [str(BARE_PIN), str(w.broker.port), BARE_UNIT]
        files = [str(own.ca_file), str(own.cert_file), str(own.key_file)]
        command = [sys.executable, "-m", "tests.bench.bare_script", *where, *files, str(payload_bytes)]
        self._w, self._command = w, command

    async def press(self) -> float:
        """Milliseconds from gpiozero's word of the press to the acknowledgement."""
        self._w.gpio.press(BARE_PIN, HELD_MS)
        pressed_ns, acked_ns = (int(each) for each in (await self._line()).split())
        return (acked_ns - pressed_ns) / 1e6

    async def _line(self) -> str:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), WAIT_S)
        if not line:
            raise RuntimeError("the bare script has ended; its words are above")
        return line.decode().strip()

    async def __aenter__(self) -> BareScript:
        places = {"GPIOZERO_PIN_FACTORY": "hwsim", "HW_SIM_GPIO": str(self._w.gpio.path)}
        self._process = await asyncio.create_subprocess_exec(
            *bound_to_us(self._command),
            env={**os.environ, **places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        if await self._line() != "up":
            raise RuntimeError("the bare script did not say that it is up")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def press_core(w: World, number: int) -> Way:
    """One press of the unit's button, from the edge to the closed incident."""
    before = len(w.room.alarms)
    w.gpio.press(BUTTON, HELD_MS)
    await w.until("alarm", lambda: len(w.room.alarms) > before, WAIT_S)
    await asyncio.sleep(QUIET_S)
    alarm = w.room.alarms[-1]
    incident = alarm.incident_id
    w.room.send("received", wire.Received(press_ids=(alarm.press_id,)))
    w.command(wire.Close, number, incident_id=incident, outcome="test")
    await w.until("incident closed", lambda: "closed" in steps(w, incident), WAIT_S)
    at = steps(w, incident)
    return Way((at["pressed"] - at["edge"]) / 1e6, (at["broker_ack"] - at["pressed"]) / 1e6)


def steps(w: World, incident: str) -> dict[str, int]:
    """The chain of one incident in core's log: the first instant of each step."""
    found: dict[str, int] = {}
    for line in w.log():
        if line.get("event") == "chain" and line.get("incident") == incident:
            found.setdefault(line["step"], line["at_mono_ns"])
    return found


@contextlib.asynccontextmanager
async def core_alone() -> AsyncIterator[World]:
    """A core with a broker and nothing else, armed and connected. Its run_dir is on tmpfs, as in the field."""
    with contextlib.ExitStack() as directories:
        directory = Path(directories.enter_context(tempfile.TemporaryDirectory(prefix="bench-core-")))
        (directory / "run").symlink_to(
            directories.enter_context(tempfile.TemporaryDirectory(prefix="bench-core-", dir="/dev/shm"))
        )
        async with world(directory) as w:
            await w.start()
            await w.until("birth", lambda: any(state.online for state in w.room.states), WAIT_S)
            w.room.confirms = False
            yield w


async def measure(progress: Progress) -> list[Row]:
    """PAIRS presses of each, in turn; medians."""
    ours: list[Way] = []
    bare: list[float] = []
    async with core_alone() as w:
        await press_core(w, 1)
        payload_bytes = len(msgspec.json.encode(w.room.alarms[-1]))
        async with BareScript(w, payload_bytes) as script:
            for number in range(WARM_UP + PAIRS):
                ours.append(await press_core(w, number + 2))
                bare.append(await script.press())
                progress.step(f"press {number + 1} of {WARM_UP + PAIRS}")
    ours, bare = ours[WARM_UP:], bare[WARM_UP:]
    acks = [way.accepted_to_ack for way in ours]
    edges = [way.edge_to_accepted for way in ours]
    ratio = median(acks) / median(bare)
    note = f"core {median(acks):.2f} ms, bare script {median(bare):.2f} ms (medians of {PAIRS})"
    return [
        Row("accepted press to broker ack, times a bare script", ratio, "x", RATIO_CEILING, note),
        Row(
            "edge to accepted press",
            median(edges),
            "ms",
            EDGE_CEILING_MS,
            f"glitch filter; p95 {percentile(edges, 95):.1f} ms",
            1,
        ),
    ]
