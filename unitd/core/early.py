"""The first tenths of a second of a start: the button is watched already, the loop is not there yet."""

import threading
from collections.abc import Callable

from unitd.core.button import Felt, PressWatch

KEPT = 256
"""Presses that wait for the loop; more are counted. Each is latched as well, so a successor would find it."""


class EarlyWatch:
    """What the press thread tells before somebody listens, kept in order until `attach`. Thread-safe."""

    def __init__(self) -> None:
        self.watch: PressWatch | None = None
        self.dropped = 0
        self._lock = threading.Lock()
        self._presses: list[Felt] = []
        self._stuck: bool | None = None
        self._on_press: Callable[[Felt], None] | None = None
        self._on_stuck: Callable[[bool], None] | None = None

    def on_press(self, felt: Felt) -> None:
        """On the press thread."""
        with self._lock:
            if self._on_press is not None:
                self._on_press(felt)
            elif len(self._presses) < KEPT:
                self._presses.append(felt)
            else:
                self.dropped += 1

    def on_stuck(self, stuck: bool) -> None:
        """On the press thread; only the last word counts."""
        with self._lock:
            if self._on_stuck is not None:
                self._on_stuck(stuck)
            else:
                self._stuck = stuck

    def attach(self, on_press: Callable[[Felt], None], on_stuck: Callable[[bool], None]) -> None:
        """Tell what waited, oldest first, and pass everything on from now on."""
        with self._lock:
            self._on_press, self._on_stuck = on_press, on_stuck
            for felt in self._presses:
                on_press(felt)
            self._presses.clear()
            if self._stuck is not None:
                on_stuck(self._stuck)
