"""How fast a sound card really runs, from nothing but its callbacks: how many samples, and when. Pure.

A card of 48,000 Hz gives 47,990, and the card of the horn is not that of the microphone: 200 ppm are 10 samples a
second. Callbacks come late, never early, so the earliest of each second lie on the card's true line.
"""

from collections import deque

NOMINAL_HZ = 48_000
WINDOW_S = 1.0
WINDOWS = 120
LEAST_WINDOWS = 4
BELIEVED_PPM = 1000.0
"""Crystals are within 100 ppm, cheap resonators within 500; more is a server that resamples or lost frames."""
JUMP_S = 0.05
"""A callback this much before the line, or a whole window this much behind it: frames were lost, or the card was
opened anew."""
CERTAIN = 2.5
"""A rate is believed when it is so many times its own error away from nominal."""


class CardClock:
    """One direction of one card. Not thread-safe."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=WINDOWS)
        self._samples = 0
        self._first_ns: int | None = None
        self._window_end_s = WINDOW_S
        self._earliest: tuple[float, float] | None = None
        self.ppm = 0.0
        """How much faster than nominal by CLOCK_MONOTONIC; 0 while that is not known. Kept over jumps."""
        self.error_ppm = float("inf")
        self.jumps = 0

    def restart(self) -> None:
        """The stream was opened anew: the rate is still believed, the line is another one."""
        self._points.clear()
        self._samples, self._first_ns, self._earliest = 0, None, None
        self._window_end_s = WINDOW_S

    def callback(self, samples: int, at_ns: int) -> None:
        """So many samples more were handed over at this monotonic instant."""
        if self._first_ns is None:
            self._first_ns = at_ns
            return
        self._samples += samples
        at_s = (at_ns - self._first_ns) / 1e9
        late_s = at_s - self._samples / NOMINAL_HZ
        if self._earliest is None or late_s < self._earliest[1]:
            self._earliest = (at_s, late_s)
        if at_s < self._window_end_s:
            return
        if self._points and abs(self._earliest[1] - self._points[-1][1]) > JUMP_S:
            self.jumps += 1
            self.restart()
            return
        self._points.append(self._earliest)
        self._earliest = None
        self._window_end_s = at_s + WINDOW_S
        if len(self._points) >= LEAST_WINDOWS:
            self._fit()

    def _fit(self) -> None:
        count = len(self._points)
        mean_x = sum(x for x, _ in self._points) / count
        mean_y = sum(y for _, y in self._points) / count
        spread = sum((x - mean_x) ** 2 for x, _ in self._points)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in self._points) / spread
        rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in self._points)
        error_ppm = (rest / max(1, count - 2) / spread) ** 0.5 * 1e6 + 0.1
        ppm = -slope * 1e6 / (1 + slope)
        if abs(ppm) > BELIEVED_PPM or error_ppm > self.error_ppm * 2 + 1:
            return
        if abs(ppm) < CERTAIN * error_ppm and self.ppm == 0.0:
            return
        self.ppm, self.error_ppm = ppm, error_ppm
