"""An edge that the driver hands over late, because the machine was busy, is judged by its own time and not by ours."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from unitd.core.button import LATE_S, Felt, PressWatch
from unitd.core.latch import Latch
from unitd.core.panel import Panel
from unitd.runtime.clock import SystemClock

MS = 1_000_000


class Contact:
    """What it is now, and a driver that tells of it when the test says so."""

    def __init__(self) -> None:
        self.now = False
        self.tell: Callable[[int, bool], None] = lambda _mono_ns, _closed: None
        self.broken = False

    def closed(self) -> bool:
        if self.broken:
            raise OSError("cannot be read")
        return self.now

    def watch(self, on_edge: Callable[[int, bool], None]) -> None:
        self.tell = on_edge

    def close(self) -> None: ...


def watched(place: Path, contact: Contact) -> tuple[PressWatch, queue.Queue[Felt]]:
    presses: queue.Queue[Felt] = queue.Queue()
    watch = PressWatch(
        contact, Panel(), Latch(place), SystemClock(place / "synchronized"), "boot", 60.0, presses.put, lambda _: None
    )
    watch.start()
    return watch, presses


@pytest.mark.parametrize(("open_after_ms", "presses"), [(3, 0), (12, 1)])
def test_a_late_edge_decides_by_its_own_time(tmp_path: Path, open_after_ms: int, presses: int) -> None:
    contact = Contact()
    watch, found = watched(tmp_path, contact)
    closed_ns = time.monotonic_ns()
    contact.tell(closed_ns, True)  # and it is open again already
    seen_ns = watch.alive_ns
    while watch.alive_ns - seen_ns < 30 * MS:  # the press thread has long wanted to decide
        time.sleep(0.002)
    contact.tell(closed_ns + open_after_ms * MS, False)
    end_ns = time.monotonic_ns() + 300 * MS
    while watch.alive_ns < end_ns:
        time.sleep(0.005)
    assert found.qsize() == presses


@pytest.mark.parametrize("broken", [False, True])
def test_an_edge_that_never_comes_and_a_contact_that_cannot_be_read_delay_a_press_a_little(
    tmp_path: Path, broken: bool
) -> None:
    contact = Contact()
    _, found = watched(tmp_path, contact)
    contact.broken = broken
    started_s = time.monotonic()
    contact.tell(time.monotonic_ns(), True)
    found.get(timeout=5)
    assert (time.monotonic() - started_s < LATE_S) is broken
