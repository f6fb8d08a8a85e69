"""From an accepted press to the broker's acknowledgement: core beside a bare script, press about with each other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
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

PAIRS = 300
WARM_UP = 5
"""Pairs thrown away: first calls import and fill caches, on both sides."""
HELD_MS = 30.0
BARE_PIN = 27
BARE_UNIT = "pole-0002"
RATIO_CEILINGS = {50: 1.3, 99: 2.0}
"""By percentile."""
EDGE_CEILING_MS = 15.0
WAIT_S = 10.0
QUIET_S = 0.05
"""The control room answers this long after the alarm, so that its work on the same machine does not count; the bare
script gets no answer at all. As long is waited between the two, so that neither meets what the other left to do."""
POST_ROLL_S = 0.02


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
        async with asyncio.timeout(WAIT_S):
            line = await self._process.stdout.readline()
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


class Chain:
    """Core's log as it grows: by incident, the first instant of each step."""

    def __init__(self, w: World) -> None:
        self._file = (w.directory / "core-1.log").open("rb")
        self._rest = b""
        self._steps: dict[str, dict[str, int]] = {}

    def of(self, incident: str) -> dict[str, int]:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for text in lines:
            if b'"chain"' in text:
                line = json.loads(text)
                self._steps.setdefault(line["incident"], {}).setdefault(line["step"], line["at_mono_ns"])
        return self._steps.get(incident, {})

    def close(self) -> None:
        self._file.close()


async def press_core(w: World, chain: Chain, number: int) -> Way:
    """One press of the unit's button, from the edge to the closed incident."""
    before = len(w.room.alarms)
    w.gpio.press(BUTTON, HELD_MS)
    await w.until("alarm", lambda: len(w.room.alarms) > before, WAIT_S)
    await asyncio.sleep(QUIET_S)
    alarm = w.room.alarms[-1]
    incident = alarm.incident_id
    w.room.send("received", wire.Received(press_ids=(alarm.press_id,)))
    w.command(wire.Close, number, incident_id=incident, outcome="test")
    await w.until("incident closed", lambda: "closed" in chain.of(incident), WAIT_S)
    at = chain.of(incident)
    return Way((at["pressed"] - at["edge"]) / 1e6, (at["broker_ack"] - at["pressed"]) / 1e6)


@contextlib.asynccontextmanager
async def core_alone() -> AsyncIterator[World]:
    """A core with a broker and nothing else, armed and connected. Its run_dir is on tmpfs, as in the field."""
    with contextlib.ExitStack() as directories:
        directory = Path(directories.enter_context(tempfile.TemporaryDirectory(prefix="bench-core-")))
        (directory / "run").symlink_to(
            directories.enter_context(tempfile.TemporaryDirectory(prefix="bench-core-", dir="/dev/shm"))
        )
        async with world(directory) as w:
            text = w.config.read_text()
            w.config.write_text(re.sub(r"post_roll_s = [0-9.]+", f"post_roll_s = {POST_ROLL_S}", text))
            await w.start()
            await w.until("birth", lambda: any(state.online for state in w.room.states), WAIT_S)
            w.room.confirms = False
            yield w


async def measure(progress: Progress) -> list[Row]:
    """PAIRS presses of each, in turn."""
    ours: list[Way] = []
    bare: list[float] = []
    async with core_alone() as w:
        with contextlib.closing(Chain(w)) as chain:
            await press_core(w, chain, 1)
            payload_bytes = len(msgspec.json.encode(w.room.alarms[-1]))
            async with BareScript(w, payload_bytes) as script:
                for number in range(WARM_UP + PAIRS):
                    ours.append(await press_core(w, chain, number + 2))
                    await asyncio.sleep(QUIET_S)
                    bare.append(await script.press())
                    await asyncio.sleep(QUIET_S)
                    progress.step(f"press {number + 1} of {WARM_UP + PAIRS}")
    ours, bare = ours[WARM_UP:], bare[WARM_UP:]
    acks = [way.accepted_to_ack for way in ours]
    edges = [way.edge_to_accepted for way in ours]
    rows = []
    for percent, ceiling in RATIO_CEILINGS.items():
        core_ms, bare_ms = percentile(acks, percent), percentile(bare, percent)
        rows.append(
            Row(
                f"accepted press to broker ack, times a bare script, p{percent}",
                core_ms / bare_ms,
                "x",
                ceiling,
                f"core {core_ms:.2f} ms, bare script {bare_ms:.2f} ms, of {PAIRS} presses each",
            )
        )
    edge_note = f"glitch filter; p95 {percentile(edges, 95):.1f} ms"
    return [*rows, Row("edge to accepted press", median(edges), "ms", EDGE_CEILING_MS, edge_note, 1)]
