"""What one stream's writer says in record's chain: its segments, how they ended, and what is missing between them."""

import contextlib

from unitd.record.gaps import End, Why, camera_why, end_before, gap
from unitd.record.open_segment import OpenSegment
from unitd.store.chain import Chain, Field

MAX_LINES = 64
"""Lines that wait for a chain that takes them; what is beyond is found and chained as `recovered` at the next start."""

Line = tuple[str, dict[str, Field]]


class StreamLines:
    """For the writer's thread alone; `missed_from` from any. Blocks on the disk; raises OSError where it says so.

    What the chain refuses is kept and goes with the next line, all with one sync.
    """

    def __init__(self, stream: str, chain: Chain) -> None:
        self._stream, self._chain = stream, chain
        self._waiting: list[Line] = []
        self._end: End | None = None
        self._missed_from_ns: int | None = None
        self._boot = 0
        self.refused = False
        """Set by the writer when the disk refused: the next gap is the disk's."""

    def missed_from(self, mono_ns: int) -> None:
        """For a stream that is only now and then: a silence that began before this instant is no gap."""
        self._missed_from_ns = mono_ns

    def ended(self, segment: OpenSegment, mono_ns: int) -> None:
        """Footage ends here, as far as it was written."""
        self._end = End(segment.key.boot, mono_ns)

    def began(self, segment: OpenSegment, *, dropped: bool) -> None:
        """Say what is missing before a new segment. Raises nothing."""
        self._boot = segment.key.boot
        began_ns = segment.header.mono_ns
        refused, self.refused = self.refused, False
        with contextlib.suppress(OSError):
            if self._end is None:
                self._end = end_before(segment.path.parent, segment.key, self._chain.recent())
            end, missed_ns = self._end, self._missed_from_ns
            if end is None or (missed_ns is not None and (end.boot != self._boot or end.mono_ns < missed_ns)):
                return
            why: Why = "disk" if refused else "dropped" if dropped else camera_why(end, began_ns)
            line = gap(self._stream, end, self._boot, began_ns, why)
            if line is not None:
                self._append(line)

    def say(self, kind: str, segment: OpenSegment) -> None:
        """`segment` or `abandoned`. Raises OSError."""
        fields: dict[str, Field] = {
            "file": f"{self._stream}/{segment.path.name}",
            "bytes": segment.size_bytes,
            "sha256": segment.sha256,
            "units": segment.units,
            "from_mono_ns": segment.header.mono_ns,
            "to_mono_ns": segment.to_mono_ns,
        }
        self._append((kind, fields))

    def _append(self, line: Line) -> None:
        self._waiting = [*self._waiting, line][-MAX_LINES:]
        self._chain.append_all(self._waiting, self._boot)
        self._waiting = []
