"""Calls one after the other in one process leave nothing behind: 200 in `make prove`, 20 in every run of the tests.

Judged by the slope of a straight line through what was counted after each call (least squares), the first ones left
out: a leak of one descriptor in ten calls shows, a page more or less does not.
"""

import asyncio
import contextlib
import os
from pathlib import Path

import numpy as np
import pytest

from hw_sim.operator.peer import OperatorPeer
from tests.system.call_rig import INCIDENT, UNIT, Rig, rig, until
from unitd.messages.workers import CallWanted

pytestmark = pytest.mark.system

LONG = bool(os.environ.get("UNITD_TEST_LONG"))
CALLS = 200 if LONG else 20
SETTLING = {"fds": 0.25, "threads": 0.25, "rss_mb": 0.6 if LONG else 0.25}
"""The share of the calls that is left out at the beginning: an allocator's arenas grow by some ten megabytes over the
first hundred calls (measured: 96 MB after 10, 109 after 120, 110 after 200) and then stay."""
SETTLED_WITHIN_S = 0.4
GROWTH = {"fds": 2.0, "threads": 2.0, "rss_mb": 3.0 if LONG else 8.0}
"""Over all the calls that are judged, at most; beyond three standard errors of the slope."""
RSS_CEILING_MB = 120.0


@pytest.mark.timeout(900)
def test_calls_in_a_row_leave_threads_descriptors_and_memory_flat(tmp_path: Path) -> None:
    marks: dict[str, list[float]] = {name: [] for name in GROWTH}

    async def play() -> None:
        async with rig(tmp_path) as made:
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await made.start_call()
            for number in range(CALLS):
                await _call(made, peer, number)
                await _settle(made, marks)
                for name, value in (("fds", made.fds()), ("threads", made.threads()), ("rss_mb", made.rss_mb())):
                    marks[name].append(float(value))
            await peer.close()

    asyncio.run(play())
    for name, values in marks.items():
        growth, error = growth_of(values, SETTLING[name])
        print(values[:: max(1, CALLS // 20)])
        print(f"{name}: {values[0]:.1f} to {values[-1]:.1f}, growth {growth:.2f} +- {error:.2f} over {CALLS} calls")
        assert growth - 3 * error <= GROWTH[name], (name, growth, error, values)
        assert growth <= 3 * GROWTH[name], (name, growth, error, values)
    assert max(marks["rss_mb"]) <= RSS_CEILING_MB, marks["rss_mb"]


async def _call(made: Rig, peer: OperatorPeer, number: int) -> None:
    """One call to its picture, and put down."""
    made.core.events.clear()
    peer.forget()
    made.core.want(CallWanted(incident_id=f"{number:08d}{INCIDENT[8:]}", microphone=True))
    await until(lambda: "call_connected" in made.core.names(), 10, f"call {number}")
    peer.forget()
    await until(lambda: peer.frames > 2, 10, f"picture of call {number}")
    made.core.want(None)
    await until(lambda: "call_lost" in made.core.names(), 5, f"end of call {number}")
    await until(lambda: not made.relay.relay.unit_is_here(UNIT), 5, "the link is closed")


async def _settle(made: Rig, marks: dict[str, list[float]]) -> None:
    """The teardown is done a moment after it was told: until there are no more than ever were after a call."""
    if not marks["fds"]:
        return
    fds, threads = min(marks["fds"]), min(marks["threads"])
    with contextlib.suppress(AssertionError):  # counted as it is
        await until(lambda: made.fds() <= fds and made.threads() <= threads, SETTLED_WITHIN_S, "all is freed")


def growth_of(values: list[float], settling: float = 0.25) -> tuple[float, float]:
    """By how much a straight line through the later values grows over all of them, and its standard error."""
    judged = np.array(values[int(settling * len(values)) :])
    calls = np.arange(len(judged))
    (slope, start), *_ = np.polyfit(calls, judged, 1, full=True)
    residual = judged - (slope * calls + start)
    spread = float(np.sum((calls - calls.mean()) ** 2))
    error = float(np.sqrt(np.sum(residual**2) / max(1, len(judged) - 2) / spread))
    return float(slope * len(judged)), error * len(judged)


def test_a_leak_would_be_seen() -> None:
    flat = [20.0 + (number % 3) for number in range(40)]
    growth, error = growth_of(flat)
    assert growth - 3 * error <= GROWTH["fds"]
    leaking = [value + number / 8 for number, value in enumerate(flat)]
    growth, error = growth_of(leaking)
    assert growth - 3 * error > GROWTH["fds"]
