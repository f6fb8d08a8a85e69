"""One case, from the press to the last second: what was seen, heard and sent, as it was."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.live import speech
from tests.live.cases import Case
from tests.live.world import World, world

FIRST_PICTURE_S = 20.0
LOOK_S = 0.5
SETTLE_S = 1.5
"""A unit has been up for long when somebody presses: `call` has loaded what it needs."""
Tell = Callable[[str], None]


async def play(
    case: Case, seconds: float, seed: int, directory: Path, tell: Tell, *, controller: bool = True
) -> dict[str, Any]:
    """All that there is to say of the case; times are CLOCK_MONOTONIC in seconds (`*_ms`: milliseconds). The recorded
    voices are in `heard.wav` (at the operator's) and `horn.wav`."""
    tell("starting")
    async with world(directory, case.moments[0], seed, controller=controller) as made:
        witness = _Witness(made)
        horn = asyncio.create_task(witness.record_horn())
        try:
            await made.page.evaluate("probe.openVoices()")
            await asyncio.sleep(SETTLE_S)
            press_s = made.want(microphone=True, voices=True)
            tell("the press")
            from_s = await _first_picture(witness, press_s)
            cpu_s = made.cpu_s()
            await _follow(case, seconds, from_s, made, witness, tell)
            counts = await made.counts()
            await witness.look()
            used_s, peak_mb = made.cpu_s() - cpu_s, made.peak_mb()
        finally:
            horn.cancel()
            await asyncio.gather(horn, return_exceptions=True)
        speech.write(directory / "heard.wav", witness.heard())
        speech.write(directory / "horn.wav", witness.horn())
        return {
            "case": case.name,
            "seconds": seconds,
            "press_s": press_s,
            "from_s": from_s,
            "frames": witness.frames,
            "stills": witness.stills,
            "messages": witness.messages,
            "stats": witness.stats,
            "phases": witness.phases,
            "heard_from_s": witness.heard_from_s,
            "horn_from_s": witness.horn_from_s,
            "link": counts,
            "steps": made.steps(),
            "events": made.core.names(),
            "cpu_s": used_s,
            "peak_mb": peak_mb,
        }


class _Witness:
    """Gathers what the page and the horn give."""

    def __init__(self, made: World) -> None:
        self._made = made
        self.frames: list[tuple[float, int | None, int]] = []
        self.stills: list[tuple[float, int | None, int]] = []
        self.messages: list[tuple[float, dict[str, Any]]] = []
        self.stats: list[tuple[float, list[dict[str, Any]]]] = []
        self.phases: list[tuple[float, str]] = []
        self.heard_from_s: float | None = None
        self.horn_from_s: float | None = None
        self._heard: list[bytes] = []
        self._horn: list[bytes] = []

    async def look(self) -> None:
        taken = await self._made.take()

        def when_s(page_ms: float) -> float:
            return self._made.mono_ms(page_ms) / 1000

        self.frames += [(when_s(at), code, width) for at, code, width in taken["frames"]]
        self.stills += [(when_s(at), code, size) for at, code, size in taken["stills"]]
        self.messages += [(when_s(at), message) for at, message in taken["messages"]]
        self.stats += [(when_s(at), stats) for at, stats in taken["stats"]]
        self.phases += [(when_s(at), phase) for at, phase in taken["phases"]]
        if taken["pcm_from_ms"] is not None:
            self.heard_from_s = when_s(taken["pcm_from_ms"])
        self._heard.append(base64.b64decode(taken["pcm"]))

    async def record_horn(self) -> None:
        async for frame in self._made.sound.horn_pcm():
            self.horn_from_s = self.horn_from_s or time.monotonic()
            self._horn.append(frame)

    def heard(self) -> speech.I16:
        return np.frombuffer(b"".join(self._heard), np.int16)

    def horn(self) -> speech.I16:
        return np.frombuffer(b"".join(self._horn), np.int16)


async def _first_picture(witness: _Witness, press_s: float) -> float:
    """When the first picture was shown; FIRST_PICTURE_S after the press when there was none."""
    while time.monotonic() - press_s < FIRST_PICTURE_S:
        await asyncio.sleep(0.1)
        await witness.look()
        shown = [at_s for at_s, *_ in (*witness.frames, *witness.stills) if at_s > press_s]
        if shown:
            return min(shown)
    return press_s + FIRST_PICTURE_S


async def _follow(case: Case, seconds: float, from_s: float, made: World, witness: _Witness, tell: Tell) -> None:
    """The case's moments as they come, and a look every LOOK_S."""
    waiting = list(case.moments[1:])
    while (at_s := time.monotonic() - from_s) < seconds:
        while waiting and waiting[0].at_s <= at_s:
            await made.obey(waiting.pop(0))
        link = made.core.health.facts.get("link")
        tell(f"{at_s:3.0f} of {seconds:.0f} s, {len(witness.frames)} pictures shown, {link}")
        await witness.look()
        next_s = min([LOOK_S, *(max(0.0, each.at_s - at_s) for each in waiting[:1])])
        await asyncio.sleep(next_s)
