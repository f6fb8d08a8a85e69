"""The machine's clocks, and how far the wall clock may be trusted."""

import time
from pathlib import Path

from unitd.messages.control_room import ClockQuality, Stamp

BUILD_UTC_S = 1_790_000_000
"""No true clock can show less: a date just before this version was made (2026-09-21)."""


class SystemClock:
    """CLOCK_MONOTONIC for durations, CLOCK_REALTIME only to stamp. Thread-safe; no call blocks on anything but a stat.

    Quality: `synced` while the time service's flag file exists and the clock is not before this version was made;
    `held` when it was synced earlier in this process and the flag has gone; `unknown` otherwise.
    """

    def __init__(self, synchronized_file: Path) -> None:
        self._flag = synchronized_file
        self._was_synced = False

    def mono_ns(self) -> int:
        return time.monotonic_ns()

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        now_ns = time.monotonic_ns()
        at_ns = now_ns if mono_ns is None else mono_ns
        utc_us = (time.time_ns() - (now_ns - at_ns)) // 1000
        return Stamp(utc_us=utc_us, clock=self.quality(), mono_ns=at_ns)

    def quality(self) -> ClockQuality:
        """How far CLOCK_REALTIME is to be trusted now."""
        if time.time() < BUILD_UTC_S:
            return "unknown"
        try:
            synced = self._flag.exists()
        except OSError:
            synced = False
        if synced:
            self._was_synced = True
            return "synced"
        return "held" if self._was_synced else "unknown"
