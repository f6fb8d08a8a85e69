"""What happens at the button: people, fast and slow; bounce, sparks, a jammed contact."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulate.day import Day

MS_NS = 1_000_000
APART_NS = 55 * MS_NS
"""Two touches are so far apart at least: between 45 and 50 ms nobody can say whether it was one or two."""


class Street:
    def __init__(self, day: "Day") -> None:
        self.day = day
        self._free_ns = 0

    def someone(self) -> None:
        """One visit: mostly one press, sometimes a storm."""
        chance = self.day.chance
        kind = chance.choices(
            ("press", "double", "panic", "lean", "tap", "sparks", "storm"), weights=(50, 12, 12, 8, 8, 8, 1)
        )[0]
        self.day.checker.counts[f"street: {kind}"] += 1
        if kind == "press":
            self.press(chance.uniform(0.06, 0.8))
        elif kind == "double":
            self.press(chance.uniform(0.05, 0.3))
            self.press(chance.uniform(0.05, 0.3), chance.uniform(0.06, 0.6))
        elif kind == "panic":
            for _ in range(chance.randint(4, 20)):
                self.press(chance.uniform(0.04, 0.25), chance.uniform(0.055, 0.4))
        elif kind == "lean":
            self.press(chance.uniform(3, 25))
        elif kind == "tap":
            self.press(chance.uniform(0.021, 0.05))
        elif kind == "sparks":
            for _ in range(chance.randint(1, 12)):
                self._closed_for(chance.randint(20_000, 4_900_000), chance.uniform(0.05, 1.5))
        else:
            for _ in range(chance.randint(70, 140)):
                self.press(chance.uniform(0.04, 0.1), chance.uniform(0.055, 0.12))

    def jam(self, for_s: float) -> None:
        """The contact sticks."""
        self.press(for_s)

    def press(self, for_s: float, pause_s: float = 0.0) -> None:
        """A press after `pause_s`, with the bounce that a contact has: up to 10 ms when it closes, and after."""
        at_ns = self._next_ns(pause_s)
        chance = self.day.chance
        level = True
        if chance.random() < 0.6:
            end_ns = at_ns + chance.randint(1, 10) * MS_NS
            while True:
                self._level(at_ns, level)
                level = not level
                at_ns += chance.randint(50_000, 2_500_000)
                if at_ns >= end_ns:
                    break
        self._level(at_ns, True)
        at_ns += int(for_s * 1e9)
        self._level(at_ns, False)
        for _ in range(chance.choice((0, 0, 0, 1, 3))):
            at_ns += chance.randint(50_000, 2_500_000)
            self._level(at_ns, True)
            at_ns += chance.randint(50_000, 1_500_000)
            self._level(at_ns, False)
        self._free_ns = at_ns

    def _closed_for(self, for_ns: int, pause_s: float) -> None:
        at_ns = self._next_ns(pause_s)
        self._level(at_ns, True)
        self._level(at_ns + for_ns, False)
        self._free_ns = at_ns + for_ns

    def _next_ns(self, pause_s: float) -> int:
        """One hand at a time; and an odd nanosecond, so that no two boots know the same instant."""
        at_ns = max(self.day.timeline.now_ns, self._free_ns + APART_NS) + int(pause_s * 1e9)
        return at_ns + self.day.chance.randint(1, 999_983)

    def _level(self, at_ns: int, closed: bool) -> None:
        self.day.timeline.at(at_ns, lambda: self.day.pole.contact(closed))
