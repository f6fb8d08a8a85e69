"""The faults that no switch in the product makes: a clock of 1970, and a disk that is really full."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hw_sim.devices.clock import WrongClock
from hw_sim.waiting import until

pytestmark = pytest.mark.system


def test_a_process_in_1970_is_stepped_to_today_and_its_monotonic_clock_is_not(tmp_path: Path) -> None:
    synchronized = tmp_path / "synchronized"
    clock = WrongClock(tmp_path, synchronized)
    code = "import sys,time\nfor line in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | clock.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask() -> tuple[float, float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        wall_s, mono_s = process.stdout.readline().split()
        return float(wall_s), float(mono_s)

    try:
        wall_s, mono_s = ask()
        assert 0 < wall_s < 86_400, "the first of January 1970"
        assert abs(mono_s - time.monotonic()) < 5
        assert not synchronized.exists()
        clock.step()
        assert synchronized.exists()
        asyncio.run(until(lambda: abs(ask()[0] - time.time()) < 5, 10, "the process sees today"))
        assert abs(ask()[1] - time.monotonic()) < 5
    finally:
        process.kill()
        process.communicate()


def test_a_small_disk_is_full_to_the_last_byte_and_free_again(tmp_path: Path) -> None:
    code = """
import errno, sys
from pathlib import Path
from hw_sim.devices.disk import SmallDisk, enter_namespace
refused = enter_namespace([sys.executable, *sys.argv])
assert refused is None, refused
disk = SmallDisk(Path(sys.argv[1]) / "disk", 8 * 2**20)
took = disk.fill()
assert 7 * 2**20 < took <= 8 * 2**20, took
try:
    (disk.path / "more").write_bytes(b"x")
    raise SystemExit("one byte more fitted")
except OSError as error:
    assert error.errno == errno.ENOSPC
assert disk.full
disk.free()
(disk.path / "more").write_bytes(b"x")
print("held")
"""
    program = tmp_path / "program.py"
    program.write_text(code)
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        env={key: value for key, value in os.environ.items() if key != "HW_SIM_NAMESPACE"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "held\n", done.stderr
    assert list((tmp_path / "disk").iterdir()) == [], "it was mounted in a namespace of its own"
