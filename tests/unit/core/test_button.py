"""The press watch at its edges: armed on a closed contact, glitches, a stuck button."""

import queue
import time
from collections.abc import Callable
from pathlib import Path

from unitd.core.button import Felt, PressWatch
from unitd.core.latch import Latch
from unitd.core.panel import Panel
from unitd.runtime.clock import SystemClock

WITHIN_S = 5.0


class FakeButton:
    """A contact; `at_watch` is reported by the driver at the very moment it is watched."""

    def __init__(self, closed: bool = False, at_watch: bool | None = None) -> None:
        self._closed = closed
        self._at_watch = at_watch
        self._told: Callable[[int, bool], None] = lambda _at, _closed: None

    def edge(self, at_ns: int, closed: bool, lost: bool = False) -> None:
        self._closed = closed
        if not lost:
            self._told(at_ns, closed)

    def closed(self) -> bool:
        return self._closed

    def watch(self, on_edge: Callable[[int, bool], None]) -> None:
        self._told = on_edge
        if self._at_watch is not None:
            on_edge(time.monotonic_ns(), self._at_watch)

    def close(self) -> None:
        self._told = lambda _at, _closed: None


class Watched:
    """A press watch on a fake contact; what it tells is kept in queues."""

    def __init__(
        self, directory: Path, button: FakeButton, stuck_after_s: float = 60.0, panel: Panel | None = None
    ) -> None:
        self.presses: queue.Queue[Felt] = queue.Queue()
        self.stuck: queue.Queue[bool] = queue.Queue()
        self.latches = directory / "latch"
        self.watch = PressWatch(
            button,
            panel or Panel(),
            Latch(directory),
            SystemClock(directory / "synchronized"),
            "boot",
            stuck_after_s,
            self.presses.put,
            self.stuck.put,
        )
        self.watch.start()

    def latched(self) -> int:
        return len(list(self.latches.glob("*.json"))) if self.latches.exists() else 0

    def until(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline_s
            time.sleep(0.002)

    def no_press(self) -> bool:
        """After the press thread has been through another whole cycle."""
        seen_ns = self.watch.alive_ns
        self.until(lambda: self.watch.alive_ns > seen_ns)
        return self.presses.empty()


def test_a_contact_closed_at_the_start_is_one_press_however_it_is_learnt(tmp_path: Path) -> None:
    for number, button in enumerate((FakeButton(True), FakeButton(True, at_watch=True))):
        watched = Watched(tmp_path / str(number), button)
        felt = watched.presses.get(timeout=WITHIN_S)
        assert felt.latched_ns >= felt.light_ns >= felt.latched.mono_ns
        assert watched.latched() == 1
        assert watched.no_press()


def test_a_glitch_leaves_no_latch(tmp_path: Path) -> None:
    button = FakeButton()
    watched = Watched(tmp_path, button)
    now_ns = time.monotonic_ns()
    button.edge(now_ns, True)
    assert watched.latched() == 1
    button.edge(now_ns + 2_000_000, False)
    watched.until(lambda: watched.latched() == 0)
    assert watched.no_press()


def test_leaning_is_one_press_and_a_fault_that_heals(tmp_path: Path) -> None:
    button = FakeButton()
    watched = Watched(tmp_path, button, stuck_after_s=0.05)
    button.edge(time.monotonic_ns(), True)
    watched.presses.get(timeout=WITHIN_S)
    assert watched.stuck.get(timeout=WITHIN_S) is True
    button.edge(time.monotonic_ns(), False)
    assert watched.stuck.get(timeout=WITHIN_S) is False
    assert watched.presses.empty()


def test_a_press_after_a_restart_is_not_its_predecessors(tmp_path: Path) -> None:
    """What a predecessor left is read before the button is watched, so a press of our own is never served twice."""
    latch = Latch(tmp_path)
    left = latch.pending("boot")
    watched = Watched(tmp_path, FakeButton(True))
    watched.presses.get(timeout=WITHIN_S)
    assert left == []
    assert len(latch.pending("boot")) == 1


def test_a_press_whose_edge_was_lost_is_found_by_the_contact_itself(tmp_path: Path) -> None:
    button = FakeButton()
    watched = Watched(tmp_path, button)
    button.edge(time.monotonic_ns(), True, lost=True)
    watched.presses.get(timeout=WITHIN_S)
    assert watched.latched() == 1
    button.edge(time.monotonic_ns(), False, lost=True)
    seen_ns = watched.watch.alive_ns + 1_500_000_000
    watched.until(lambda: watched.watch.alive_ns > seen_ns)
    button.edge(time.monotonic_ns(), True)
    watched.presses.get(timeout=WITHIN_S)


class BrokenLamp:
    """A pin that has gone."""

    def show(self, _level: str) -> None:
        raise OSError("no such line")

    def close(self) -> None:
        raise OSError("no such line")


def test_a_lamp_that_fails_costs_no_press(tmp_path: Path) -> None:
    panel = Panel()
    panel.fit("yellow", BrokenLamp())
    button = FakeButton()
    watched = Watched(tmp_path, button, panel=panel)
    button.edge(time.monotonic_ns(), True)
    watched.presses.get(timeout=WITHIN_S)
    assert panel.failed
    panel.close()
