"""The segments and stills of an export against record's chain: the bytes that were written then, and none left out."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unitd.errors import StoreError
from unitd.evidence.check_chain import Extract
from unitd.evidence.check_mp4 import read_header
from unitd.evidence.check_record import RecordFacts, SegmentLine, overlaps
from unitd.evidence.check_tree import Tree, safe
from unitd.evidence.manifest import AUDIO_STREAM, BootTime, EvidenceFile, Manifest
from unitd.evidence.verify_report import Report
from unitd.evidence.verify_time import counted, instant_text, length_text
from unitd.store.segment import SegmentHeader, SegmentKey

SLACK_NS = 1_500_000_000
"""Between one segment and the next: a picture's length, and what a keyframe waits for; more is a gap."""
MAX_TOLD = 12


@dataclass
class StreamFacts:
    """The exported segments of one stream, in order; `lines` by path, for those that the chain has; `deleted` by the
    unit itself before the export."""

    name: str
    files: list[EvidenceFile] = field(default_factory=list)
    lines: dict[str, SegmentLine] = field(default_factory=dict)
    headers: dict[str, SegmentHeader] = field(default_factory=dict)
    deleted: int = 0

    def begin(self) -> tuple[int, int] | None:
        return next((at for file in self.files if (at := self._edge(file, first=True))), None)

    def end(self) -> tuple[int, int] | None:
        return next((at for file in reversed(self.files) if (at := self._edge(file, first=False))), None)

    def _edge(self, file: EvidenceFile, *, first: bool) -> tuple[int, int] | None:
        line, header = self.lines.get(file.path), self.headers.get(file.path)
        if line is not None and line.timed:
            return file.boot, line.from_mono_ns if first else line.to_mono_ns
        return (file.boot, header.mono_ns) if header is not None else None


@dataclass
class Footage:
    """What was found: `left_out` on the export's own word, `unsealed` not in the chain yet, `differing` given up by the
    unit on a failing disk, `unseen` in words why something could be left out without a trace."""

    streams: dict[str, StreamFacts] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)


def check_segments(
    tree: Tree, manifest: Manifest, good: set[str], record: Extract, facts: RecordFacts, report: Report
) -> Footage:
    """Judge every segment by its line and its header, then what the chain has and the export has not. Blocks.

    Files that are not in `good` are already told. Without a sound extract nothing is held against the chain.
    """
    footage = Footage()
    for file in manifest.files:
        if file.kind == "segment":
            stream = footage.streams.setdefault(file.stream, StreamFacts(file.stream))
            stream.files.append(file)
            if record.sound:
                _by_chain(file, facts, stream, footage, report)
            if file.path in good:
                _by_header(tree, file, manifest.unit, stream, report)
    for stream in footage.streams.values():
        stream.files.sort(key=lambda file: (file.boot, file.seq))
        if record.sound:
            _none_left_out(stream, manifest, facts, report)
        _gaps(stream, manifest, facts, report)
    if record.sound:
        span = manifest.span
        if record.first_n > 1 and record.first_at > (span.from_boot, span.from_mono_ns):
            footage.unseen.append(
                f"{record.path} begins after the span does: lines before it could have been left out."
            )
        _stills(manifest, facts, footage, report)
        _other_streams(footage, manifest, facts, report)
    _recovered(footage, report)
    return footage


def _by_chain(file: EvidenceFile, facts: RecordFacts, stream: StreamFacts, footage: Footage, report: Report) -> None:
    line = facts.segments.get(file.path)
    if line is None:
        if file.state == "open":
            footage.unsealed.append(file.path)
        else:
            report.accuse(
                file.path, "is in no line of chain/record.jsonl: the unit did not record it, or it was renamed"
            )
        return
    if file.state == "open" and line.bytes > file.bytes:
        footage.unsealed.append(file.path)
        return
    stream.lines[file.path] = line
    if file.state not in ("open", line.state):
        report.accuse(
            file.path, f"is called {file.state}; line number {line.n} of chain/record.jsonl says {line.state}"
        )
    if (file.bytes, file.sha256) == (line.bytes, line.sha256):
        return
    if line.state == "abandoned":
        footage.differing.append(file.path)
        return
    report.accuse(
        file.path,
        f"is not what the unit wrote: line number {line.n} of chain/record.jsonl has another hash (changed or swapped)",
    )


