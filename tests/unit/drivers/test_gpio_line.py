"""The button on a kernel line, with the kernel played by a socket pair and systemd by a store in memory."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.drivers.kernel_line import FALLING, RISING, FakeKernel, FakeStore, event
from unitd.drivers import gpio_uapi as uapi
from unitd.drivers.gpio_line import KernelButton
from unitd.errors import DeviceError

MS = 1_000_000


class Edges:
    """What the driver told, and on which threads."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []
        self.threads: set[str] = set()
        self.lost = ""
        self._changed = threading.Condition()

    def take(self, mono_ns: int, closed: bool) -> None:
        with self._changed:
            self.seen.append((mono_ns, closed))
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def lose(self, why: str) -> None:
        with self._changed:
            self.lost = why
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, 5), self.seen

    def wait_lost(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self.lost), 5)


@pytest.fixture
def kernel() -> Iterator[FakeKernel]:
    kernel = FakeKernel()
    yield kernel
    if hasattr(kernel, "far"):
        kernel.far.close()


def button(kernel: FakeKernel, store: FakeStore, chip: str = "auto", level: str = "low") -> KernelButton:
    return KernelButton(chip, 17, level, store, kernel=kernel)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def dies(line: KernelButton) -> None:
    """Killed: nothing of it is left but what the store keeps."""
    for fd in (line._fd, line._wake):
        os.close(fd)


def test_a_line_is_requested_as_an_input_with_its_pull_and_stored(kernel: FakeKernel) -> None:
    store = FakeStore()
    line = button(kernel, store)
    both = uapi.FLAG_EDGE_RISING | uapi.FLAG_EDGE_FALLING
    assert kernel.requests == [
        ("/dev/gpiochip0", 17, "unitd", uapi.FLAG_INPUT | both | uapi.FLAG_BIAS_PULL_UP),
    ]
    assert (line.adopted, line.kept, list(store.kept)) == (False, True, ["button"])
    line.close()
    assert not store.kept


def test_edges_come_with_the_kernels_time_on_the_drivers_thread(kernel: FakeKernel) -> None:
    line, edges = button(kernel, FakeStore()), Edges()
    line.watch(edges.take)
    kernel.edges(event(5 * MS, FALLING, 1), event(305 * MS, RISING, 2))
    edges.wait(2)
    assert edges.seen == [(5 * MS, True), (305 * MS, False)]  # to ground is closed
    assert edges.threads == {"button line"}
    line.close()


def test_a_contact_to_the_supply_is_closed_when_high(kernel: FakeKernel) -> None:
    line, edges = button(kernel, FakeStore(), level="high"), Edges()
    assert kernel.requests[0][3] & uapi.FLAG_BIAS_PULL_DOWN
    assert line.closed()
    line.watch(edges.take)
    kernel.edges(event(5 * MS, RISING, 1))
    edges.wait(1)
    assert edges.seen == [(5 * MS, True)]
    line.close()


def test_a_successor_gets_the_edges_of_the_blind_window_before_watch_returns(kernel: FakeKernel) -> None:
    store = FakeStore()
    dies(button(kernel, store))
    kernel.edges(event(7 * MS, FALLING, 1), event(307 * MS, RISING, 2))
    store.next_life()
    line, edges = button(kernel, store), Edges()
    assert line.adopted
    line.watch(edges.take)
    assert edges.seen == [(7 * MS, True), (307 * MS, False)]
    assert line.waiting_edges == 2
    assert edges.threads == {threading.current_thread().name}
    assert len(kernel.requests) == 1
    kernel.edges(event(900 * MS, FALLING, 3))
    edges.wait(3)
    assert line.lost_edges == 0
    line.close()
    assert not store.kept


