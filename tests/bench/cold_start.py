"""How long core takes from its start until it is armed, as systemd sees it (READY=1)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import unitd
from hw_sim.processes import bound_to_us, program
from tests.bench.figures import Row, median
from tests.bench.progress import Progress
from tests.system.core_alone import BUTTON, World, world

STARTS = 9
COLD_STARTS = 3
CEILING_S = 0.5
READY_WITHIN_S = 15.0


def start_once(w: World, directory: Path) -> float:
    """Start core, wait for READY=1, stop it: seconds from before the start to READY. Blocks."""
    path = directory / "notify.sock"
    path.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "GPIOZERO_PIN_FACTORY": "hwsim",
        "HW_SIM_GPIO": str(w.gpio.path),
        "NOTIFY_SOCKET": str(path),
    }
    command = bound_to_us([program("unitd"), "core", "--config", str(w.config)])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(path))
        notified.settimeout(READY_WITHIN_S)
        began_s = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            while b"READY=1" not in (message := notified.recv(4096)).split(b"\n"):
                pass
            took_s = time.monotonic() - began_s
            if b"STATUS=armed" not in message or not w.gpio.held(BUTTON):
                raise RuntimeError(f"core is ready but not armed: {message.decode()}")
            return took_s
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
            if process.poll() is None:
                process.kill()
                process.wait()


def forget_files() -> None:
    """Have the kernel drop from its cache what core reads at its start: the interpreter's library, ours and others'.

    What some other process has mapped (shared libraries) stays. Blocks for a second or two.
    """
    places = {sysconfig.get_paths()[each] for each in ("stdlib", "purelib", "platlib")}
    places |= {str(Path(unitd.__file__).parent), "/usr/lib/python3/dist-packages"}
    for place in places:
        for directory, _, names in os.walk(place):
            for name in names:
                if name.endswith((".py", ".pyc", ".so")):
                    _forget(Path(directory) / name)


def _forget(file: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


async def measure(progress: Progress) -> list[Row]:
    """STARTS starts of a core alone with a broker; the first one, which warms the file cache, does not count."""
    took: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-start-") as directory:
        async with world(Path(directory)) as w:
            for number in range(STARTS + 1):
                # on this thread: the kernel ends core with the thread that started it
                took.append(start_once(w, Path(directory)))
                progress.step(f"start {number + 1} of {STARTS + 1}")
                await asyncio.sleep(0)
            cold: list[float] = []
            for number in range(COLD_STARTS):
                progress.step(f"cold start {number + 1} of {COLD_STARTS}")
                await asyncio.to_thread(forget_files)
                cold.append(start_once(w, Path(directory)))
    took = took[1:]
    note = f"median of {STARTS}, slowest {max(took):.2f} s, the first {took[0]:.2f} s; file cache warm"
    cold_note = f"median of {COLD_STARTS}, slowest {max(cold):.2f} s; Python's files dropped from the file cache before"
    return [
        Row("core, start to armed", median(took), "s", CEILING_S, note),
        Row("core, start to armed, file cache cold", median(cold), "s", CEILING_S, cold_note),
    ]
