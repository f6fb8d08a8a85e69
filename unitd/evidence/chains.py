"""What the chains say about an export's files, and the extracts that go with it. Reads only, beside the writers.

Memory: one line at a time, and the lines about the streams that are asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unitd.evidence.manifest import SegmentState
from unitd.store.chain_read import ChainLine, hash_of, older_parts, read_lines
from unitd.store.locks import Lock
from unitd.store.segment import SegmentKey

STATES: dict[str, SegmentState] = {"segment": "whole", "abandoned": "abandoned", "recovered": "recovered"}


@dataclass(frozen=True)
class Said:
    """What record's chain says of a file; `n` is the line's number. A still's `state` is None."""

    n: int
    state: SegmentState | None
    bytes: int
    sha256: str


@dataclass
class Known:
    """`said` and `evicted` by file (relative to the evidence directory); `gaps` those that overlap; `head` the last
    line that was read, `bytes` how long all of them are. `expected`: files whose own line says that they overlap the
    span. `before_n`: the last line written before the span begins, else the oldest: what was recorded in it follows."""

    said: dict[str, Said] = field(default_factory=dict)
    evicted: dict[str, str] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    first_gap_n: int | None = None
    before_n: int | None = None
    n: int = 0
    head: str = ""
    bytes: int = 0


def know(chain: Path, span: Lock, streams: frozenset[str]) -> Known:
    """Read record's chain from the span's beginning to its end, for what it says about `streams` and about stills.

    Raises OSError. Blocks: some 10 MB a second.
    """
    known = Known()
    raw = b""
    for line in read_lines(chain, first_n_from(chain, span.from_boot, span.from_mono_ns)):
        known.n, raw = line.n, line.raw
        known.bytes += len(raw)
        kind, file = line.record.get("kind"), line.record.get("file")
        if known.before_n is None or _instant(line.record) <= (span.from_boot, span.from_mono_ns):
            known.before_n = line.n
        if kind == "gap":
            if line.record.get("camera") in streams and _gap_overlaps(line.record, span):
                known.gaps.append(line.record)
                known.first_gap_n = line.n if known.first_gap_n is None else known.first_gap_n
        elif not isinstance(file, str):
            continue
        elif kind in STATES or kind == "still":
            if file.partition("/")[0] in streams or kind == "still":
                known.said[file] = _said(line)
                if kind in STATES and _overlaps(line.record, file, span):
                    known.expected.add(file)
        elif kind == "evict" and file.partition("/")[0] in streams:
            known.evicted[file] = str(line.record.get("why", ""))
    known.head = hash_of(raw) if raw else ""
    return known


def first_n_from(chain: Path, boot: int, mono_ns: int) -> int:
    """The number of a line before which none can be about what came after that instant: parts are skipped whole."""
    begin = 1
    for part in reversed(older_parts(chain)):
        first = next(read_lines(chain, part.first_n), None)
        if first is None:
            continue
        begin = first.n
        if _instant(first.record) <= (boot, mono_ns):
            break
    return begin


def extract(chain: Path, from_n: int, to_n: int) -> Iterator[bytes]:
    """The lines from `from_n` to `to_n` exactly as they stand there. Raises OSError. Blocks."""
    for line in read_lines(chain, from_n):
        if line.n > to_n:
            return
        yield line.raw


def last_n(chain: Path) -> tuple[int, str]:
    """Number and hash of the last line, (0, "") for none. Raises OSError. Blocks; reads the last part."""
    parts = older_parts(chain)
    last: ChainLine | None = None
    for line in read_lines(chain, parts[-1].first_n if parts else 1):
        last = line
    return (0, "") if last is None else (last.n, hash_of(last.raw))


def first_core_n(chain: Path, incident_id: str | None, span: Lock) -> int:
    """Where core's extract begins: the incident's first line, or without one the first of the span. Raises OSError."""
    at = first_n_from(chain, span.from_boot, span.from_mono_ns)
    for line in read_lines(chain, at):
        if incident_id is None:
            if _instant(line.record) >= (span.from_boot, span.from_mono_ns):
                return line.n
        elif line.record.get("incident_id") == incident_id and line.record.get("kind") in ("lock", "incident"):
            return line.n
        at = line.n
    return max(1, at)


def _said(line: ChainLine) -> Said:
    record = line.record
    size, digest = record.get("bytes"), record.get("sha256")
    state = STATES.get(str(record.get("kind")))
    return Said(line.n, state, size if isinstance(size, int) else -1, digest if isinstance(digest, str) else "")


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _instant(record: dict[str, Any]) -> tuple[int, int]:
    return _whole(record.get("boot")), _whole(record.get("mono_ns"))


def _overlaps(record: dict[str, Any], file: str, span: Lock) -> bool:
    key = SegmentKey.parse(file.rpartition("/")[2])
    begin, end = record.get("from_mono_ns"), record.get("to_mono_ns")
    if key is None or not isinstance(begin, int) or not isinstance(end, int) or end <= begin:
        return False
    return span.overlaps(key.boot, begin, end)


def _gap_overlaps(record: dict[str, Any], span: Lock) -> bool:
    begin = _whole(record.get("from_boot")), _whole(record.get("from_mono_ns"))
    end = _whole(record.get("to_boot")), _whole(record.get("to_mono_ns"))
    if span.to_boot is not None and span.to_mono_ns is not None and begin > (span.to_boot, span.to_mono_ns):
        return False
    return end >= (span.from_boot, span.from_mono_ns)
