"""The recorder killed in the middle of a segment, and the recorder on a disk that is really full."""

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

import msgspec

from tests.crash.record_writer_program import config_of
from tests.unit.record.test_muxer import pictures
from unitd.store.chain import first_break
from unitd.store.segment import list_segments, measure, read_header
from unitd.tools.export_job import ExportJob, run

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0
PROGRAM = [sys.executable, "-m", "tests.crash.record_writer_program"]
Report = dict[str, Any]


class Running:
    """The program, and what it said last."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def until(self, condition: Callable[[Report], bool], what: str) -> Report:
        assert self.process.stdout is not None
        deadline = time.monotonic() + LIMIT_S
        for line in self.process.stdout:
            report: Report = json.loads(line)
            if condition(report):
                return report
            assert time.monotonic() < deadline, f"not within {LIMIT_S} s: {what}; last {report}"
        raise AssertionError(f"the program ended before: {what}")


@contextmanager
def running(command: list[str]) -> Iterator[Running]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)
    try:
        yield Running(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def lock(base: Path, incident: str = "crash") -> Path:
    path = base / "state" / "locks" / f"{incident}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"incident_id": incident, "from_boot": 0, "from_mono_ns": 0}))
    return path


def test_killed_in_mid_segment_everything_written_plays_and_recording_goes_on(tmp_path: Path) -> None:
    killed: list[Path] = []
    for life in range(3):
        with running([*PROGRAM, str(tmp_path), "200"]) as program:
            report = program.until(lambda r: r["segments"] >= 1 and r["units"] % 40 > 15, "a segment under way")
            assert report["fault"] == ""
            if life:
                assert report["recovered"] == [f"dome/{killed[-1].name}"]
        directory = tmp_path / "evidence" / "dome"
        killed.append(directory / list_segments(directory)[-1].file_name)
    for path in killed:
        assert measure(path).fragments >= 1
        assert pictures(path) >= 10
        assert read_header(path).camera == "dome"
    assert first_break(tmp_path / "evidence" / "record.chain") is None
    sequence = [key.seq for key in list_segments(tmp_path / "evidence" / "dome")]
    assert sequence == list(range(1, len(sequence) + 1))
    lock(tmp_path)
    clip = tmp_path / "clip.mp4"
    result = run(ExportJob(config=config_of(tmp_path), incident_id="crash", camera=None, output=str(clip)))
    assert result.error == ""
    assert result.pictures == pictures(clip)


def on_small_disk(base: Path, size: str) -> list[str]:
    """The command that runs the program with `base/evidence` as a real file system of `size`, its own namespace."""
    (base / "evidence").mkdir()
    (base / "state").mkdir()
    script = 'mount -t tmpfs -o size="$1" tmpfs "$2/evidence" && shift 2 && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", script, "sh", size, str(base), *PROGRAM, str(base), "400"]


def test_on_a_full_disk_the_oldest_go_and_recording_never_stops(tmp_path: Path) -> None:
    with running(on_small_disk(tmp_path, "3m")) as program:
        report = program.until(lambda r: r["evicted"] >= 8, "evictions")
        assert report["fault"] == ""
        assert report["abandoned"] == 0
        assert report["dropped"] == 0
        before = report["segments"]
        program.until(lambda r: r["segments"] >= before + 5, "segments after the disk was full")
        evidence = Path(f"/proc/{program.process.pid}/root") / (tmp_path / "evidence").relative_to("/")
        assert first_break(evidence / "record.chain") is None
        keys = list_segments(evidence / "dome")
        assert [key.seq for key in keys] == list(range(keys[0].seq, keys[-1].seq + 1))
        assert pictures(evidence / "dome" / keys[-2].file_name) == 40, "the newest whole one: older ones may go"
        records = [msgspec.json.decode(line) for line in (evidence / "record.chain").read_bytes().splitlines()]
        evicted = [r["file"] for r in records if r["kind"] == "evict"]
        assert evicted == [f"dome/000001-{n:08d}.mp4" for n in range(1, len(evicted) + 1)]


def test_a_disk_full_of_locked_footage_is_a_fault_deletes_nothing_and_heals(tmp_path: Path) -> None:
    with running(on_small_disk(tmp_path, "3m")) as program:
        program.until(lambda r: r["segments"] >= 2, "recording")
        kept = lock(tmp_path)
        report = program.until(lambda r: r["fault"] == "disk_full", "the fault")
        evidence = Path(f"/proc/{program.process.pid}/root") / (tmp_path / "evidence").relative_to("/")
        locked = [key.seq for key in list_segments(evidence / "dome")]
        program.until(lambda r: r["units"] > report["units"] + 1000, "time passes")
        assert [key.seq for key in list_segments(evidence / "dome")][: len(locked) - 1] == locked[:-1]
        kept.unlink()
        healed = program.until(lambda r: r["fault"] == "", "healed")
        program.until(lambda r: r["segments"] >= healed["segments"] + 3, "recording goes on")
