"""What a core leaves to its successor about the button: when it was last watched, and what was wrong with it."""

import os
import queue
import time
from pathlib import Path

from tests.unit.core.test_button import WITHIN_S, FakeButton
from unitd.core.button import Felt, PressWatch
from unitd.core.early import KEPT, EarlyWatch
from unitd.core.latch import Latch, Latched
from unitd.core.panel import Panel
from unitd.core.watched import STAMP_EVERY_S, WatchedStamp
from unitd.model.contact import Kind
from unitd.runtime.clock import SystemClock


class Life:
    """One core's watch on a button of one or two lines, with its stamp."""

    def __init__(
        self, place: Path, button: FakeButton, nc: FakeButton | None = None, kind: Kind = "no", unbroken: bool = False
    ) -> None:
        self.presses: queue.Queue[Felt] = queue.Queue()
        self.told: queue.Queue[tuple[bool, str]] = queue.Queue()
        self.stamp = WatchedStamp(place, time.monotonic_ns())
        self.watch = PressWatch(
            button, Panel(), Latch(place), SystemClock(place / "synchronized"), "boot", 0.05, self.presses.put,
            lambda stuck: self.told.put((stuck, self.watch.fault)), nc=nc, kind=kind, stamp=self.stamp,
            unbroken=unbroken,
        )  # fmt: skip
        self.watch.start()

    def cycles(self, count: int = 3) -> None:
        """Wait until the press thread has been round so often."""
        deadline_s = time.monotonic() + WITHIN_S
        for _ in range(count):
            seen_ns = self.watch.alive_ns
            while self.watch.alive_ns == seen_ns:
                assert time.monotonic() < deadline_s
                time.sleep(0.002)


def test_the_first_core_of_a_boot_has_no_gap_and_the_next_knows_its_own(tmp_path: Path) -> None:
    first = Life(tmp_path, FakeButton())
    assert first.watch.gap is None
    first.cycles()
    before = WatchedStamp(tmp_path, time.monotonic_ns()).before
    assert before is not None
    assert time.monotonic_ns() - before.watched_ns < (STAMP_EVERY_S + 1.0) * 1e9
    second = Life(tmp_path, FakeButton())
    assert second.watch.gap is not None
    assert second.watch.gap.restarts == 1
    assert 0 <= second.watch.gap.blind_ns < 2e9
    third = Life(tmp_path, FakeButton(), unbroken=True)
    assert third.watch.gap == (0, 2)


def test_a_button_that_the_predecessor_knew_to_be_stuck_is_no_new_press(tmp_path: Path) -> None:
    button = FakeButton(closed=True)
    first = Life(tmp_path, button)
    first.presses.get(timeout=WITHIN_S)
    assert first.told.get(timeout=WITHIN_S) == (True, "")
    first.cycles()
    second = Life(tmp_path, button)
    assert second.watch.stuck
    second.cycles()
    assert second.presses.empty()
    button.edge(time.monotonic_ns(), False)
    assert second.told.get(timeout=WITHIN_S) == (False, "")
    second.cycles()
    button.edge(time.monotonic_ns(), True)
    second.presses.get(timeout=WITHIN_S)


def test_a_cut_cable_outlives_core_without_a_press_or_a_light(tmp_path: Path) -> None:
    no, nc = FakeButton(), FakeButton(closed=False)
    first = Life(tmp_path, no, nc, "no+nc")
    assert first.told.get(timeout=WITHIN_S) == (False, "button_cable")
    first.cycles()
    assert first.presses.empty()
    second = Life(tmp_path, no, nc, "no+nc")
    assert second.watch.fault == "button_cable"
    second.cycles()
    assert list((tmp_path / "latch").iterdir()) == []
    nc.edge(time.monotonic_ns(), True)
    assert second.told.get(timeout=WITHIN_S) == (False, "")
    assert second.presses.empty()


def test_a_press_of_two_lines_is_one_press(tmp_path: Path) -> None:
    no, nc = FakeButton(), FakeButton(closed=True)
    life = Life(tmp_path, no, nc, "no+nc")
    at_ns = time.monotonic_ns()
    nc.edge(at_ns, False)
    no.edge(at_ns + 3_000_000, True)
    assert life.presses.get(timeout=WITHIN_S).latched.mono_ns == at_ns
    life.cycles()
    assert life.presses.empty()


def test_a_contact_that_opens_when_pressed(tmp_path: Path) -> None:
    button = FakeButton(closed=True)
    life = Life(tmp_path, button, kind="nc")
    life.cycles()
    assert life.presses.empty()
    button.edge(time.monotonic_ns(), False)
    life.presses.get(timeout=WITHIN_S)
    assert life.told.get(timeout=WITHIN_S) == (True, "")


def test_rubbish_or_a_refusing_tmpfs_is_no_predecessor(tmp_path: Path) -> None:
    now_ns = time.monotonic_ns()
    for content in (b"", b"x" * 48, os.urandom(7), b"watched1" + b"\xff" * 40):
        (tmp_path / "watched").write_bytes(content)
        assert WatchedStamp(tmp_path, now_ns).before is None
    (tmp_path / "file").write_text("in the way")
    stamp = WatchedStamp(tmp_path / "file", now_ns)
    stamp.armed(now_ns, False, "")
    stamp.watched(now_ns)
    assert stamp.before is None


def test_a_stamp_of_the_future_is_of_another_boot(tmp_path: Path) -> None:
    now_ns = time.monotonic_ns()
    WatchedStamp(tmp_path, now_ns).armed(now_ns, False, "")
    assert WatchedStamp(tmp_path, now_ns - 1).before is None
    assert WatchedStamp(tmp_path, now_ns).before is not None


def test_presses_before_somebody_listens_wait_in_order() -> None:
    early, told = EarlyWatch(), []
    felt = [Felt(Latched(str(n), str(n), n, 0, "unknown", "b"), n, n, n) for n in range(KEPT + 2)]
    for each in felt[:-1]:
        early.on_press(each)
    early.on_stuck(True)
    early.attach(told.append, told.append)
    early.on_press(felt[-1])
    assert told == [*felt[:KEPT], True, felt[-1]]
    assert early.dropped == 1
