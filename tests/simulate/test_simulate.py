"""The simulation itself: the product bears random days, a seed says the same twice, planted faults are found.

The long runs (`make prove`) take some minutes of both processors; `make simulate SEEDS=N SEED_START=K` is the same by
hand.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulate.planted import PLANTS

ROOT = Path(__file__).resolve().parents[2]
LONG = bool(os.environ.get("UNITD_TEST_LONG"))
SAMPLE = 1500 if LONG else 8
"""The long run is 1,500 pole-days."""
WITHIN = 40
"""Every planted fault must show within so many seeds."""
QUICK_PLANTS = ("green_when_accepted", "leave_the_microphone_open", "never_remove")


def simulate(*arguments: str, timeout_s: float = 200.0) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.simulate", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.mark.timeout(3600 if LONG else 240)
def test_random_days_break_no_requirement() -> None:
    done = simulate("--seeds", str(SAMPLE), timeout_s=3500 if LONG else 200)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"{SAMPLE} seeds, {SAMPLE} pole-days" in done.stdout


def test_a_seed_replays_exactly() -> None:
    traces = [re.findall(r"^trace (\w+)$", simulate("--seed", "6", "--hours", "12").stdout, re.M) for _ in range(2)]
    assert traces[0] and traces[0] == traces[1]
    other = re.findall(r"^trace (\w+)$", simulate("--seed", "7", "--hours", "12").stdout, re.M)
    assert other != traces[0]


@pytest.mark.parametrize("plant", sorted(PLANTS) if LONG else QUICK_PLANTS)
def test_a_planted_fault_is_found(plant: str) -> None:
    done = simulate("--plant", plant, "--seeds", str(WITHIN), "--first")
    assert done.returncode == 1, f"{plant} was not found in {WITHIN} seeds\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert "broke a requirement" in done.stdout
    assert "the simulation failed" not in done.stdout
