"""`hw-sim up`: comes up, prints two addresses, ends on Ctrl-C and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
import urllib.request
from pathlib import Path

import pytest

from hw_sim.waiting import until
from tests.system.test_scenarios import processes_of

pytestmark = pytest.mark.system
HW_SIM = str(Path(sys.executable).parent / "hw-sim")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_up_and_down(ending: signal.Signals) -> None:
    scratch = Path(f"/tmp/hp-up-{os.getpid()}-{ending.value}")
    scratch.mkdir()
    running = subprocess.Popen(
        [HW_SIM, "up", "--small"],
        env=os.environ | {"TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    up = threading.Event()
    ended = threading.Event()

    def read() -> None:
        assert running.stdout is not None
        for line in running.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                up.set()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert up.wait(60), lines
        urls = re.findall(r"http://127\.0\.0\.1:\d+/", "".join(lines))
        assert len(urls) == 2
        for url in urls:
            with urllib.request.urlopen(url, timeout=5) as page:
                assert page.status == 200
        printed = re.findall(r"^  (\S+ \S+ --config \S+)$", "".join(lines), re.MULTILINE)
        assert [command.split()[1] for command in printed] == ["status", "locks"]
        for command in printed:
            subprocess.run(command.split(), check=True, timeout=20, stdout=subprocess.DEVNULL)
        state = tomllib.loads(Path(printed[1].split()[-1]).read_text())["paths"]["state_dir"]
        assert (Path(state) / "boot.json").exists(), "another terminal looks at the unit's own disk"
        assert len(processes_of(scratch)) >= 7
        os.killpg(running.pid, ending) if ending == signal.SIGINT else running.kill()
        running.wait(20)
        assert ended.wait(5)
    finally:
        running.kill()
        running.wait()
    if ending == signal.SIGINT:
        assert running.returncode == 0
        assert "all processes have ended" in lines[-1]
        assert list(scratch.iterdir()) == []
    asyncio.run(until(lambda: processes_of(scratch) == [], 5, "every process is gone"))
    subprocess.run(["rm", "-rf", str(scratch)], check=True)