def _by_header(tree: Tree, file: EvidenceFile, unit: str, stream: StreamFacts, report: Report) -> None:
    try:
        with tree.open(file.path) as opened:
            header = read_header(opened)
    except (StoreError, OSError) as error:
        if file.state == "whole":
            report.accuse(file.path, str(error))
        return
    stream.headers[file.path] = header
    if (header.unit, header.camera, header.boot, header.seq) != (unit, file.stream, file.boot, file.seq):
        name = f"{safe(header.camera, 60)}/{header.boot:06d}-{header.seq:08d}.mp4 of the unit {safe(header.unit, 60)}"
        report.accuse(file.path, f"says of itself that it is {name}")


def _none_left_out(stream: StreamFacts, manifest: Manifest, facts: RecordFacts, report: Report) -> None:
    """Every line about this stream, from the first exported segment to the last or within the span, has its file."""
    have = {file.path for file in stream.files}
    keys = [SegmentKey(file.boot, file.seq) for file in stream.files]
    told = later = 0
    open_end = manifest.span.to_boot is None or manifest.span.to_mono_ns is None
    for path, line in facts.segments.items():
        if line.stream != stream.name or path in have:
            continue
        if open_end and line.key > keys[-1]:
            later += 1
            continue
        between = keys[0] < line.key < keys[-1] and (line.timed or line.state == "whole")
        if not between and not overlaps(manifest.span, line):
            continue
        if line.file in facts.evicted:
            n, why = facts.evicted[line.file]
            words = f"{path} was deleted by the unit itself before the export (line number {n}: {safe(why, 40)})."
            report.remarks.append(words)
            report.lack("segments that the unit itself had deleted")
            stream.deleted += 1
        elif told < MAX_TOLD:
            told += 1
            what = f"is missing: line number {line.n} of chain/record.jsonl says that it was recorded, and none that"
            report.accuse(path, f"{what} the unit deleted it")
    if later:
        words = f"{counted(later, 'later segment')} of {stream.name} stand in the log and are not here"
        report.remarks.append(f"{words}: the incident was not over when this was exported.")


def _gaps(stream: StreamFacts, manifest: Manifest, facts: RecordFacts, report: Report) -> None:
    times, told = manifest.times, 0
    explained: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for gap in facts.gaps:
        begin, end = gap.begin, gap.end
        upto = (manifest.span.to_boot, manifest.span.to_mono_ns)
        after = upto[0] is not None and upto[1] is not None and begin > upto
        if gap.camera != stream.name or after or end < (manifest.span.from_boot, manifest.span.from_mono_ns):
            continue
        explained.append((begin, end))
        told += 1
        if told <= MAX_TOLD:
            why = safe(gap.why or "no reason given", 60)
            report.remarks.append(f"Gap: {_gap_words(stream.name, begin, end, times)} ({why}).")
    for earlier, later in _neighbours(stream):
        begin, end = (earlier.key.boot, earlier.to_mono_ns), (later.key.boot, later.from_mono_ns)
        if begin[0] == end[0] and end[1] - begin[1] <= SLACK_NS:
            continue
        if any(start < end and stop > begin for start, stop in explained):
            continue
        told += 1
        if told <= MAX_TOLD:
            report.remarks.append(f"Gap that no line explains: {_gap_words(stream.name, begin, end, times)}.")
    if told:
        report.lack("gaps in the recording itself")
    if told > MAX_TOLD:
        report.remarks.append(f"{stream.name} has {told - MAX_TOLD} more gaps.")
    _late_begin(stream, manifest, explained, report)
    _early_end(stream, manifest, explained, report)


def _late_begin(
    stream: StreamFacts, manifest: Manifest, explained: list[tuple[tuple[int, int], tuple[int, int]]], report: Report
) -> None:
    """A camera that has nothing of the span's beginning; voices may begin when they like."""
    first, span = stream.begin(), manifest.span
    since = (span.from_boot, max(0, span.from_mono_ns))
    if first is None or stream.name == AUDIO_STREAM or (first[0] == since[0] and first[1] - since[1] <= SLACK_NS):
        return
    if first > since and not any(start < first and stop > since for start, stop in explained):
        report.lack("gaps in the recording itself")
        words = _gap_words(stream.name, since, first, manifest.times)
        report.remarks.append(f"No line explains the beginning: {words}.")


