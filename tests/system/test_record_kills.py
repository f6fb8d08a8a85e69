"""`unitd record` killed at random against a live camera, in an incident: what is lost, and how soon it records again.

The camera draws the monotonic time into each picture, so what is missing before a kill is read off the last picture
that the file holds, not off anything that the unit says. Ten kills; two hundred with UNITD_TEST_LONG=1 (`make prove`).
"""

import hashlib
import itertools
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import pytest

from hw_sim.world.timecode import age_ms, read_time_code
from tests.contract.rtsp_bench import ROOT, Bench, SimCamera, until
from tests.crash.record_judge import NAMING, whole_bytes, whole_chain
from unitd.messages.workers import RecordWanted
from unitd.store.segment import list_segments, read_header

pytestmark = pytest.mark.system
KILLS = 200 if os.environ.get("UNITD_TEST_LONG") else 10
SEED = int(os.environ.get("UNITD_TEST_SEED", "20260731"))
RESTART_S = 1.0
"""RestartSec= of systemd/unitd-record.service."""

LOST_LIMIT_S = 1.0
AGAIN_LIMIT_S = 5.0
PICTURE_MS = 50


@dataclass
class Figures:
    """What was measured, over all kills."""

    lost_s: list[float] = field(default_factory=list)
    again_s: list[float] = field(default_factory=list)

    def words(self) -> str:
        def each(name: str, values: list[float]) -> str:
            return f"{name} p50 {statistics.median(values):.2f} s, max {max(values):.2f} s ({len(values)})"

        return f"{each('lost', self.lost_s)}; {each('recording again', self.again_s)}"


class Unit:
    """The recorder, kept as systemd keeps it, and core's word that an incident is on."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.directory = bench.evidence / "dome"
        self._log = (bench.base / "record.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "unitd", "record", "--config", str(self.bench.config)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=ROOT)

    def kill(self) -> int:
        """Returns the monotonic instant (ns) before which everything was still possible."""
        assert self._process is not None
        assert self._process.poll() is None, (self.bench.base / "record.log").read_text()[-2000:]
        at_ns = time.monotonic_ns()
        self._process.kill()
        self._process.wait()
        return at_ns

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(5.0) == 0, (self.bench.base / "record.log").read_text()[-2000:]
        self._log.close()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def files(self) -> list[Path]:
        return [self.directory / key.file_name for key in list_segments(self.directory)]

    def newest(self) -> Path | None:
        """The last file that has a picture in it."""
        return next((path for path in reversed(self.files()) if whole_bytes(path.read_bytes())), None)


def pictures_ms(path: Path) -> list[int]:
    """The camera's own time (ms) of each picture that a player shows of a file."""
    found = []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            code = read_time_code(frame.to_ndarray(format="gray"))
            assert code is not None, f"{path.name}: a picture that no camera sent"
            found.append(code)
    return found


def lost_s(unit: Unit, killed_ns: int) -> float:
    """How much before the kill is in no file."""
    newest = unit.newest()
    assert newest is not None
    return age_ms(pictures_ms(newest)[-1], killed_ns) / 1000


def recording_again_s(unit: Unit, before: Path | None, since_s: float) -> float:
    until(lambda: unit.newest() != before, "recording again", AGAIN_LIMIT_S + 5.0)
    return time.monotonic() - since_s


def pause(for_s: float) -> None:
    """The moment of a kill, and systemd's pause: here the time itself is what is waited for."""
    due_s = time.monotonic() + for_s
    until(lambda: time.monotonic() >= due_s, "the time")


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    camera = SimCamera(tmp_path)
    bench = Bench(tmp_path, camera)
    made = Unit(bench)
    yield made
    made.close()
    bench.core.close()
    camera.close()


@pytest.mark.timeout(60 + 8 * KILLS)
def test_kill_9_at_any_moment_of_an_incident(unit: Unit) -> None:
    chance, figures = random.Random(SEED), Figures()
    print(f"seed {SEED}, {KILLS} kills")
    unit.bench.lock("incident")
    unit.bench.core.want(record=RecordWanted(sync_s=1.0))
    unit.start()
    recording_again_s(unit, None, time.monotonic())
    for number in range(KILLS):
        stay_s = chance.uniform(0.0, 1.8)
        pause(stay_s)
        killed_ns = unit.kill()
        due_s = time.monotonic() + RESTART_S
        figures.lost_s.append(lost_s(unit, killed_ns))
        where = f"kill {number} (seed {SEED}), {stay_s:.3f} s after it had recorded"
        assert figures.lost_s[-1] <= LOST_LIMIT_S, f"{where}: {figures.lost_s[-1]:.2f} s of the incident are lost"
        before = unit.newest()
        pause(due_s - time.monotonic())
        unit.start()
        figures.again_s.append(recording_again_s(unit, before, time.monotonic()))
        assert figures.again_s[-1] <= AGAIN_LIMIT_S, f"{where}: {figures.again_s[-1]:.2f} s until it records again"
    unit.end()
    print(figures.words())
    judge(unit)


def judge(unit: Unit) -> None:
    """Every file plays, joins or leaves a gap that the chain tells; each is in the chain as it is on the disk."""
    lines = whole_chain(unit.bench.evidence / "record.chain")
    said = {line["file"]: line for line in lines if line["kind"] in NAMING}
    assert [line for line in lines if line["kind"] == "evict"] == []
    seen_ms: list[int] = []
    for path in unit.files():
        content = path.read_bytes()
        line = said[f"dome/{path.name}"]
        assert line["bytes"] == len(content)
        assert line["sha256"] == hashlib.sha256(content).hexdigest()
        if not whole_bytes(content):
            continue
        codes = pictures_ms(path)
        assert all(0 < b - a <= 4 * PICTURE_MS for a, b in itertools.pairwise(codes)), path.name
        assert not seen_ms or codes[0] > seen_ms[-1], f"{path.name} shows what an earlier file has shown"
        seen_ms += codes
    gaps = [line for line in lines if line["kind"] == "gap"]
    assert len(gaps) == KILLS, f"{len(gaps)} gaps for {KILLS} kills"
    recovered = [line for line in lines if line["kind"] == "recovered"]
    assert len(recovered) >= KILLS
    starts = {read_header(path).mono_ns for path in unit.files() if whole_bytes(path.read_bytes())}
    for gap in gaps:
        assert gap["camera"] == "dome"
        assert gap["to_mono_ns"] in starts, "a gap ends where a file begins"
        assert gap["from_mono_ns"] < gap["to_mono_ns"]
        inside = [
            ms for ms in seen_ms if gap["from_mono_ns"] / 1e6 + 2 * PICTURE_MS < ms < gap["to_mono_ns"] / 1e6 - 300
        ]
        assert inside == [], "the chain tells of a gap where there are pictures"
