"""Nothing in core grows without bound."""

from typing import Any

from tests.simulate.book import MOST_IN_MEMORY, Book


class BoundsJudge(Book):
    def bounds(self) -> None:
        """Nothing in core's memory or on its disk grows without limit."""
        life, medium = self.day.pole.life, self.day.medium
        if life is None or life.core is None:
            return
        for name, size in sizes(life.core).items():
            if size > MOST_IN_MEMORY:
                self.finding("a queue is not bounded", f"{name} holds {size}")
        if len(medium.names) > 1500:
            self.finding("files pile up", str(len(medium.names)))
        if life.loop.most_ready > 5000:
            self.finding("callbacks pile up on the loop", str(life.loop.most_ready))
        for uplink in life.uplinks:
            if uplink.unacked > 200:
                self.finding("messages pile up at an uplink", str(uplink.unacked))


def sizes(root: Any) -> dict[str, int]:
    """The lengths of all containers that hang on objects of the product below `root`, by class and attribute."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    queue = [root]
    while queue:
        thing = queue.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        for name, value in getattr(thing, "__dict__", {}).items():
            if hasattr(value, "__len__") and not isinstance(value, str | bytes | type):
                key = f"{type(thing).__name__}.{name}"
                found[key] = max(found.get(key, 0), len(value))
            if type(value).__module__.startswith("unitd.") and hasattr(value, "__dict__"):
                queue.append(value)
    return found