def _early_end(
    stream: StreamFacts, manifest: Manifest, explained: list[tuple[tuple[int, int], tuple[int, int]]], report: Report
) -> None:
    """A camera that has nothing up to the span's end; voices may end when they like."""
    last, span = stream.end(), manifest.span
    if last is None or span.to_boot is None or span.to_mono_ns is None or stream.name == AUDIO_STREAM:
        return
    upto = (span.to_boot, span.to_mono_ns)
    if last[0] == upto[0] and upto[1] - last[1] <= SLACK_NS:
        return
    if last < upto and not any(start < upto and stop > last for start, stop in explained):
        report.lack("gaps in the recording itself")
        report.remarks.append(f"No line explains the end: {_gap_words(stream.name, last, upto, manifest.times)}.")


def _neighbours(stream: StreamFacts) -> Iterable[tuple[SegmentLine, SegmentLine]]:
    timed = [line for file in stream.files if (line := stream.lines.get(file.path)) and line.timed]
    return itertools.pairwise(timed)


def _gap_words(name: str, begin: tuple[int, int], end: tuple[int, int], times: Mapping[str, BootTime]) -> str:
    when = f"{name} has nothing from {instant_text(*begin, times)} to {instant_text(*end, times)}"
    if begin[0] == end[0]:
        return f"{when}, {length_text(end[1] - begin[1])}"
    return f"{when}, over a restart of the unit"


def _stills(manifest: Manifest, facts: RecordFacts, footage: Footage, report: Report) -> None:
    incident = manifest.incident.incident_id if manifest.incident is not None else None
    lines = [still for still in facts.stills if incident is None or still.incident_id == incident]
    by_name = {still.file.rpartition("/")[2]: still for still in lines}
    files = {file.path.rpartition("/")[2]: file for file in manifest.files if file.kind == "still"}
    for name, file in files.items():
        line = by_name.get(name)
        if line is None:
            report.accuse(file.path, "is in no line of chain/record.jsonl: the unit did not take it in this incident")
        elif line.sha256 != file.sha256:
            what = f"is not the picture that the unit took: line number {line.n} of chain/record.jsonl has another hash"
            report.accuse(file.path, what)
    if incident is None:
        return
    cameras = {file.path.rpartition("/")[2].rpartition("-")[0] for file in manifest.files if file.kind == "still"}
    for name, line in by_name.items():
        if name in files or (line.camera not in cameras and line.camera not in footage.streams):
            continue
        if line.file in facts.evicted or any(name in note for note in manifest.notes):
            footage.left_out.append(f"stills/{name}")
        else:
            report.accuse(f"stills/{name}", f"is missing: line number {line.n} of chain/record.jsonl says it was taken")


def _other_streams(footage: Footage, manifest: Manifest, facts: RecordFacts, report: Report) -> None:
    others: dict[str, int] = {}
    for line in facts.segments.values():
        if line.stream not in footage.streams:
            others[line.stream] = others.get(line.stream, 0) + overlaps(manifest.span, line)
    names = [f"{safe(name, 40)} ({counted(count, 'segment')})" for name, count in sorted(others.items()) if count]
    if names:
        report.lack("what the unit's other cameras and microphones recorded then")
        report.remarks.append(
            f"The unit also recorded, in the same time, what is not in this export: {', '.join(names)}."
        )


def _recovered(footage: Footage, report: Report) -> None:
    found = [
        file for stream in footage.streams.values() for file in stream.files if file.state in ("recovered", "abandoned")
    ]
    for state, words in (
        (
            "recovered",
            "was being written when the unit stopped; its hash was made at the next start, not while writing",
        ),
        ("abandoned", "was given up when the disk failed; its last part may be missing"),
    ):
        of_state = [file.path for file in found if file.state == state]
        if of_state:
            report.remarks.append(f"{_listed(of_state)} {words}.")


def _listed(paths: list[str]) -> str:
    shown = ", ".join(paths[:3])
    return shown + (f" and {len(paths) - 3} more, each" if len(paths) > 3 else "")


def complete_until(stream: StreamFacts, proven_n: int) -> int:
    """How many of the stream's segments, from the first on, are in lines that the control room's heads cover. Pure."""
    covered = 0
    for file in stream.files:
        line = stream.lines.get(file.path)
        if line is None or line.n > proven_n:
            break
        covered += 1
    return covered
