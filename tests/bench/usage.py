"""CPU time and memory of a running process, from /proc by psutil."""

from __future__ import annotations

from pathlib import Path

import psutil

MB = 1e6


def cpu_s(pid: int) -> float:
    """CPU seconds of all its threads so far, user and system; the kernel tells 10 ms steps."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def run_s(pid: int) -> float:
    """As `cpu_s`, by the scheduler's own count in nanoseconds; of the threads that live now."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def written_bytes(pid: int) -> int:
    """What it has made the block layer write: pages are counted when they become dirty, a page that is written in two
    halves with a sync between them twice. The file system's own journal is not in it."""
    return int(psutil.Process(pid).io_counters().write_bytes)


def rss_mb(pid: int) -> float:
    """Resident memory. Pages shared with other processes (libraries) count in each of them."""
    return float(psutil.Process(pid).memory_info().rss) / MB


def pss_mb(pid: int) -> float:
    """Resident memory with each shared page divided by those who share it: what adds up over processes."""
    return float(psutil.Process(pid).memory_full_info().pss) / MB
