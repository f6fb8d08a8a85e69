"""What happened, line by line, and its hash: two runs of one seed must say the very same."""

import hashlib
from collections.abc import Callable

from tests.simulate.timeline import SECOND_NS, Timeline


class Trace:
    def __init__(self, timeline: Timeline, show: Callable[[str], None] | None = None, kept: int = 400) -> None:
        self._timeline = timeline
        self._hash = hashlib.blake2b(digest_size=8)
        self._show = show
        self.lines = 0
        self.last: list[str] = []
        self._kept = kept

    def say(self, *words: object) -> None:
        line = f"{self._timeline.now_ns} " + " ".join(map(str, words))
        self._hash.update(line.encode())
        self.lines += 1
        if self._show is not None:
            self._show(f"{clock(self._timeline.now_ns)} " + " ".join(map(str, words)))
        self.last.append(line)
        if len(self.last) > 2 * self._kept:
            del self.last[: self._kept]

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def clock(now_ns: int) -> str:
    """`hh:mm:ss.millis` of the simulated day."""
    seconds, rest = divmod(now_ns, SECOND_NS)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest // 1_000_000:03}"