@pytest.mark.parametrize("what", ["offset", "chip", "pull", "consumer", "no line", "chip removed"])
def test_a_descriptor_that_is_not_this_very_line_is_not_adopted(kernel: FakeKernel, what: str) -> None:
    store = FakeStore()
    before = open_descriptors()
    dies(KernelButton("/dev/gpiochip0", 4 if what == "offset" else 17, "low", store, kernel=kernel))
    if what == "chip":
        kernel.labels = {"/dev/gpiochip4": "pinctrl-rp1"}
    if what == "consumer":
        kernel.consumer = "somebody"
    if what == "no line":
        kernel.lines.clear()
    kernel.gone = what == "chip removed"
    store.next_life()
    line = button(kernel, store, level="high" if what == "pull" else "low")
    assert not line.adopted
    assert len(kernel.requests) == 2
    assert len(store.kept["button"]) == 1  # the old one was dropped, the new one stored
    line.close()
    assert open_descriptors() == before + 1  # the kernel's own end


def test_a_failed_request_leaks_nothing_and_names_the_reason(kernel: FakeKernel) -> None:
    kernel.refusal = errno.EBUSY
    before = open_descriptors()
    with pytest.raises(DeviceError, match="line 17 of /dev/gpiochip0: is held by 'unitd'"):
        button(kernel, FakeStore())
    kernel.refusal = errno.EACCES
    with pytest.raises(DeviceError, match="group"):
        button(kernel, FakeStore())
    assert open_descriptors() == before


def test_auto_finds_the_header_by_its_label_whatever_its_number(kernel: FakeKernel) -> None:
    kernel.labels = {"/dev/gpiochip0": "raspberrypi-exp-gpio", "/dev/gpiochip4": "pinctrl-rp1"}
    line = button(kernel, FakeStore())
    assert kernel.requests[0][0] == "/dev/gpiochip4"
    line.close()
    kernel.labels = {"/dev/gpiochip0": "gpio-sim"}
    with pytest.raises(DeviceError, match=r"gpiochip0 \(gpio-sim\)"):
        button(kernel, FakeStore())


def test_a_gap_in_the_numbers_is_counted_and_the_level_read_anew(kernel: FakeKernel) -> None:
    line, edges = button(kernel, FakeStore()), Edges()
    line.watch(edges.take)
    kernel.level_high = False
    before_ns = time.monotonic_ns()
    kernel.edges(event(1 * MS, FALLING, 1), event(2 * MS, RISING, 5))
    edges.wait(3)
    assert edges.seen[:2] == [(1 * MS, True), (2 * MS, False)]
    at_ns, closed = edges.seen[2]
    assert closed and at_ns >= before_ns
    assert line.lost_edges == 3
    line.close()


def test_a_queue_that_was_full_makes_the_level_count(kernel: FakeKernel) -> None:
    store = FakeStore()
    dies(button(kernel, store))
    kernel.level_high = False
    kernel.edges(*(event(n * MS, FALLING if n % 2 else RISING, n) for n in range(1, uapi.EVENT_BUFFER_EVENTS + 1)))
    store.next_life()
    line, edges = button(kernel, store), Edges()
    line.watch(edges.take)
    assert line.waiting_edges == uapi.EVENT_BUFFER_EVENTS
    assert edges.seen[-2] == (uapi.EVENT_BUFFER_EVENTS * MS, False)
    assert edges.seen[-1][1]
    line.close()


def test_a_line_whose_chip_has_gone_is_told_once_and_dropped(kernel: FakeKernel) -> None:
    store = FakeStore()
    edges = Edges()
    line = KernelButton("auto", 17, "low", store, on_lost=edges.lose, kernel=kernel)
    line.watch(edges.take)
    kernel.gone = True
    kernel.far.close()
    edges.wait_lost()
    assert not store.kept
    with pytest.raises(DeviceError, match="No such device"):
        line.closed()
    line.close()


def test_a_store_that_cannot_be_reached_takes_nothing_from_the_button(kernel: FakeKernel) -> None:
    line, edges = button(kernel, FakeStore(reachable=False)), Edges()
    assert not line.kept
    line.watch(edges.take)
    kernel.edges(event(1 * MS, FALLING, 1))
    edges.wait(1)
    line.close()
