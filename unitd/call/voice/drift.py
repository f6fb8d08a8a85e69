"""The last few ppm between two cards' clocks, seen in the echo itself. Pure.

Callbacks give a card's rate to some ppm, at best after a while. What is left turns the learned way from horn to
microphone by a phase that grows with frequency: 1 ppm is 0.05 samples a second. That turn is measured here, and taken
out of the reference's pace.
"""

import numpy as np
import numpy.typing as npt

C64 = npt.NDArray[np.complex64]

PERIOD_BLOCKS = 25
"""0.5 s between looks."""
LEAST_ACTIVE = 10
"""Without the horn nothing is learned, and a way that stands still says nothing."""
LOWEST_BIN, HIGHEST_BIN, BIN_HZ = 12, 160, 25.0
"""300 Hz to 4 kHz: a turn of up to 120 ppm is not a whole one yet."""
TAKEN = 0.35
FURTHEST_PPM = 300.0
LEAST_ALIKE = 0.85
"""Two looks at one way are alike; what is not is another way (or none yet)."""
SURE_LOOKS = 10
UNSURE_PPM = 100.0
BIG_STEP_PPM = 20.0


class DriftWatch:
    """Asked after each block of 20 ms whether a look `is_due`; `ppm` is how much faster the horn's card runs than the
    microphone's. It follows the callbacks until the echo has been looked at for some seconds, and after that the echo
    alone, unless the two are UNSURE_PPM apart. Not thread-safe."""

    def __init__(self) -> None:
        self.ppm = 0.0
        self._by_callbacks = 0.0
        self._looks = 0
        self._before: C64 | None = None
        self._blocks = self._active = 0

    def callbacks_say(self, ppm: float) -> bool:
        """What the cards' callbacks make of it now. Returns whether that was news: what was learned at the former pace
        is little worth."""
        before, self._by_callbacks = self._by_callbacks, ppm
        if ppm == before or (self._looks >= SURE_LOOKS and abs(ppm - self.ppm) < UNSURE_PPM):
            return False
        if abs(ppm - self.ppm) < BIG_STEP_PPM:
            self.ppm += ppm - before
            return False
        self.ppm = ppm
        self._before = None
        return True

    def forget(self) -> None:
        """The way is another one now."""
        self._before = None
        self._blocks = self._active = self._looks = 0

    def is_due(self, is_active: bool) -> bool:
        """Once for each block. `is_active`: the horn was heard in it."""
        self._blocks += 1
        self._active += is_active
        return self._blocks >= PERIOD_BLOCKS and self._active >= LEAST_ACTIVE

    def look(self, way: C64) -> None:
        """`way`: the filter's partitions."""
        now = way[:, LOWEST_BIN:HIGHEST_BIN].copy()
        if self._before is not None:
            turned = self._turned_ppm(self._before, now)
            if turned is not None:
                self._looks += 1
                self.ppm = min(max(self.ppm + TAKEN * turned, -FURTHEST_PPM), FURTHEST_PPM)
        self._before = now
        self._blocks = self._active = 0

    def _turned_ppm(self, before: C64, now: C64) -> float | None:
        cross = np.sum(now * np.conj(before), axis=0)
        both = np.sqrt(np.sum(np.abs(now) ** 2) * np.sum(np.abs(before) ** 2))
        if not both > 0 or abs(np.sum(np.abs(cross))) < LEAST_ALIKE * both:
            return None
        weight = np.abs(cross)
        turn = 2 * np.pi * np.arange(LOWEST_BIN, HIGHEST_BIN) * BIN_HZ
        later_s = -float(np.sum(weight * turn * np.angle(cross)) / np.sum(weight * turn**2))
        # An echo that comes later and later in the reference's own count: the reference is read too fast.
        return -later_s / (self._blocks * 0.02) * 1e6
