"""The simulated pins through gpiozero's own devices: what the daemon relies on holds on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from gpiozero import LED, Button, DigitalInputDevice, DigitalOutputDevice
from gpiozero.exc import BadPinFactory, GPIOPinInUse, PinInvalidBounce

from hw_sim.devices.gpio import SocketFactory
from hw_sim.devices.gpio_bench import GpioBench

BUTTON, LAMP = 17, 22


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[GpioBench]:
    with GpioBench(tmp_path / "gpio.sock") as bench:
        yield bench


@pytest.fixture
def factory(bench: GpioBench) -> Iterator[SocketFactory]:
    factory = SocketFactory(str(bench.path))
    yield factory
    factory.close()


class Edges:
    """Edges as a driver takes them: with the line's own time, on the factory's thread."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, bool]] = []
        self.threads: set[str] = set()
        self._arrived = threading.Condition()

    def take(self, ticks: float, state: bool) -> None:
        with self._arrived:
            self.seen.append((ticks, state))
            self.threads.add(threading.current_thread().name)
            self._arrived.notify_all()

    def wait(self, count: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.seen) >= count, 5), self.seen


def test_pull_ups_and_the_level_at_set_up(bench: GpioBench, factory: SocketFactory) -> None:
    pulled_up = Button(BUTTON, pull_up=True, pin_factory=factory)
    assert not pulled_up.is_pressed
    bench.press(4)
    assert Button(4, pull_up=True, pin_factory=factory).is_pressed
    bench.wire_high(5)
    assert not Button(5, pull_up=False, pin_factory=factory).is_pressed
    assert DigitalInputDevice(6, pull_up=True, pin_factory=factory).pin.state


def test_a_press_is_two_edges_with_the_times_of_the_line(bench: GpioBench, factory: SocketFactory) -> None:
    edges = Edges()
    device = DigitalInputDevice(BUTTON, pull_up=True, pin_factory=factory)
    device.pin.when_changed = edges.take
    before = time.monotonic()
    at_ns = bench.press(BUTTON, duration_ms=40)
    edges.wait(2)
    (down, first), (up, second) = edges.seen
    assert (first, second) == (False, True)
    assert before <= down == pytest.approx(at_ns / 1e9, abs=1e-6)
    assert 0.039 <= up - down <= 0.5
    assert edges.threads == {"hwsim pins"}


def test_bouncing_keeps_its_pattern_whatever_the_load(bench: GpioBench, factory: SocketFactory) -> None:
    edges = Edges()
    device = DigitalInputDevice(BUTTON, pull_up=True, pin_factory=factory)
    device.pin.when_changed = edges.take
    bench.bounce(BUTTON, [1, 0.5, 2, 30])
    edges.wait(5)
    times = [ticks for ticks, _ in edges.seen]
    gaps_ms = [round((b - a) * 1000, 3) for a, b in pairwise(times)]
    assert gaps_ms == [1, 0.5, 2, 30]
    assert [state for _, state in edges.seen] == [False, True, False, True, False]


def test_button_callbacks(bench: GpioBench, factory: SocketFactory) -> None:
    pressed, released = threading.Event(), threading.Event()
    button = Button(BUTTON, pull_up=True, pin_factory=factory)
    button.when_pressed = pressed.set
    button.when_released = released.set
    bench.press(BUTTON, duration_ms=30)
    assert pressed.wait(5)
    assert released.wait(5)


def test_outputs_leave_a_history(bench: GpioBench, factory: SocketFactory) -> None:
    lamp = DigitalOutputDevice(LAMP, pin_factory=factory)
    lamp.on()
    at_ns = bench.wait_output(LAMP, True, timeout_s=5)
    assert bench.wait_output(LAMP, "steady", timeout_s=5) == at_ns
    lamp.off()
    bench.wait_output(LAMP, False, timeout_s=5)
    assert [change.value for change in bench.history(LAMP)] == [True, False]
    with pytest.raises(TimeoutError, match="pin 22 is off"):
        bench.wait_output(LAMP, True, timeout_s=0.01)


def test_blinking_is_flashing_and_then_steady_again(bench: GpioBench, factory: SocketFactory) -> None:
    lamp = LED(LAMP, pin_factory=factory)
    lamp.blink(on_time=0.1, off_time=0.1)
    first_ns = bench.wait_output(LAMP, "flashing", timeout_s=5)
    assert first_ns == bench.history(LAMP)[0].mono_ns
    lamp.on()
    assert bench.wait_output(LAMP, "steady", timeout_s=5) > first_ns


def test_a_lamp_that_begins_lit_is_never_dark_first(bench: GpioBench, factory: SocketFactory) -> None:
    lamp = DigitalOutputDevice(LAMP, initial_value=True, pin_factory=factory)
    bench.wait_output(LAMP, True, timeout_s=5)
    assert [change.value for change in bench.history(LAMP)] == [True]
    assert lamp.value


def test_a_new_process_sees_levels_and_no_old_edges(bench: GpioBench) -> None:
    first = SocketFactory(str(bench.path))
    lamp = DigitalOutputDevice(LAMP, initial_value=True, pin_factory=first)
    held = DigitalInputDevice(BUTTON, pull_up=True, pin_factory=first)
    bench.wait_output(LAMP, True, timeout_s=5)
    assert held.pin.state
    first.close()
    assert lamp.closed or lamp.pin.function == "input", "its factory has let go of the line"
    bench.wait_output(LAMP, False, timeout_s=5)
    bench.press(BUTTON)
    bench.release(BUTTON)
    bench.press(BUTTON)
    second = SocketFactory(str(bench.path))
    edges = Edges()
    device = DigitalInputDevice(BUTTON, pull_up=True, pin_factory=second)
    device.pin.when_changed = edges.take
    assert device.pin.state is False, "the contact is closed now"
    bench.release(BUTTON)
    edges.wait(1)
    assert [state for _, state in edges.seen] == [True]
    second.close()


def test_a_bench_that_comes_back_finds_lamps_as_they_should_be(tmp_path: Path) -> None:
    path = tmp_path / "gpio.sock"
    bench = GpioBench(path).start()
    factory = SocketFactory(str(path))
    lamp = DigitalOutputDevice(LAMP, initial_value=True, pin_factory=factory)
    device = DigitalInputDevice(BUTTON, pull_up=True, pin_factory=factory)
    bench.close()
    with GpioBench(path) as again:
        again.wait_output(LAMP, True, timeout_s=5)
        again.wait_held(BUTTON, timeout_s=5)
        edges = Edges()
        device.pin.when_changed = edges.take
        again.press(BUTTON)
        edges.wait(1)
        assert lamp.value
    factory.close()


def test_fail__what_the_line_cannot_do(bench: GpioBench, factory: SocketFactory, tmp_path: Path) -> None:
    with pytest.raises(PinInvalidBounce):
        Button(BUTTON, bounce_time=0.05, pin_factory=factory)
    lamp = LED(LAMP, pin_factory=factory)
    with pytest.raises(GPIOPinInUse):
        LED(LAMP, pin_factory=factory)
    lamp.close()


def test_fail__no_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HW_SIM_GPIO", raising=False)
    with pytest.raises(BadPinFactory, match="HW_SIM_GPIO"):
        SocketFactory()
    monkeypatch.setattr("hw_sim.devices.gpio.CONNECT_TIMEOUT_S", 0.05)
    with pytest.raises(BadPinFactory, match="no simulated pins"):
        SocketFactory(str(tmp_path / "none"))
