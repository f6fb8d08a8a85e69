"""A fault of a link, slow to come and slower to go: a link that flaps is one fault, not a hundred. Pure."""

from dataclasses import dataclass, replace

LOST_AFTER_NS = 10_000_000_000
BACK_AFTER_NS = 60_000_000_000


@dataclass(frozen=True)
class LinkFault:
    """`since_ns`: from when the link has been as it is."""

    up: bool = False
    since_ns: int = 0
    lost: bool = False

    def seen(self, up: bool, now_ns: int) -> "LinkFault":
        """The link is up or down now."""
        known = self.at(now_ns)
        return known if up == known.up else replace(known, up=up, since_ns=now_ns)

    def at(self, now_ns: int) -> "LinkFault":
        """As time alone leaves it: lost once down for LOST_AFTER_NS, back once up for BACK_AFTER_NS without a break."""
        held_ns = now_ns - self.since_ns
        if held_ns < (BACK_AFTER_NS if self.up else LOST_AFTER_NS) or self.lost is not self.up:
            return self
        return replace(self, lost=not self.up)
