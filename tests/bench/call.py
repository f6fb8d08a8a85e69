"""A call: from the press to the operator's first picture, glass to glass, and the memory of all five meanwhile."""

from __future__ import annotations

import asyncio
import time

from hw_sim.operator.peer import OperatorPeer
from hw_sim.processes import PROCESSES
from hw_sim.scenario_operator import ScenarioOperator
from hw_sim.waiting import until
from tests.bench.figures import Row, median, percentile
from tests.bench.progress import Progress
from tests.bench.usage import pss_mb, rss_mb
from tests.bench.whole_unit import CountedBench, pid_of, whole_unit

CALLS = 6
HELD_MS = 120.0
SETTLE_S = 3.0
WATCH_S = 20.0
FRAME_TIMEOUT_S = 15.0
QUIET_S = 1.0
FIRST_FRAME_CEILING_S = 1.5
GLASS_CEILINGS_MS = (150.0, 250.0)
CORE_RSS_CEILING_MB = 45.0
ALL_RSS_CEILING_MB = 350.0
LEAST_PICTURES = 100
POST_ROLL_S = 0.5


async def measure(progress: Progress) -> list[Row]:
    async with whole_unit(incident={"post_roll_s": POST_ROLL_S}) as bench:
        assert bench.room is not None
        operator = ScenarioOperator(bench.room, bench.unit_id, media=True)
        await operator.start()
        try:
            assert operator.peer is not None
            first: list[float] = []
            for number in range(CALLS):
                progress.step(f"call {number + 1} of {CALLS}")
                first.append(await _press_to_picture(bench, operator.peer))
                if number < CALLS - 1:
                    await _hang_up(operator, operator.peer)
            await operator.order("accept", "Ann", "done", {})
            await operator.order("answer", "Ann", "done", {})
            await asyncio.sleep(SETTLE_S)
            operator.peer.forget()
            progress.step(f"watching for {WATCH_S:.0f} s")
            await asyncio.sleep(WATCH_S)
            ages = [float(age) for age in operator.peer.latencies_ms]
            size = operator.peer.picture_size
            memory = _memory(bench)
        finally:
            await operator.stop()
    if len(ages) < LEAST_PICTURES:
        raise RuntimeError(f"only {len(ages)} pictures with a time code in {WATCH_S:.0f} s")
    cold, later = first[0], first[1:]
    note = f"median of {len(later)}, slowest {max(later):.2f} s; each call set up afresh"
    seen = f"{len(ages)} pictures of {size[0]}x{size[1]} in {WATCH_S:.0f} s"
    p50, p95 = percentile(ages, 50), percentile(ages, 95)
    return [
        Row("press to the operator's first picture", median(later), "s", FIRST_FRAME_CEILING_S, note),
        Row("the same, pressed as soon as the unit is up", cold, "s", FIRST_FRAME_CEILING_S, "one call"),
        Row("glass to glass, median", p50, "ms", GLASS_CEILINGS_MS[0], seen, 0),
        Row("glass to glass, 95th percentile", p95, "ms", GLASS_CEILINGS_MS[1], f"worst {max(ages):.0f} ms", 0),
        *memory,
    ]


async def _press_to_picture(bench: CountedBench, peer: OperatorPeer) -> float:
    """Seconds from the button's edge to the first decoded picture."""
    peer.forget()
    edge_ns = bench.press(HELD_MS)
    await until(lambda: peer.first_frame_mono_ns, FRAME_TIMEOUT_S, "the operator's first picture")
    assert peer.first_frame_mono_ns is not None
    return (peer.first_frame_mono_ns - edge_ns) / 1e9


async def _hang_up(operator: ScenarioOperator, peer: OperatorPeer) -> None:
    """Close the incident and return when no more pictures come."""
    await until(lambda: operator.newest is not None and operator.newest["open"], 5.0, "the console shows the incident")
    await operator.order("close", "Ann", "done", {"outcome": "test"})
    seen, since_s = peer.frames, time.monotonic()
    async with asyncio.timeout(FRAME_TIMEOUT_S):
        while time.monotonic() - since_s < QUIET_S + POST_ROLL_S:
            await asyncio.sleep(0.1)
            if peer.frames != seen:
                seen, since_s = peer.frames, time.monotonic()


def _memory(bench: CountedBench) -> list[Row]:
    """During the call: each process, and all together."""
    resident = {name: rss_mb(pid_of(bench, name)) for name in PROCESSES}
    shared_once = sum(pss_mb(pid_of(bench, name)) for name in PROCESSES)
    rows = [Row("core, RSS in a call", resident["core"], "MB", CORE_RSS_CEILING_MB, digits=0)]
    rows += [Row(f"{name}, RSS in a call", size, "MB", digits=0) for name, size in resident.items() if name != "core"]
    note = f"{shared_once:.0f} MB with shared pages counted once (PSS)"
    rows.append(Row("all five, RSS in a call", sum(resident.values()), "MB", ALL_RSS_CEILING_MB, note, 0))
    return rows
