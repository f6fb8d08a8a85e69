"""The pins, through gpiozero: the only place that imports it. GPIOZERO_PIN_FACTORY names the factory."""

import time
from collections.abc import Callable
from typing import Any

from gpiozero import LED, Device, DigitalInputDevice

FLASH_HALF_PERIOD_S = 0.5
"""1 Hz: within the 2 Hz limit for flashing lights near people with photosensitive epilepsy."""


def check_pins() -> None:
    """Raises gpiozero's BadPinFactory when the board's pins cannot be reached at all; may block for seconds."""
    Device.ensure_pin_factory()


class GpioButton:
    """A contact on a pin: every edge is reported, unfiltered, on gpiozero's thread.

    gpiozero's own debounce stays off (it can swallow a press); the pin's edges are taken from below its event layer,
    which coalesces them. Raises gpiozero's errors when the pin or the factory is not to be had.
    """

    def __init__(self, pin: int, closed_level: str) -> None:
        active_low = closed_level == "low"
        self._device = DigitalInputDevice(pin, pull_up=active_low, bounce_time=None)
        self._closed_value = 0 if active_low else 1
        self._on_edge: Callable[[int, bool], None] | None = None

    def closed(self) -> bool:
        return bool(self._device.pin.state == self._closed_value)

    def watch(self, on_edge: Callable[[int, bool], None]) -> None:
        self._on_edge = on_edge
        # gpiozero holds this only weakly where it is a bound method; the instance keeps us alive
        self._device.pin.when_changed = self._changed

    def _changed(self, ticks: Any, state: Any) -> None:
        now_ns = time.monotonic_ns()
        age_s = Device.pin_factory.ticks_diff(Device.pin_factory.ticks(), ticks)
        age_ns = int(age_s * 1e9) if 0 <= age_s < 5 else 0
        if self._on_edge is not None:
            self._on_edge(now_ns - age_ns, bool(state == self._closed_value))

    def close(self) -> None:
        self._device.close()


class GpioLamp:
    """A lamp or sounder on a pin, set by level from any thread (the caller serialises)."""

    def __init__(self, pin: int) -> None:
        self._led = LED(pin)
        self._level = "off"

    def show(self, level: str) -> None:
        if level == self._level:
            return
        self._level = ""  # until the pin has taken it: one that fails is tried again
        if level == "flashing":
            self._led.blink(FLASH_HALF_PERIOD_S, FLASH_HALF_PERIOD_S)
        elif level == "steady":
            self._led.on()
        else:
            self._led.off()
        self._level = level

    def close(self) -> None:
        self._led.close()
