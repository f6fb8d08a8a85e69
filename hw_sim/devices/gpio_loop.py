"""The button's loop: finger, changeover contact, pulse stretcher, cable. docs/wiring.md draws it.

Between a finger and the pins there are: the contact (NO closes and NC opens when pressed), the pulse stretcher at the
contact if there is one (a touch shorter than its time is held for that time), and the cable with its ways to fail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Literal

from hw_sim.devices.gpio_bench import GpioBench

Kind = Literal["no", "nc", "no+nc"]
CableFault = Literal["", "cut", "no_wire", "nc_shorted", "no_shorted"]

RECOMMENDED_STRETCH_S = 2.0
TRAVEL_MS = 3.0
"""From NC's movement to NO's, in a changeover contact."""


class ButtonLoop:
    """One button on a bench; thread-safe, and nothing waits.

    - `kind` says which of its contacts are wired: NO or NC alone to `pin`, or NO to `pin` and NC to `nc_pin`.
    - The stretcher triggers again at every closure, as a retriggerable one-shot: two touches within its time are one.
    - A cut cable leaves every line open; so does `no_wire`, for NO alone. A shorted line reads as closed.
    """

    def __init__(
        self, gpio: GpioBench, pin: int, nc_pin: int | None = None, kind: Kind = "no", stretch_s: float = 0.0
    ) -> None:
        self._gpio = gpio
        self._pins: dict[str, int] = {"nc" if kind == "nc" else "no": pin}
        if kind == "no+nc" and nc_pin is not None:
            self._pins["nc"] = nc_pin
        self.kind = kind
        self.stretch_s = stretch_s
        self._lock = threading.Lock()
        self._finger = False
        self._out = False
        self._until_ns = 0
        self._contacts = {"no": False, "nc": True}
        self._fault: CableFault = ""
        self._apply(time.monotonic_ns())

    @property
    def touched(self) -> bool:
        """Whether a finger is on the button."""
        return self._finger

    @property
    def held(self) -> bool:
        """Whether the unit is shown a press: the finger's, or what the stretcher still holds."""
        return self._out

    @property
    def fault(self) -> CableFault:
        return self._fault

    def press(self, duration_ms: float | None = None) -> int:
        """Touch it now, and let go after `duration_ms` if given; returns the instant (monotonic ns)."""
        at_ns = time.monotonic_ns()
        self._touch(True, at_ns)
        if duration_ms is not None:
            self._gpio.plan(at_ns + int(duration_ms * 1e6), lambda due: self._touch(False, due))
        return at_ns

    def release(self) -> int:
        """Let go now; returns the instant."""
        at_ns = time.monotonic_ns()
        self._touch(False, at_ns)
        return at_ns

    def bounce(self, pattern_ms: Sequence[float]) -> int:
        """Touch now and then toggle after each of the intervals: a worn contact. Returns the first instant."""
        start_ns = due_ns = time.monotonic_ns()
        self._touch(True, start_ns)
        touched = True
        for interval_ms in pattern_ms:
            due_ns += int(interval_ms * 1e6)
            touched = not touched
            self._gpio.plan(due_ns, lambda due, to=touched: self._touch(to, due))  # type: ignore[misc]
        return start_ns

    def break_cable(self, fault: CableFault) -> None:
        """Cut it, break NO's wire, short a line to ground, or ("") mend it."""
        with self._lock:
            self._fault = fault
        self._apply(time.monotonic_ns())

    def _touch(self, touched: bool, at_ns: int) -> None:
        with self._lock:
            self._finger = touched
            if touched:
                self._until_ns = at_ns + int(self.stretch_s * 1e9)
                self._out = True
            elif at_ns >= self._until_ns:
                self._out = False
            else:
                self._gpio.plan(self._until_ns, self._let_go)
                return
        self._moved(self._out, at_ns)

    def _let_go(self, due_ns: int) -> None:
        """The stretcher's time is over, unless it was triggered again or a finger is still there."""
        with self._lock:
            if self._finger or due_ns < self._until_ns:
                return
            self._out = False
        self._moved(False, due_ns)

    def _moved(self, out: bool, at_ns: int) -> None:
        """The changeover: NC moves, then NO. A contact alone moves at once."""
        if self.kind == "no+nc":
            self._contact("nc", not out, at_ns)
            self._gpio.plan(at_ns + int(TRAVEL_MS * 1e6), lambda due: self._contact("no", out, due))
        else:
            self._contact("no", out, at_ns)
            self._contact("nc", not out, at_ns)

    def _contact(self, name: str, closed: bool, at_ns: int) -> None:
        with self._lock:
            self._contacts[name] = closed
        self._apply(at_ns)

    def _apply(self, at_ns: int) -> None:
        with self._lock:
            fault, contacts = self._fault, dict(self._contacts)
        for name, pin in self._pins.items():
            broken = fault == "cut" or fault == f"{name}_wire"
            shorted = fault == f"{name}_shorted"
            self._gpio.set_contact(pin, shorted or (contacts[name] and not broken), at_ns)
