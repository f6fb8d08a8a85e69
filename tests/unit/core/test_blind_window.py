"""Edges that waited in the kernel while no core ran: the real driver, latch, filter and press thread on them."""

from __future__ import annotations

import queue
import time
from pathlib import Path

import pytest

from tests.unit.drivers.kernel_line import FALLING, RISING, FakeKernel, FakeStore, event
from unitd.core.button import Felt, PressWatch
from unitd.core.latch import Latch
from unitd.core.panel import Panel
from unitd.drivers.gpio_line import KernelButton
from unitd.runtime.clock import SystemClock

MS = 1_000_000
AGO_NS = 5_000 * MS
Edges = list[tuple[float, bool]]


class Restarted:
    """A core that takes its lines over from a dead one, each with the edges that waited: (ms, closed)."""

    def __init__(self, place: Path, waiting: Edges, nc: list[tuple[float, bool]] | None = None) -> None:
        self.base_ns = time.monotonic_ns() - AGO_NS
        self.presses: queue.Queue[Felt] = queue.Queue()
        self.latches = place / "latch"
        self.no = self._line(waiting)
        self.nc = None if nc is None else self._line(nc, at_rest_closed=True)
        self.watch = PressWatch(
            self.no, Panel(), Latch(place), SystemClock(place / "synchronized"), "boot", 60.0, self.presses.put,
            lambda _stuck: None, nc=self.nc, kind="no" if nc is None else "no+nc", unbroken=True,
        )  # fmt: skip
        self.watch.start()

    def _line(self, waiting: Edges, at_rest_closed: bool = False) -> KernelButton:
        kernel, store = FakeKernel(), FakeStore()
        KernelButton("auto", 17, "low", store, kernel=kernel)
        edges = enumerate(waiting, 1)
        kernel.edges(*(event(self.base_ns + int(ms * MS), FALLING if shut else RISING, n) for n, (ms, shut) in edges))
        kernel.level_high = not (waiting[-1][1] if waiting else at_rest_closed)
        store.next_life()
        line = KernelButton("auto", 17, "low", store, kernel=kernel)
        assert line.adopted
        return line

    def pressed_ms(self) -> list[float]:
        """When the presses were, relative to the first edge's zero; all of them, for nothing more is to come."""
        until_s = time.monotonic() + 5
        settled = self.watch.alive_ns
        while self.watch.alive_ns - settled < 300 * MS:  # the filter has had its 50 ms, and the thread whole cycles
            assert time.monotonic() < until_s
            time.sleep(0.005)
        found = []
        while not self.presses.empty():
            found.append((self.presses.get().latched.mono_ns - self.base_ns) / MS)
        return found

    def latched(self) -> int:
        return len(list(self.latches.glob("*.json"))) if self.latches.exists() else 0


@pytest.mark.parametrize(
    ("waiting", "pressed_ms"),
    [
        ([(0, True), (300, False)], [0]),
        ([(0, True), (300, False), (900, True), (1200, False)], [0, 900]),
        ([(0, True), (3, False), (5, True), (300, False), (304, True), (306, False)], [0]),  # it bounces
        ([(0, True)], [0]),  # and is still held
        ([(300, False)], []),  # its beginning was the predecessor's, who latched it
        ([], []),
    ],
)
def test_what_was_done_in_the_blind_window_is_what_is_served(
    tmp_path: Path, waiting: Edges, pressed_ms: list[float]
) -> None:
    core = Restarted(tmp_path, waiting)
    assert core.pressed_ms() == pressed_ms
    assert core.latched() == len(pressed_ms)


def test_sparks_in_the_blind_window_are_no_press(tmp_path: Path) -> None:
    """They are read long after they ended: only their own times tell them from a press."""
    core = Restarted(tmp_path, [(each * 60.0 + width, width == 0) for each in range(40) for width in (0, 4)])
    assert core.pressed_ms() == []
    until_s = time.monotonic() + 5
    while core.latched():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_both_lines_of_a_contact_are_judged_in_the_order_of_their_edges(tmp_path: Path) -> None:
    no: Edges = [(2, True), (300, False), (902, True), (1200, False)]
    nc: Edges = [(0, False), (302, True), (900, False), (1202, True)]
    core = Restarted(tmp_path, no, nc)
    assert core.pressed_ms() == [2, 900]  # the first was latched by the line that was read first
    assert core.watch.fault == ""
