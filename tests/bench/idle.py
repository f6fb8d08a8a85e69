"""What an idle unit costs: core's CPU, and bytes a day to the broker."""

from __future__ import annotations

import asyncio
import time

import msgspec

from hw_sim.waiting import until
from tests.bench.figures import SECONDS_A_DAY, Row, per_day
from tests.bench.progress import Progress
from tests.bench.tcp_counter import HEADER_BYTES
from tests.bench.usage import cpu_s
from tests.bench.whole_unit import CountedBench, pid_of, whole_unit
from unitd.core.control_room import FACTS_PERIOD_S

WINDOW_S = 60.0
SETTLE_S = 12.0
"""Longer than a modem poll and the camera's opening: what changes at the start has been told by then."""
AFTER_BEAT_S = 8.0
"""The window begins this long after a heartbeat (every 30 s), so that it holds exactly two."""
TLS_MQTT_BYTES = 40
"""A TLS 1.3 record (22) and MQTT's header and topic, rounded up."""
HEAD_IN_BEAT_BYTES = 80
CHECKPOINT_WITHIN_S = 90.0
CPU_CEILING_PERCENT = 0.5
DAY_CEILING_MB = 1.0
NO_MOTION_PERCENT = 99.0


async def measure(progress: Progress) -> list[Row]:
    async with whole_unit(motion={"area_percent": NO_MOTION_PERCENT}) as bench:
        progress.step("settling")
        await asyncio.sleep(SETTLE_S)
        # one an hour, and the first of them just when the window would be
        await until(lambda: bool(_checkpoint_bytes(bench)), CHECKPOINT_WITHIN_S, "the first checkpoint")
        await _after_a_beat(bench)
        pid, state_bytes, checkpoint_bytes = pid_of(bench, "core"), _state_bytes(bench), _checkpoint_bytes(bench)
        told = _state(bench)
        cpu0, sent0, began_s = cpu_s(pid), bench.counter.sent(), time.monotonic()
        back0 = bench.counter.sent_back()
        while (passed_s := time.monotonic() - began_s) < WINDOW_S:
            progress.step(f"idle for {passed_s:.0f} of {WINDOW_S:.0f} s")
            await asyncio.sleep(min(5.0, WINDOW_S - passed_s))
        took_s = time.monotonic() - began_s
        cpu, sent = cpu_s(pid) - cpu0, bench.counter.sent().since(sent0)
        back = bench.counter.sent_back().since(back0)
        if _state(bench) is not told:
            raise RuntimeError("the unit told a new state within the window: it was not idle")
    if sent.segments == 0:
        raise RuntimeError("the unit has sent nothing: no heartbeat was seen")
    facts = (state_bytes + TLS_MQTT_BYTES + 3 * HEADER_BYTES) * SECONDS_A_DAY / FACTS_PERIOD_S
    heads = (checkpoint_bytes + HEAD_IN_BEAT_BYTES + TLS_MQTT_BYTES + 3 * HEADER_BYTES) * 24
    day_mb = (per_day(sent.ip_bytes, took_s) + facts + heads) / 1e6
    note = (
        f"{sent.segments} segments, {sent.ip_bytes} bytes in {took_s:.0f} s at IP level, "
        f"and {facts / 1e6:.2f} MB for the state every {FACTS_PERIOD_S / 60:.0f} min, {heads / 1e6:.2f} for checkpoints"
    )
    return [
        Row("core, CPU when idle", cpu / took_s * 100, "%", CPU_CEILING_PERCENT, f"of one core, {took_s:.0f} s"),
        Row("upstream when idle, a day and broker", day_mb, "MB", DAY_CEILING_MB, note),
        Row(
            "downstream when idle, a day and broker",
            per_day(back.ip_bytes, took_s) / 1e6,
            "MB",
            note=f"{back.segments} segments, {back.ip_bytes} bytes in {took_s:.0f} s at IP level",
        ),
    ]


def _state(bench: CountedBench) -> object:
    assert bench.room is not None
    return bench.room.hub.units[bench.unit_id].state


def _state_bytes(bench: CountedBench) -> int:
    return len(msgspec.json.encode(_state(bench)))


def _checkpoint_bytes(bench: CountedBench) -> int:
    """How long the newest event `checkpoint` is; 0 before there is one."""
    assert bench.room is not None
    told = [event for _, event in bench.room.hub.events if event.name == "checkpoint"]
    return len(msgspec.json.encode(told[-1])) if told else 0


async def _after_a_beat(bench: CountedBench) -> None:
    """Return AFTER_BEAT_S after the unit's next heartbeat; it is seen on the wire."""
    before = bench.counter.sent().stream_bytes
    await until(lambda: bench.counter.sent().stream_bytes > before, 45.0, "a heartbeat")
    await asyncio.sleep(AFTER_BEAT_S)
