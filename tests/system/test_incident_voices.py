"""Both voices of an incident are recorded, each on its side, inside it alone, and they are back after a kill -9."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from hw_sim.bench import Bench, BenchOptions
from hw_sim.operator.hearing import RATE_HZ, level_db, tone_db
from hw_sim.scenario_operator import ScenarioOperator
from unitd.store.chain import first_break
from unitd.store.segment import SegmentHeader, read_header

pytestmark = pytest.mark.system

STREET_HZ, OPERATOR_HZ = 1000.0, 1600.0
HEARD_DB, SILENT_DB = -30.0, -60.0
BACK_S = 5.0
LOST_S = 1.0


@dataclass(frozen=True)
class Recorded:
    """One segment of the stream `audio`, decoded as far as it is whole."""

    header: SegmentHeader
    left: npt.NDArray[np.int16]
    right: npt.NDArray[np.int16]

    @property
    def from_ns(self) -> int:
        return self.header.mono_ns

    @property
    def to_ns(self) -> int:
        return self.header.mono_ns + len(self.left) * 1_000_000_000 // RATE_HZ

    def at(self, side: npt.NDArray[np.int16], mono_ns: int, seconds: float = 0.4) -> npt.NDArray[np.int16]:
        first = max(0, (mono_ns - self.from_ns) * RATE_HZ // 1_000_000_000)
        return side[first : first + int(seconds * RATE_HZ)]


def recorded(evidence: Path) -> list[Recorded]:
    found = []
    for path in sorted((evidence / "audio").glob("*.mp4")):
        with av.open(str(path)) as file:
            pieces = [frame.to_ndarray() for frame in file.decode(audio=0)]
        if pieces:
            both = np.clip(np.concatenate(pieces, axis=1) * 32768, -32768, 32767).astype(np.int16)
            found.append(Recorded(read_header(path), both[0], both[1]))
    return found


async def until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    deadline_s = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline_s, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.05)


def covering(segments: list[Recorded], mono_ns: int, seconds: float) -> Recorded | None:
    """The segment that holds `seconds` from an instant on."""
    return next((s for s in segments if s.from_ns <= mono_ns and s.to_ns >= mono_ns + seconds * 1e9), None)


@pytest.mark.timeout(120)
def test_each_voice_is_on_its_side_and_back_after_a_kill() -> None:
    asyncio.run(_incident())


async def _incident() -> None:
    config = {"incident": {"pre_roll_s": 1.0, "post_roll_s": 1.0}, "ring": {"segment_s": 4.0}}
    async with Bench(BenchOptions(dome=False, modem=False, config=config)) as bench:
        await bench.wait_ready()
        assert bench.room is not None
        assert bench.sound is not None
        assert bench.horn is not None
        operator = ScenarioOperator(bench.room, bench.unit_id, media=True)
        await operator.start()
        try:
            await asyncio.to_thread(bench.sound.play_caller, STREET_HZ)
            await until(lambda: list(bench.evidence_dir.glob("dome/*.mp4")), 10, "the camera is recorded")
            assert not list(bench.evidence_dir.glob("audio/*")), "sound before the press"
            pressed_ns = bench.press(120)
            answered_ns = await _talk(bench, operator)
            await _survives(bench, "call")
            await _survives(bench, "record")
            await operator.order("close", "Ana", "done", {"outcome": "genuine"})
            closed_ns = time.monotonic_ns()
            await until(lambda: operator.newest and operator.newest["stage"] == "closed", 10, "closed")
            await until(lambda: _all_chained(bench.evidence_dir), 12, "every segment is in the chain")
        finally:
            await operator.stop()
        _judge(recorded(bench.evidence_dir), pressed_ns, answered_ns, closed_ns)
        assert first_break(bench.evidence_dir / "record.chain") is None


async def _talk(bench: Bench, operator: ScenarioOperator) -> int:
    """Answer and speak; the instant from which the operator is heard on the street."""
    await until(lambda: operator.newest is not None and operator.newest["code"], 5, "received")
    await operator.order("answer", "Ana", "done", {})
    assert operator.peer is not None
    operator.peer.speak(OPERATOR_HZ)
    await until(lambda: bench.horn is not None and bench.horn.hears_tone(OPERATOR_HZ), 10, "the horn plays the voice")
    return time.monotonic_ns()


async def _survives(bench: Bench, process: str) -> None:
    """Both voices are recorded; after a kill the street's is within BACK_S, and at most LOST_S of it are missing."""
    evidence, begun_ns = bench.evidence_dir, time.monotonic_ns()
    await until(lambda: covering(recorded(evidence), begun_ns, 1.0), 8, "a second of sound before the kill")
    killed_ns = time.monotonic_ns()
    bench.kill(process)
    await until(lambda: _after(evidence, killed_ns), 15, f"sound after the kill of {process}")
    lost_s = _missing_s(recorded(evidence), begun_ns, killed_ns)
    after = _after(evidence, killed_ns)
    assert after is not None
    print(f"{process}: {lost_s:.2f} s lost before the kill, back {(after - killed_ns) / 1e9:.2f} s after it")
    assert lost_s <= LOST_S
    assert after <= killed_ns + BACK_S * 1e9


def _missing_s(segments: list[Recorded], from_ns: int, to_ns: int) -> float:
    """How much of a span no segment holds."""
    at_ns = missing_ns = 0
    for each in sorted(segments, key=lambda s: s.from_ns):
        at_ns = max(at_ns, from_ns)
        missing_ns += max(0, min(each.from_ns, to_ns) - at_ns)
        at_ns = max(at_ns, each.to_ns)
    return (missing_ns + max(0, to_ns - max(at_ns, from_ns))) / 1e9


def _after(evidence: Path, killed_ns: int) -> int | None:
    """From when on the street is heard again, after a kill."""
    for each in recorded(evidence):
        step_ns = 100_000_000
        for at_ns in range(max(each.from_ns, killed_ns + 2 * step_ns), each.to_ns - 2 * step_ns, step_ns):
            if tone_db(each.at(each.left, at_ns, 0.2), STREET_HZ) > HEARD_DB:
                return at_ns
    return None


def _all_chained(evidence: Path) -> bool:
    lines = [json.loads(line) for line in (evidence / "record.chain").read_text().splitlines()]
    named = {line.get("file") for line in lines if line["kind"] in ("segment", "recovered")}
    return all(f"audio/{path.name}" in named for path in (evidence / "audio").glob("*.mp4"))


def _judge(segments: list[Recorded], pressed_ns: int, answered_ns: int, closed_ns: int) -> None:
    assert min(s.from_ns for s in segments) > pressed_ns - 50_000_000, "sound from before the press"
    assert max(s.to_ns for s in segments) < closed_ns + 500_000_000, "sound after the close"
    talk = covering(segments, answered_ns, 0.4)
    assert talk is not None
    left, right = talk.at(talk.left, answered_ns), talk.at(talk.right, answered_ns)
    assert tone_db(left, STREET_HZ) > HEARD_DB
    assert tone_db(left, OPERATOR_HZ) < SILENT_DB
    assert tone_db(right, OPERATOR_HZ) > HEARD_DB
    assert tone_db(right, STREET_HZ) < SILENT_DB
    first = segments[0]
    assert tone_db(first.at(first.left, pressed_ns + 1_500_000_000), STREET_HZ) > HEARD_DB, "heard before any answer"
    assert {s.header.camera for s in segments} == {"audio"}
    assert all(level_db(s.left) > SILENT_DB or len(s.left) < RATE_HZ for s in segments)
