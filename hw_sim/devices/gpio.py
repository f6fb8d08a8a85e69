"""The simulated pins, as a pin factory of gpiozero: what the daemon's process holds of them.

`GPIOZERO_PIN_FACTORY=hwsim` makes gpiozero load SocketFactory by its entry point, so that the daemon's code is the same
as on a Pi. It speaks JSON lines (docs/design/seams.md) to GpioBench at the unix socket `$HW_SIM_GPIO`. Like lgpio, it
runs callbacks on a thread of its own and gives each edge the time at which the line really changed (CLOCK_MONOTONIC).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from typing import Any

from gpiozero.exc import (
    BadPinFactory,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidFunction,
    PinInvalidPull,
    PinInvalidState,
    PinPWMUnsupported,
    PinSetInput,
)
from gpiozero.pins.pi import PiFactory, PiPin

SOCKET_VARIABLE = "HW_SIM_GPIO"
BOARD_REVISION = 0xC03115  # a Pi 4B, as the lgpio tests on gpio-sim use
CONNECT_TIMEOUT_S = 5.0
LEVEL_TIMEOUT_S = 2.0
RECONNECT_PAUSE_S = 0.2


class SocketFactory(PiFactory):  # type: ignore[misc]  # gpiozero carries no types
    """Pins of the bench at `path`, or at `$HW_SIM_GPIO`.

    Raises BadPinFactory when there is no bench within CONNECT_TIMEOUT_S. A bench lost later does not raise: inputs keep
    their last level, writes are remembered, and the factory connects again and sets every pin up anew. Edges that
    happened in between are gone, as they are on a line that nobody holds.
    """

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        self.pin_class = SocketPin
        self._path = path or os.environ.get(SOCKET_VARIABLE, "")
        if not self._path:
            raise BadPinFactory(f"{SOCKET_VARIABLE} names no socket; hw-sim sets it for the processes it starts")
        self._by_number: dict[int, SocketPin] = {}
        self._send_lock = threading.Lock()
        self._closing = False
        self._channel: socket.socket | None = self._connect(time.monotonic() + CONNECT_TIMEOUT_S)
        self._reader = threading.Thread(target=self._read, name="hwsim pins", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Release every pin and the connection; the lamps go dark, as released lines do."""
        self._closing = True
        super().close()
        with self._send_lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)
            channel.close()
        if threading.current_thread() is not self._reader:
            self._reader.join(timeout=2 * RECONNECT_PAUSE_S + 1.0)

    def on_reader_thread(self) -> bool:
        return threading.current_thread() is self._reader

    def attach(self, number: int, pin: SocketPin) -> None:
        self._by_number[number] = pin

    def send(self, **message: Any) -> None:
        """Hand one message to the bench; a lost bench hears of the pin again when it is back."""
        line = (json.dumps(message) + "\n").encode()
        with self._send_lock:
            if self._channel is not None:
                with contextlib.suppress(OSError):
                    self._channel.sendall(line)

    def _connect(self, until_s: float) -> socket.socket:
        while True:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                channel.connect(self._path)
                channel.sendall((json.dumps({"op": "hello", "pid": os.getpid()}) + "\n").encode())
                return channel
            except OSError as error:
                channel.close()
                if time.monotonic() > until_s:
                    raise BadPinFactory(f"no simulated pins at {self._path}: {error}") from error
                time.sleep(0.02)

    def _read(self) -> None:
        while not self._closing:
            channel = self._channel
            if channel is not None:
                with contextlib.suppress(OSError, ValueError), channel.makefile("rb") as lines:
                    for line in lines:
                        self._handle(json.loads(line))
            if self._closing:
                return
            self._reconnect()

    def _reconnect(self) -> None:
        with self._send_lock:
            old, self._channel = self._channel, None
        if old is not None:
            old.close()
        while not self._closing:
            time.sleep(RECONNECT_PAUSE_S)
            with contextlib.suppress(BadPinFactory):
                fresh = self._connect(0.0)
                with self._send_lock:
                    self._channel = fresh
                for pin in list(self._by_number.values()):
                    pin.announce()
                return

    def _handle(self, message: dict[str, Any]) -> None:
        pin = self._by_number.get(int(message.get("pin", -1)))
        if pin is None:
            return
        if message["op"] == "level":
            pin.take_level(bool(message["value"]))
        elif message["op"] == "edge":
            pin.take_edge(bool(message["value"]), int(message["mono_ns"]))

    def _get_revision(self) -> int:
        return BOARD_REVISION

    @staticmethod
    def ticks() -> float:
        return time.monotonic()

    @staticmethod
    def ticks_diff(later: float, earlier: float) -> float:
        return later - earlier


