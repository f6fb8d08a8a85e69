"""Every shipped scenario, played by the command itself against the real processes; nothing may outlive it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hw_sim.scenario import shipped
from hw_sim.scenario_report import CHAIN

pytestmark = pytest.mark.system
HW_SIM = str(Path(sys.executable).parent / "hw-sim")
LONGEST_S = 120

WITHOUT = {
    "press": set[str](),
    "no-answer": {"first_video_frame", "first_audio", "clip_ready"},
    "no-stream": {"call_set_up", "first_video_frame", "first_audio", "clip_ready"},
}
"""Steps of the chain that a scenario has no part for; every other one must be in its report."""


def processes_of(directory: Path) -> list[str]:
    """Command lines that name the directory: of this scenario and nobody else."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(directory) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


LONG = bool(os.environ.get("UNITD_TEST_LONG"))
PROVED_ONLY = set() if LONG else {"clock-steps", "disk-dying", "no-stream", "quiet", "slow-link", "stand-alone"}


@pytest.mark.parametrize("name", sorted(set(shipped()) - PROVED_ONLY))
def test_every_expectation_holds(name: str, tmp_path: Path) -> None:
    report_file, kept, scratch = tmp_path / "report.json", tmp_path / "kept", Path(f"/tmp/hp-{os.getpid()}")
    scratch.mkdir(exist_ok=True)  # sockets need a short path, so not below pytest's own
    done = subprocess.run(
        [HW_SIM, "run", name, "--report", str(report_file), "--keep", str(kept)],
        env=os.environ | {"TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    report = json.loads(report_file.read_text())
    assert report["ok"]
    assert all(step["ok"] for step in report["steps"])
    assert set(report["chain_ms"]) == set(CHAIN)
    if name in WITHOUT:
        empty = {step for step, ms in report["chain_ms"].items() if ms is None}
        assert empty == WITHOUT[name]
    assert (kept / "config" / "unit.toml").exists()
    assert (kept / "logs" / "core.jsonl").stat().st_size > 0
    for directory in report["evidence"]:
        assert (kept / directory / "SHA256SUMS").exists()
    assert processes_of(scratch) == []
    assert list(scratch.iterdir()) == [], "the scenario's directory is gone"
    scratch.rmdir()


def test_a_press_meets_the_figures_of_the_report(tmp_path: Path) -> None:
    """Order is what a report must get right: nothing is received before it was published, and so on."""
    scenario = tmp_path / "quick.toml"
    scenario.write_text(
        'title = "quick"\n[bench]\nprocesses = ["core"]\ncamera = false\ndome = false\nmodem = false\nsound = false\n'
        '[[step]]\ndo = "press"\n[[step]]\nexpect = "received"\nwithin_ms = 3000\n'
        '[[step]]\nexpect = "chain"\nstep = "persisted"\nwithin_ms = 3000\n'
    )
    report_file = tmp_path / "report.json"
    subprocess.run([HW_SIM, "run", str(scenario), "--report", str(report_file)], timeout=60, check=True)
    chain = json.loads(report_file.read_text())["chain_ms"]
    assert chain["edge"] == 0
    assert 0 < chain["latched"] <= 100
    assert chain["latched"] <= chain["published"] <= chain["broker_ack"] <= chain["received"]
    assert 0 < chain["lamp"] <= 200
    assert chain["clip_ready"] is None


def test_fail__an_expectation_that_does_not_hold_fails_the_run(tmp_path: Path) -> None:
    scenario = tmp_path / "wrong.toml"
    scenario.write_text(
        'title = "wrong"\n[bench]\nprocesses = ["core"]\ncamera = false\ndome = false\nmodem = false\nsound = false\n'
        '[[step]]\ndo = "press"\n[[step]]\nexpect = "lamp"\nname = "green"\nshows = "steady"\nwithin_ms = 200\n'
    )
    report_file = tmp_path / "report.json"
    done = subprocess.run(
        [HW_SIM, "run", str(scenario), "--report", str(report_file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "it is off" in done.stdout
    assert not json.loads(report_file.read_text())["ok"]


def test_fail__a_wrong_scenario_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = subprocess.run([HW_SIM, "run", "pres"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "did you mean 'press'?" in done.stderr
    assert done.stderr.count("\n") == 1
