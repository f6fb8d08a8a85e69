"""A bound on how often something may be told: a bucket of tokens that fills with time. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Pace:
    """At once up to `burst` times, then once in `every_ns`. `take` gives the new pace and whether to tell now."""

    burst: int
    every_ns: int
    spent_ns: int = 0
    """The bucket is full again at this instant; each telling moves it on by `every_ns`."""

    def take(self, now_ns: int) -> "tuple[Pace, bool]":
        if self.wait_ns(now_ns) > 0:
            return self, False
        return replace(self, spent_ns=max(self.spent_ns, now_ns) + self.every_ns), True

    def wait_ns(self, now_ns: int) -> int:
        """How long from `now_ns` until it may be told; 0 = now."""
        return max(0, self.spent_ns + self.every_ns - self.burst * self.every_ns - now_ns)
