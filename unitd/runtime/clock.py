"""The machine's clocks, and how far the wall clock may be trusted."""

import os
import time
from pathlib import Path

from unitd.messages.control_room import ClockQuality, Stamp
from unitd.model.clock import BUILD_UTC_S, differs


class SystemClock:
    """CLOCK_MONOTONIC for durations, CLOCK_REALTIME only to stamp. Thread-safe; no call blocks on anything but a stat.

    Quality: `synced` while the time service's flag file exists and the clock is not before this version was made;
    `held` when it was synced earlier in this process, the flag has gone and nobody has stepped the clock since;
    `unknown` otherwise.
    """

    def __init__(self, synchronized_file: Path) -> None:
        self._flag = str(synchronized_file)
        self._synced_offset_us: int | None = None
        self._bound: tuple[int, float] = (BUILD_UTC_S, time.monotonic())

    def mono_ns(self) -> int:
        return time.monotonic_ns()

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        now_ns, utc_ns = time.monotonic_ns(), time.time_ns()
        at_ns = now_ns if mono_ns is None else mono_ns
        quality = self._quality(utc_ns, (utc_ns - now_ns) // 1000)
        return Stamp(utc_us=(utc_ns - (now_ns - at_ns)) // 1000, clock=quality, mono_ns=at_ns)

    def not_before(self, utc_s: int) -> None:
        """True time is at least `utc_s` now: what the unit knew at some earlier time."""
        if utc_s > self.lower_bound_utc_s():
            self._bound = (utc_s, time.monotonic())

    def lower_bound_utc_s(self) -> float:
        """No true clock shows less now: what the clock said when it was last synchronised, what `not_before` was told,
        or the build's date; and the time since."""
        utc_s, since_s = self._bound
        return utc_s + time.monotonic() - since_s

    def _quality(self, utc_ns: int, offset_us: int) -> ClockQuality:
        if utc_ns < BUILD_UTC_S * 1_000_000_000:
            return "unknown"
        if os.path.exists(self._flag):  # noqa: PTH110 - many times a minute for ever, at a third of Path's cost
            self._synced_offset_us = offset_us
            self._bound = (utc_ns // 1_000_000_000, time.monotonic())  # lower too: the newest word counts
            return "synced"
        if self._synced_offset_us is None or differs(self._synced_offset_us, offset_us):
            return "unknown"
        return "held"
