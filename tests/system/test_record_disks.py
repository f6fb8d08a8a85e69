"""`unitd record` on disks that are full, read-only, slow, hung, dead and gone: it never ends, says so, and heals.

Two cameras, real processes. Full and vanished are real file systems in a mount namespace; the rest is met at the calls
of the process (hw_sim/devices/bad_disk.py), where no kernel could be asked for it.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest

from hw_sim.devices.bad_disk import BadDisk
from tests.contract.rtsp_bench import ROOT, Bench, SimCamera, until
from tests.crash.record_judge import NAMING, whole_bytes, whole_chain
from unitd.messages.workers import RecordWanted
from unitd.store.segment import list_segments

pytestmark = pytest.mark.system
HEALS_WITHIN_S = 5.0
SAYS_WITHIN_S = 8.0
CAMERAS = ("dome", "fixed")
LONG = bool(os.environ.get("UNITD_TEST_LONG"))
HOW = ("read-only", "gone", "hung") if LONG else ("read-only", "hung")


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimCamera]:
    made = SimCamera(tmp_path_factory.mktemp("camera"))
    yield made
    made.close()


class Unit:
    """One recorder of two cameras; `inside` is its evidence directory as it sees it itself."""

    def __init__(self, base: Path, camera: SimCamera, **ring: Any) -> None:
        cameras = [{"name": "dome", "main_url": camera.main}, {"name": "fixed", "main_url": camera.sub}]
        self.bench = Bench(base, camera, cameras=cameras, ring={"segment_s": 2.0, "incident_reserve_s": 0.0, **ring})
        self.core = self.bench.core
        self.process: subprocess.Popen[bytes] | None = None
        self.log = base / "record.log"

    @contextmanager
    def running(self, before: str = "true", environment: dict[str, str] | None = None) -> Iterator[None]:
        """In a mount namespace of its own, after the shell commands `before`; ended by SIGTERM, which must succeed."""
        command = [sys.executable, "-m", "unitd", "record", "--config", str(self.bench.config)]
        script = f'set -e; {before}; exec "$@"'
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", script, "sh", *command],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=os.environ | (environment or {}),
            )
        try:
            yield
            assert self.process.poll() is None, "it has ended"
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(8.0) == 0, self.log.read_text()[-2000:]
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.core.close()

    @property
    def inside(self) -> Path:
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root") / self.bench.evidence.relative_to("/")

    def in_namespace(self, *command: str) -> None:
        assert self.process is not None
        subprocess.run(["nsenter", "-t", str(self.process.pid), "-m", *command], check=True)

    def until(self, condition: Callable[[], Any], what: str, within_s: float = 15.0) -> float:
        """Seconds until it was so; fails at once when the process is gone."""
        began_s = time.monotonic()

        def look() -> Any:
            assert self.process is not None
            assert self.process.poll() is None, f"it has ended: {self.log.read_text()[-2000:]}"
            return condition()

        until(look, f"{what}; core was told {self.core.health.faults}", within_s)
        return time.monotonic() - began_s

    def closed(self, count: int) -> float:
        """Until so many more segments of each camera were closed."""
        begun = len(self.core.events)

        def enough() -> bool:
            seen = [each.data["camera"] for each in self.core.events[begun:] if each.name == "segment_closed"]
            return all(seen.count(name) >= count for name in CAMERAS)

        return self.until(enough, f"{count} segments of each camera", 20.0)

    def recording(self) -> float:
        """Until each camera has a picture in a file that was not the last one before, or in one that has grown."""

        def newest() -> list[tuple[str, int]]:
            found = [(name, self.files(name)[-1:]) for name in CAMERAS]
            return [
                (f"{name}/{file}", whole_bytes((self.inside / name / file).read_bytes())) for name, (file,) in found
            ]

        def look() -> bool:
            try:
                now = newest()
            except (OSError, ValueError):
                return False
            return all(each[1] and each not in before for each in now)

        try:
            before = newest()
        except (OSError, ValueError):
            before = []
        return self.until(look, "pictures of each camera")

    def files(self, camera: str = "dome") -> list[str]:
        return [key.file_name for key in list_segments(self.inside / camera)]

    def judge(self) -> list[dict[str, Any]]:
        """The chain holds, every file plays and is what the chain says (but one that is open). Returns its lines."""
        listed = {camera: self.files(camera) for camera in CAMERAS}
        closed = {f"{camera}/{name}" for camera in CAMERAS for name in listed[camera][:-1]}

        def said() -> dict[str, dict[str, Any]]:
            lines = whole_chain(self.inside / "record.chain")
            return {line["file"]: line for line in lines if line["kind"] in NAMING}

        # Recording goes on: a file is closed first, and named in the chain a moment later.
        self.until(lambda: closed <= said().keys(), "every closed file in the chain", 5.0)
        lines = whole_chain(self.inside / "record.chain")
        named = said()
        for camera in CAMERAS:
            for name in listed[camera]:
                content = (self.inside / camera / name).read_bytes()
                if whole_bytes(content):
                    with av.open(str(self.inside / camera / name), "r") as file:
                        assert sum(1 for _ in file.demux(video=0)) > 1, name
                line = named.get(f"{camera}/{name}")
                if line is not None:
                    digest = hashlib.sha256(content).hexdigest()
                    assert (line["bytes"], line["sha256"]) == (len(content), digest), name
                else:
                    assert name == listed[camera][-1], f"{camera}/{name} is not in the chain"
        return lines


def test_read_only_dead_hung_and_slow_and_well_again(tmp_path: Path, camera: SimCamera) -> None:
    """One process through all of it; how long each took to be said and to heal is printed."""
    unit = Unit(tmp_path, camera)
    bad = BadDisk(tmp_path / "bad", unit.bench.evidence)
    with unit.running(environment=bad.environment):
        unit.recording()
        unit.core.want(record=RecordWanted(sync_s=1.0))
        for how in HOW:
            bad.set(how)
            said_s = unit.until(lambda: "disk_error" in unit.core.faults(), f"{how} is said", SAYS_WITHIN_S)
            bad.set("off")
            healed_s = unit.until(lambda: "disk_error" not in unit.core.faults(), f"{how} heals", HEALS_WITHIN_S)
            unit.recording()
            print(f"{how}: said after {said_s:.1f} s, healed {healed_s:.1f} s after its end")
        dropped = {name: unit.core.health.facts[f"{name}.dropped"] for name in CAMERAS}
        bad.set("slow", slow_ms=300)
        unit.closed(1)
        bad.set("off")
        assert {name: unit.core.health.facts[f"{name}.dropped"] for name in CAMERAS} == dropped, "slow cost pictures"
        unit.judge()
    bad.close()


def test_a_disk_that_vanishes_and_returns(tmp_path: Path, camera: SimCamera) -> None:
    """Nothing is written beneath the mount that is missing; recording goes on within seconds of its return."""
    unit = Unit(tmp_path, camera, must_be_mounted=True)
    disk, evidence = tmp_path / "disk", unit.bench.evidence
    for directory in (disk, evidence):
        directory.mkdir()
    mount = f"mount --bind {disk} {evidence}"
    with unit.running(f"mount -t tmpfs -o size=64m tmpfs {disk}; {mount}"):
        unit.recording()
        unit.core.want(record=RecordWanted(sync_s=1.0))
        unit.in_namespace("umount", "-l", str(evidence))
        said_s = unit.until(lambda: "disk_error" in unit.core.faults(), "it is said", SAYS_WITHIN_S)
        assert list(unit.inside.iterdir()) == [], "written beneath the mount point"
        unit.in_namespace("mount", "--bind", str(disk), str(evidence))
        healed_s = unit.until(lambda: not unit.core.faults(), "it heals", HEALS_WITHIN_S)
        unit.recording()
        print(f"said after {said_s:.1f} s, healed {healed_s:.1f} s after its return")
        assert [each for each in unit.judge() if each["kind"] == "gap"], "the gap is in the chain"
    assert list(evidence.iterdir()) == []


if LONG:  # it needs loop devices, and the right to make them

    def test_a_card_turns_read_only_and_another_takes_its_place(tmp_path: Path, camera: SimCamera) -> None:
        """ext4 does that to itself after an error (errors=remount-ro); the new card begins a chain of its own."""
        unit = Unit(tmp_path, camera, must_be_mounted=True)
        evidence = unit.bench.evidence
        evidence.mkdir()
        for name in ("first", "second"):
            with (tmp_path / name).open("wb") as image:
                image.truncate(64 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", str(tmp_path / name)], check=True)
        with unit.running(f"mount -o loop {tmp_path}/first {evidence}"):
            unit.recording()
            unit.core.want(record=RecordWanted(sync_s=1.0))
            unit.in_namespace("mount", "-o", "remount,abort", str(evidence))
            said_s = unit.until(lambda: "disk_error" in unit.core.faults(), "it is said", SAYS_WITHIN_S)
            before = {name: unit.files(name) for name in CAMERAS}
            assert all(before.values()), "what was recorded can be read"
            unit.in_namespace("umount", "-l", str(evidence))
            unit.in_namespace("mount", "-o", "loop", str(tmp_path / "second"), str(evidence))
            healed_s = unit.until(lambda: not unit.core.faults(), "it heals", HEALS_WITHIN_S)
            unit.recording()
            print(f"said after {said_s:.1f} s, healed {healed_s:.1f} s after the new card")
            assert unit.judge()[0]["n"] == 1


def lock_everything(unit: Unit) -> Path:
    unit.bench.lock("incident")
    return unit.bench.state / "locks" / "incident.json"


def test_a_full_disk_keeps_what_is_locked_says_so_and_heals(tmp_path: Path, camera: SimCamera) -> None:
    """First the oldest go and nothing is lost; then all is locked and nothing goes; then there is room again."""
    unit = Unit(tmp_path, camera)
    unit.bench.evidence.mkdir()
    with unit.running(f"mount -t tmpfs -o size=16m tmpfs {unit.bench.evidence}"):
        unit.core.want(record=RecordWanted(sync_s=1.0))
        unit.closed(1)
        ballast = unit.inside / ".ballast"
        fill(ballast)
        unit.closed(1)
        lines = unit.judge()
        assert [each["why"] for each in lines if each["kind"] == "evict"], "the oldest go"
        assert not unit.core.faults() & {"disk_error"}
        kept = lock_everything(unit)
        names = {name: unit.files(name) for name in CAMERAS}
        fill(ballast)
        unit.until(lambda: "disk_full" in unit.core.faults(), "it is said", 15.0)
        for name in CAMERAS:
            assert set(names[name]) <= set(unit.files(name)), "locked footage is gone"
        # somebody takes the ballast away
        ballast.unlink()
        healed_s = unit.until(lambda: "disk_full" not in unit.core.faults(), "it heals", HEALS_WITHIN_S)
        print(f"healed {healed_s:.1f} s after there was room")
        unit.recording()
        for name in CAMERAS:
            assert set(names[name]) <= set(unit.files(name)), "locked footage is gone"
        unit.judge()
        unit.until(lambda: (unit.inside / ".reserve").exists(), "the reserve is back", 15.0)
        assert json.loads(kept.read_text())["incident_id"] == "incident"


def fill(ballast: Path) -> None:
    """To the last byte, as something else on the disk might."""
    with ballast.open("ab", buffering=0) as file:
        piece = 1 << 20
        while piece:
            try:
                file.write(bytes(piece))
            except OSError:
                piece //= 2
