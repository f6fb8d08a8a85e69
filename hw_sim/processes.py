"""The daemon's five processes, started and kept as systemd does it in the field, and none outlives the simulator.

Same command lines, the same notify socket, watchdog, start time-out and restart pauses as in systemd/*.service (a test
compares the figures). Logs go to one file per process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROCESSES = ("core", "field", "record", "call", "sense")
STOP_TIMEOUT_S = 5.0
ABORT_TIMEOUT_S = 2.0
GUARD_LOOKS_S = 0.1
BAD_CONFIG_STATUS = 2


@dataclass(frozen=True)
class Care:
    """What the process's unit file asks of systemd: WatchdogSec, RestartSec, TimeoutStartSec."""

    watchdog_s: float
    restart_s: float
    start_s: float = 12.0


CARE = {
    "core": Care(watchdog_s=10.0, restart_s=0.1, start_s=10.0),
    "field": Care(watchdog_s=10.0, restart_s=1.0),
    "record": Care(watchdog_s=10.0, restart_s=1.0),
    "call": Care(watchdog_s=10.0, restart_s=1.0),
    "sense": Care(watchdog_s=10.0, restart_s=2.0),
}


def bound_to_us(command: Sequence[str]) -> list[str]:
    """`command`, killed by the kernel when the thread that starts it ends, however that comes about.

    Start it from the thread that runs the loop (setpriv(1), PR_SET_PDEATHSIG); the process id stays the same. Give it
    `process_group=0`, so that a terminal's Ctrl-C reaches the simulator alone, which then ends all in order.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


def program(name: str) -> str:
    """A console script of the environment this interpreter belongs to."""
    return str(Path(sys.executable).parent / name)


class KeptProcess:
    """One process, started again whenever it ends, until `stop`.

    `ready_mono_ns` is when it last said READY=1, or None while it has not; `starts` counts; `on_change` is called
    after each start, READY and end. All methods on the loop that called `start`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        log_directory: Path,
        care: Care | None = None,
        on_change: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self.name = name
        self.care = care or CARE[name]
        self.log_file = log_directory / f"{name}.jsonl"
        self.error_file = log_directory / f"{name}.stderr"
        self.starts = 0
        self.last_start_mono_ns = 0
        self.ready_mono_ns: int | None = None
        self.last_status: int | None = None
        self._command, self._environment, self._directory = list(command), dict(environment), directory
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._due_mono_s = 0.0
        self._socket: socket.socket | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    @property
    def running(self) -> bool:
        return self.pid is not None

    async def start(self) -> None:
        """Begin to keep it running; returns at once."""
        if self._task is None:
            self._stopping = False
            self._listen()
            self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"keep {self.name}")

    async def wait_ready(self, timeout_s: float, since_start: int = 0) -> int:
        """Wait until it is ready after more than `since_start` starts; returns the READY's monotonic ns.

        Raises RuntimeError at once when it refuses its configuration, with its own words; TimeoutError otherwise.
        """
        async with asyncio.timeout(timeout_s):
            while self.ready_mono_ns is None or self.starts <= since_start:
                if self.last_status == BAD_CONFIG_STATUS:
                    raise RuntimeError(f"{self.name}: {self.last_words()}")
                self._changed.clear()
                await self._changed.wait()
            return self.ready_mono_ns

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it is not running."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def stop(self) -> None:
        """End it in order, by force after STOP_TIMEOUT_S, and keep it ended."""
        self._stopping = True
        self.send_signal(signal.SIGCONT)
        self.send_signal(signal.SIGTERM)
        process = self._process
        if process is not None and process.returncode is None:
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self.send_signal(signal.SIGKILL)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def last_words(self) -> str:
        """The end of what it wrote to stderr, for a person."""
        try:
            return self.error_file.read_text(errors="replace")[-600:].strip() or "it said nothing"
        except OSError:
            return "it said nothing"

    # --- inside -----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        path = self._directory / f"notify-{self.name}.sock"
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self._environment |= {
            "NOTIFY_SOCKET": str(path),
            "WATCHDOG_USEC": str(int(self.care.watchdog_s * 1e6)),
        }
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._notified)

    def _notified(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(BlockingIOError):
            while message := self._socket.recv(4096):
                for line in message.decode(errors="replace").split("\n"):
                    self._obey(line)

    def _obey(self, line: str) -> None:
        """One assignment of sd_notify(3), as far as our processes use it."""
        now_s = time.monotonic()
        if line == "READY=1":
            self._due_mono_s = now_s + self.care.watchdog_s
            self.ready_mono_ns = time.monotonic_ns()
            self._tell()
        elif line == "WATCHDOG=1" and self.ready_mono_ns is not None:
            self._due_mono_s = now_s + self.care.watchdog_s
        elif line == "WATCHDOG=trigger":
            self._due_mono_s = now_s
        elif line.startswith("EXTEND_TIMEOUT_USEC=") and self.ready_mono_ns is None:
            self._due_mono_s = max(self._due_mono_s, now_s + int(line.partition("=")[2]) / 1e6)

    async def _keep(self) -> None:
        while True:
            await self._run_once()
            if self._stopping:
                return
            await asyncio.sleep(self.care.restart_s)

    async def _run_once(self) -> None:
        self.ready_mono_ns = None
        with self.log_file.open("ab") as log, self.error_file.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *bound_to_us(self._command),
                process_group=0,
                cwd=self._directory,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=errors,
            )
        self.starts += 1
        self.last_start_mono_ns = time.monotonic_ns()
        self._due_mono_s = time.monotonic() + self.care.start_s
        self._tell()
        process = self._process
        guard = asyncio.get_running_loop().create_task(self._guard(process))
        try:
            self.last_status = await process.wait()
        finally:
            guard.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            self.ready_mono_ns = None
            self._tell()

    async def _guard(self, process: asyncio.subprocess.Process) -> None:
        """systemd's start time-out and, after READY, its watchdog: SIGABRT when the next word is late, then SIGKILL."""
        while True:
            await asyncio.sleep(GUARD_LOOKS_S)
            if time.monotonic() < self._due_mono_s:
                continue
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGABRT)
            await asyncio.sleep(ABORT_TIMEOUT_S)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return

    def _tell(self) -> None:
        self._changed.set()
        self._on_change(self.name)
