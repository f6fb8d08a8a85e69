"""Lamps and sounder, reconciled to levels from two threads: the loop's outputs and the GPIO thread's first light."""

import contextlib
import threading

from unitd.config import Config
from unitd.model.lamps import Lamps
from unitd.ports import Lamp


def lamp_pins(config: Config) -> dict[str, int | None]:
    """The pins of lamps and sounder by their names on the panel; None for what is not fitted."""
    return {
        "yellow": config.lamps.yellow_pin,
        "green": config.lamps.green_pin,
        "locator": config.lamps.locator_pin,
        "sounder": config.sounder.pin,
    }


class Panel:
    """Thread-safe. While a press is in the making (`first_light` .. `settle`) yellow is at least flashing and the
    sounder on (not in a quiet call), whatever the loop knows by then: the caller sees within milliseconds that the pole
    has felt the finger.
    A lamp that is not fitted, or whose pin cannot be had, is left out; one that fails is counted in `failed` and told
    its level again at the next change. No call raises: on the GPIO thread an exception here would cost the press.
    """

    def __init__(self) -> None:
        self._lamps: dict[str, Lamp] = {}
        self._lock = threading.Lock()
        self._wanted = Lamps("off", "off", "off")
        self._tone = self._quiet = False
        self._making = False
        self.failed = 0

    @property
    def levels(self) -> dict[str, str]:
        """What is shown, for status."""
        return {**self._wanted._asdict(), "sounder": "steady" if self._tone else "off"}

    def fit(self, name: str, lamp: Lamp) -> None:
        """Drive `lamp` as `yellow`, `green`, `locator` or `sounder` from now on; it takes its level at once."""
        with self._lock:
            self._lamps[name] = lamp
            self._reconcile()

    def fitted(self, name: str) -> bool:
        return name in self._lamps

    def first_light(self) -> None:
        """A finger is on the button: answer at once, from the GPIO thread."""
        with self._lock:
            self._making = True
            self._reconcile()

    def settle(self) -> None:
        """The press was accepted (its outputs have been shown) or was a glitch."""
        with self._lock:
            self._making = False
            self._reconcile()

    def show(self, lamps: Lamps, tone: bool, quiet: bool = False) -> None:
        """Show the outputs of the state, from the loop. `quiet`: an operator wants no sound, of a press neither."""
        with self._lock:
            self._wanted, self._tone, self._quiet = lamps, tone, quiet
            self._reconcile()

    def close(self) -> None:
        """Let go of the pins."""
        with self._lock:
            for lamp in self._lamps.values():
                with contextlib.suppress(Exception):  # the others are let go of too
                    lamp.close()
            self._lamps.clear()

    def _reconcile(self) -> None:
        wanted = self._wanted
        if self._making and wanted.yellow == "off":
            wanted = wanted._replace(yellow="flashing")
        levels = {
            **wanted._asdict(),
            "sounder": "steady" if self._tone or (self._making and not self._quiet) else "off",
        }
        for name, lamp in self._lamps.items():
            try:
                lamp.show(levels[name])
            except Exception:  # noqa: BLE001 - whatever a pin library raises
                self.failed += 1