class SocketPin(PiPin):  # type: ignore[misc]  # gpiozero carries no types
    """One line. Ticks are seconds of CLOCK_MONOTONIC, as with lgpio; no PWM, no debounce in the kernel."""

    def __init__(self, factory: SocketFactory, info: Any) -> None:
        super().__init__(factory, info)
        self._function = "input"
        self._pull: str = info.pull or "floating"
        self._level = self._pull == "up"
        self._edges = "both"
        self._fresh = threading.Event()
        factory.attach(self._number, self)
        self.announce()

    def announce(self) -> None:
        """Tell the bench what this line is (and its level, when we drive it)."""
        self._fresh.clear()
        self._factory.send(op="setup", pin=self._number, function=self._function, pull=self._pull)
        if self._function == "output":
            self._factory.send(op="write", pin=self._number, value=int(self._level))
        elif not self._factory.on_reader_thread():
            self._fresh.wait(LEVEL_TIMEOUT_S)

    def take_level(self, value: bool) -> None:
        if self._function == "input":
            self._level = value
        self._fresh.set()

    def take_edge(self, value: bool, mono_ns: int) -> None:
        if self._function != "input":
            return
        self._level = value
        wanted = self._edges == "both" or (self._edges == "rising") == value
        with self._when_changed_lock:
            if wanted and self._when_changed is not None:
                self._call_when_changed(mono_ns / 1e9, value)

    def close(self) -> None:
        self.when_changed = None
        self._function = "input"
        self._factory.send(op="setup", pin=self._number, function="input", pull="floating")

    def _get_function(self) -> str:
        return self._function

    def _set_function(self, value: str) -> None:
        if value not in ("input", "output"):
            raise PinInvalidFunction(f"invalid function {value!r} for pin {self!r}; it is input or output")
        if value != self._function:
            self._function = value
            self._level = False if value == "output" else self._level
            self.announce()

    def output_with_state(self, state: bool) -> None:
        self._pull = "floating"
        self._function = "output"
        self._level = bool(state)
        self.announce()

    def _get_state(self) -> bool:
        return self._level

    def _set_state(self, value: float) -> None:
        if self._function == "input":
            raise PinSetInput(f"cannot set state of pin {self!r}")
        if not 0 <= value <= 1:
            raise PinInvalidState(f"invalid state {value!r} for pin {self!r}")
        self._level = bool(value)
        self._factory.send(op="write", pin=self._number, value=int(self._level))

    def _get_pull(self) -> str:
        return self._pull

    def _set_pull(self, value: str) -> None:
        if self._function != "input":
            raise PinFixedPull(f"cannot set pull on non-input pin {self!r}")
        if self.info.pull and value != self.info.pull:
            raise PinFixedPull(f"{self!r} has a physical pull-{self.info.pull} resistor")
        if value not in ("up", "down", "floating"):
            raise PinInvalidPull(f"invalid pull {value!r} for pin {self!r}")
        self._pull = value
        self.announce()

    def _get_frequency(self) -> None:
        return None

    def _set_frequency(self, value: float | None) -> None:
        if value is not None:
            raise PinPWMUnsupported(f"{self!r} has no PWM")

    def _get_bounce(self) -> None:
        return None

    def _set_bounce(self, value: float | None) -> None:
        if value is not None:
            raise PinInvalidBounce("the simulated line does not debounce: the daemon judges edges by their times")

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        self._edges = value

    def _enable_event_detect(self) -> None:
        """Edges arrive anyway; whether someone listens is looked at when they do."""

    def _disable_event_detect(self) -> None:
        """See _enable_event_detect."""
