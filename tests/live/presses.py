"""From the press to the first picture, again and again, over a link of 100 ms round trip.

A press is core's word to `call` on their socket; what core itself needs from the edge on (some 10 ms) is measured by
`python -m tests.bench --only ack`. The picture is there when Chromium has shown it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from tests.bench.figures import percentile
from tests.live.play import Tell
from tests.live.shape import Shape, both
from tests.live.world import World, world
from tests.system.call_rig import INCIDENT, until
from unitd.messages.workers import CallWanted

LINK = Shape(kbit_s=10_000, delay_ms=50)
PICTURE_WITHIN_S = 15.0
PAUSE_S = 1.5
CEILING_S = 1.0


async def presses(count: int, directory: Path, tell: Tell) -> dict[str, Any]:
    """The figures of `count` presses, in seconds; the link to the control room stands open between them."""
    async with world(directory, both(0, LINK), seed=1, standing=True) as made:
        await asyncio.sleep(PAUSE_S)
        taken: list[float] = []
        stills: list[float] = []
        for number in range(count):
            tell(f"press {number + 1} of {count}" + (f", the last {taken[-1]:.2f} s" if taken else ""))
            picture_s, still_s = await _press(made, number)
            taken.append(picture_s)
            stills += [] if still_s is None else [still_s]
    return {
        "title": "press to first picture, 100 ms round trip",
        "presses": count,
        "p50_s": percentile(taken, 50),
        "p95_s": percentile(taken, 95),
        "slowest_s": max(taken),
        "still_p50_s": percentile(stills, 50) if stills else None,
        "each_s": [round(each, 3) for each in taken],
    }


async def _press(made: World, number: int) -> tuple[float, float | None]:
    """One call until its picture: seconds to that, and to a still if one came before."""
    await made.take()
    made.core.events.clear()
    made.core.want(CallWanted(incident_id=f"{number:08d}{INCIDENT[8:]}", microphone=True))
    press_s = time.monotonic()
    still_s: float | None = None
    while time.monotonic() - press_s < PICTURE_WITHIN_S:
        await asyncio.sleep(0.05)
        seen = await made.take()
        for at, _, _ in seen["stills"]:
            still_s = still_s or made.mono_ms(at) / 1000 - press_s
        after_s = [made.mono_ms(at) / 1000 - press_s for at, _, _ in seen["frames"]]
        shown = [each for each in after_s if each > 0]
        if shown:
            break
    else:
        raise TimeoutError(f"no picture within {PICTURE_WITHIN_S:.0f} s of press {number + 1}")
    made.core.want(None)
    await until(lambda: "call_lost" in made.core.names(), 10, "the call is put down")
    await asyncio.sleep(PAUSE_S)
    return min(shown), still_s
