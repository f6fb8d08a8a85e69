"""The button's loop on the simulated pins: contacts, stretcher, cable, and what a restarted process sees."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw_sim.devices.gpio import SocketFactory
from hw_sim.devices.gpio_bench import GpioBench
from hw_sim.devices.gpio_loop import TRAVEL_MS, ButtonLoop, CableFault, Kind

NO, NC = 17, 27
WITHIN_S = 5.0
MS = 1_000_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[GpioBench]:
    with GpioBench(tmp_path / "gpio.sock") as bench:
        yield bench


class Holder:
    """A process that holds both lines with pull-ups, and what it is told: (line, level, mono_ns)."""

    def __init__(self, bench: GpioBench) -> None:
        self.told: list[tuple[str, bool, int]] = []
        self._arrived = threading.Condition()
        self.factory = SocketFactory(str(bench.path))
        self.pins = {}
        for name, number in (("no", NO), ("nc", NC)):
            pin = self.factory.pin(number)
            pin.input_with_pull("up")
            pin.when_changed = self._taker(name)
            self.pins[name] = pin

    def _taker(self, name: str):  # type: ignore[no-untyped-def]
        def take(ticks: float, level: int) -> None:
            with self._arrived:
                self.told.append((name, bool(level), round(ticks * 1e9)))
                self._arrived.notify_all()

        self.__dict__[f"_keep_{name}"] = take
        return take

    def wait(self, count: int) -> list[tuple[str, bool, int]]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.told) >= count, WITHIN_S), self.told
        return list(self.told)

    def levels(self) -> tuple[bool, bool]:
        return bool(self.pins["no"].state), bool(self.pins["nc"].state)


@pytest.fixture
def holder(bench: GpioBench) -> Iterator[Holder]:
    ButtonLoop(bench, NO, NC, "no+nc")
    holder = Holder(bench)
    yield holder
    holder.factory.close()


def test_a_touch_moves_nc_and_then_no_and_the_stretcher_holds_both(bench: GpioBench, holder: Holder) -> None:
    loop = ButtonLoop(bench, NO, NC, "no+nc", stretch_s=0.3)
    assert holder.levels() == (True, False)  # NC pulls its line to ground at rest
    at_ns = loop.press(duration_ms=20)
    told = holder.wait(4)
    assert [(name, level) for name, level, _ in told] == [("nc", True), ("no", False), ("nc", False), ("no", True)]
    travel_ns = int(TRAVEL_MS * MS)
    held_ns = 300 * MS
    expected = [at_ns, at_ns + travel_ns, at_ns + held_ns, at_ns + held_ns + travel_ns]
    assert all(abs(seen - due) < 1000 for (_, _, seen), due in zip(told, expected, strict=True))
    assert not loop.touched
    assert not loop.held


def test_a_touch_longer_than_the_stretcher_ends_with_the_finger(bench: GpioBench, holder: Holder) -> None:
    loop = ButtonLoop(bench, NO, NC, "no+nc", stretch_s=0.05)
    at_ns = loop.press(duration_ms=200)
    assert abs(holder.wait(4)[2][2] - (at_ns + 200 * MS)) < 1000


def test_the_stretcher_triggers_again_at_every_closure(bench: GpioBench, holder: Holder) -> None:
    loop = ButtonLoop(bench, NO, NC, "no+nc", stretch_s=0.2)
    at_ns = loop.bounce([1, 2, 1, 100, 20])
    told = holder.wait(4)
    assert [level for name, level, _ in told if name == "no"] == [False, True]
    assert abs(told[2][2] - (at_ns + (104 + 200) * MS)) < 1000


@pytest.mark.parametrize(
    ("kind", "fault", "at_rest", "pressed"),
    [
        ("no+nc", "", (True, False), (False, True)),
        ("no+nc", "cut", (True, True), (True, True)),
        ("no+nc", "no_wire", (True, False), (True, True)),
        ("no+nc", "nc_shorted", (True, False), (False, False)),
        ("no+nc", "no_shorted", (False, False), (False, True)),
        ("no", "", (True, True), (False, True)),
        ("no", "cut", (True, True), (True, True)),
    ],
)
def test_what_the_unit_sees_of_each_fault(
    bench: GpioBench, kind: Kind, fault: CableFault, at_rest: tuple[bool, bool], pressed: tuple[bool, bool]
) -> None:
    loop = ButtonLoop(bench, NO, NC, kind)
    loop.break_cable(fault)
    holder = Holder(bench)
    assert holder.levels() == at_rest
    at_ns = loop.press()
    deadline_s = time.monotonic() + WITHIN_S
    while not (holder.levels() == pressed and time.monotonic_ns() > at_ns + 2 * TRAVEL_MS * MS):
        assert time.monotonic() < deadline_s, holder.levels()
        time.sleep(0.001)
    holder.factory.close()


def test_a_process_gets_no_edge_that_is_older_than_itself(bench: GpioBench) -> None:
    """Whatever the bench still has to tell of the time when nobody held the line comes as a level."""
    first = Holder(bench)
    first.factory.close()
    bench.press(NO)  # nobody is there
    bench.release(NO)
    old_ns = bench.press(NO)
    second = Holder(bench)
    assert second.levels()[0] is False
    bench.set_contact(NO, False, old_ns)  # as a late plan would
    deadline_s = time.monotonic() + WITHIN_S
    while second.levels()[0] is False:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    now_ns = bench.set_contact(NO, True)
    assert second.wait(1) == [("no", False, now_ns)]
    second.factory.close()


def test_each_window_in_which_nobody_holds_the_line_is_recorded(bench: GpioBench) -> None:
    first = Holder(bench)
    assert bench.blind_windows_ms(NO) == []
    first.factory.close()
    bench_free_s = time.monotonic() + WITHIN_S
    while bench.held(NO):
        assert time.monotonic() < bench_free_s
        time.sleep(0.001)
    free_ns = time.monotonic_ns()
    second = Holder(bench)
    held_ns = time.monotonic_ns()
    [window_ms] = bench.blind_windows_ms(NO)
    assert 0 <= window_ms <= (held_ns - free_ns) / 1e6 + 50
    second.factory.close()
