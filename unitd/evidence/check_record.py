"""What record's extract says of segments, evictions, gaps and stills: what an export can be held against."""

from dataclasses import dataclass, field
from typing import Any

from unitd.evidence.check_chain import MAX_KEPT_LINES
from unitd.evidence.check_tree import RefusedError
from unitd.evidence.manifest import SegmentState, Span
from unitd.store.segment import SegmentKey

EDGE_NS = 1_000_000_000
"""The end of a segment by the camera's clock and by ours may differ by this."""
STATES: dict[str, SegmentState] = {"segment": "whole", "abandoned": "abandoned", "recovered": "recovered"}


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """A line about a segment. `from_mono_ns` and `to_mono_ns` are 0 where the line does not say."""

    n: int
    state: SegmentState
    stream: str
    key: SegmentKey
    bytes: int
    sha256: str
    from_mono_ns: int
    to_mono_ns: int
    torn_bytes: int

    @property
    def path(self) -> str:
        return f"segments/{self.stream}/{self.key.file_name}"

    @property
    def file(self) -> str:
        return f"{self.stream}/{self.key.file_name}"

    @property
    def timed(self) -> bool:
        return self.to_mono_ns > self.from_mono_ns


@dataclass(frozen=True, slots=True)
class StillLine:
    n: int
    file: str
    sha256: str
    camera: str
    incident_id: str


@dataclass(frozen=True, slots=True)
class GapLine:
    """From and to: (boot, mono_ns)."""

    camera: str
    begin: tuple[int, int]
    end: tuple[int, int]
    why: str


@dataclass
class RecordFacts:
    """`segments` by path in an export, `evicted` by the unit's own name. Of a file's lines the last counts."""

    segments: dict[str, SegmentLine] = field(default_factory=dict)
    evicted: dict[str, tuple[int, str]] = field(default_factory=dict)
    stills: list[StillLine] = field(default_factory=list)
    gaps: list[GapLine] = field(default_factory=list)
    kept: int = 0

    def on_line(self, n: int, record: dict[str, Any]) -> None:
        kind = _text(record, "kind")
        if kind in STATES:
            self._segment(n, record, STATES[kind])
        elif kind == "evict":
            self.evicted[_text(record, "file")] = (n, _text(record, "why"))
        elif kind == "still":
            self.stills.append(
                StillLine(
                    n, _text(record, "file"), *(_text(record, key) for key in ("sha256", "camera", "incident_id"))
                )
            )
        elif kind == "gap":
            begin = _whole(record, "from_boot"), _whole(record, "from_mono_ns")
            end = _whole(record, "to_boot"), _whole(record, "to_mono_ns")
            self.gaps.append(GapLine(_text(record, "camera"), begin, end, _text(record, "why")))
        else:
            return
        self.kept += 1
        if self.kept > MAX_KEPT_LINES:
            raise RefusedError(f"more than {MAX_KEPT_LINES} lines about files: no export is so long")

    def _segment(self, n: int, record: dict[str, Any], state: SegmentState) -> None:
        stream, _, name = _text(record, "file").partition("/")
        key = SegmentKey.parse(name)
        if key is None:
            return
        numbers = [_whole(record, key) for key in ("from_mono_ns", "to_mono_ns", "torn_bytes")]
        line = SegmentLine(n, state, stream, key, _whole(record, "bytes"), _text(record, "sha256"), *numbers)
        self.segments[line.path] = line


def overlaps(span: Span, line: SegmentLine) -> bool:
    """Whether a segment lies in the span with more than EDGE_NS of it. Pure."""
    if not line.timed or (line.key.boot, line.to_mono_ns - EDGE_NS) <= (span.from_boot, span.from_mono_ns):
        return False
    if span.to_boot is None or span.to_mono_ns is None:
        return True
    return (line.key.boot, line.from_mono_ns + EDGE_NS) < (span.to_boot, span.to_mono_ns)


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""


def _whole(record: dict[str, Any], key: str) -> int:
    value = record.get(key)
    return value if type(value) is int and abs(value) < 1 << 63 else 0
