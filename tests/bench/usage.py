"""CPU time and memory of a running process, from /proc by psutil."""

from __future__ import annotations

import psutil

MB = 1e6


def cpu_s(pid: int) -> float:
    """CPU seconds of all its threads so far, user and system; the kernel tells 10 ms steps."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def rss_mb(pid: int) -> float:
    """Resident memory. Pages shared with other processes (libraries) count in each of them."""
    return float(psutil.Process(pid).memory_info().rss) / MB


def pss_mb(pid: int) -> float:
    """Resident memory with each shared page divided by those who share it: what adds up over processes."""
    return float(psutil.Process(pid).memory_full_info().pss) / MB
