"""Processes are kept as systemd keeps them, and none outlives who started it."""

from __future__ import annotations

import asyncio
import configparser
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hw_sim.processes import ABORT_TIMEOUT_S, CARE, PROCESSES, Care, KeptProcess, bound_to_us
from hw_sim.waiting import until

ROOT = Path(__file__).resolve().parents[3]
READY = (
    "import socket,os,sys,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); "
    "s.connect(os.environ['NOTIFY_SOCKET'])"
)
FEEDING = f"{READY}; s.send(b'READY=1')\nwhile True: s.send(b'WATCHDOG=1'); time.sleep(0.05)"
SILENT = f"{READY}; s.send(b'READY=1'); time.sleep(600)"


def _seconds(text: str) -> float:
    return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


@pytest.mark.parametrize("name", PROCESSES)
def test_the_figures_are_those_of_the_units(name: str) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / "systemd" / f"unitd-{name}.service")
    service = unit["Service"]
    figures = [_seconds(service[key]) for key in ("WatchdogSec", "RestartSec", "TimeoutStartSec")]
    assert Care(*figures) == CARE[name]
    assert _seconds(service["TimeoutAbortSec"]) == ABORT_TIMEOUT_S
    assert service["TimeoutStartFailureMode"] == "abort"
    assert f"unitd {name} --config" in service["ExecStart"]


def kept(tmp_path: Path, code: str, care: Care) -> KeptProcess:
    environment = {"PATH": os.environ["PATH"]}
    return KeptProcess("core", [sys.executable, "-c", code], environment, tmp_path, tmp_path, care)


def test_a_killed_process_is_back_and_stop_ends_it(tmp_path: Path) -> None:
    async def run() -> None:
        process = kept(tmp_path, FEEDING, Care(watchdog_s=30, restart_s=0.01))
        await process.start()
        await process.wait_ready(10)
        first = process.pid
        process.send_signal(signal.SIGKILL)
        await process.wait_ready(10, since_start=1)
        assert process.pid not in (None, first)
        pid = process.pid
        await process.stop()
        assert not process.running
        assert pid is not None
        assert not psutil.pid_exists(pid)

    asyncio.run(run())


def test_one_that_does_not_feed_its_watchdog_is_killed_and_back(tmp_path: Path) -> None:
    async def run() -> None:
        process = kept(tmp_path, SILENT, Care(watchdog_s=0.2, restart_s=0.01))
        await process.start()
        await process.wait_ready(10, since_start=1)
        assert process.last_status == -signal.SIGABRT
        await process.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import time; time.sleep(600)", id="never ready"),
        pytest.param(f"{READY}; s.send(b'EXTEND_TIMEOUT_USEC=300000'); time.sleep(600)", id="hung in a later step"),
        pytest.param(
            f"import signal; signal.signal(signal.SIGABRT, signal.SIG_IGN)\n{SILENT}", id="deaf to the first signal"
        ),
        pytest.param(
            f"{READY}; s.send(b'READY=1')\nwhile True: s.send(b'WATCHDOG=trigger'); time.sleep(0.05)",
            id="says itself that it hangs",
        ),
    ],
)
def test_whatever_hangs_is_ended_and_started_again(tmp_path: Path, code: str) -> None:
    async def run() -> None:
        process = kept(tmp_path, code, Care(watchdog_s=0.3, restart_s=0.01, start_s=0.5))
        await process.start()
        await until(lambda: process.starts >= 2, 10, "a second start")
        assert process.last_status in (-signal.SIGABRT, -signal.SIGKILL)
        await process.stop()

    asyncio.run(run())


def test_a_start_that_goes_on_step_by_step_is_waited_for(tmp_path: Path) -> None:
    """Each step asks for more time, and the whole takes three times what one may."""
    code = (
        f"{READY}\nfor _ in range(6): s.send(b'EXTEND_TIMEOUT_USEC=2000000'); time.sleep(0.25)\n"
        "s.send(b'READY=1')\nwhile True: s.send(b'WATCHDOG=1'); time.sleep(0.05)"
    )

    async def run() -> None:
        process = kept(tmp_path, code, Care(watchdog_s=30, restart_s=0.01, start_s=0.5))
        await process.start()
        await process.wait_ready(10)
        assert process.starts == 1
        await process.stop()

    asyncio.run(run())


def test_fail__a_refused_configuration_is_said_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        code = "import sys; print('unit.toml: mend it', file=sys.stderr); sys.exit(2)"
        process = kept(tmp_path, code, Care(watchdog_s=30, restart_s=0.01))
        await process.start()
        with pytest.raises(RuntimeError, match="mend it"):
            await process.wait_ready(10)
        await process.stop()

    asyncio.run(run())


def test_nothing_outlives_a_killed_simulator() -> None:
    child = bound_to_us([sys.executable, "-c", "import time; time.sleep(600)"])
    code = f"import subprocess,time; p=subprocess.Popen({child!r}); print(p.pid, flush=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())

    def gone() -> bool:
        return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    async def wait() -> None:
        # Until setpriv has armed the death signal, its name is in the command line (before its exec: in the parent's).
        def armed() -> bool:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            return line != b"" and b"setpriv" not in line

        await until(armed, 5, "the child runs")
        parent.kill()
        await until(gone, 5, "the child is gone")

    asyncio.run(wait())
    parent.wait()
    parent.stdout.close()
