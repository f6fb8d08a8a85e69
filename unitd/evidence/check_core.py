"""What core's extract says: who exported, which spans are locked, what the clock was found to be."""

from dataclasses import dataclass, field
from typing import Any

from unitd.evidence.check_segments import Footage
from unitd.evidence.check_tree import safe
from unitd.evidence.manifest import Manifest
from unitd.evidence.verify_report import Report
from unitd.evidence.verify_time import length_text

MAX_KEPT = 10_000
NEAR_US = 1_000_000
"""A clock that is set by the network drifts and slews by less within a boot."""


@dataclass
class CoreFacts:
    """`exports`: line numbers by the manifest's hash. `locks`: the last line about each incident. `offsets_us`: what
    core found UTC minus the monotonic clock of a boot to be."""

    exports: dict[str, int] = field(default_factory=dict)
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)
    released: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    offsets_us: dict[int, list[int]] = field(default_factory=dict)

    def on_line(self, n: int, record: dict[str, Any]) -> None:
        kind, incident = record.get("kind"), record.get("incident_id")
        if kind == "export" and isinstance(record.get("manifest_sha256"), str) and len(self.exports) < MAX_KEPT:
            self.exports[record["manifest_sha256"]] = n
        elif kind == "lock" and isinstance(incident, str) and len(self.locks) < MAX_KEPT:
            self.locks[incident] = record
        elif kind == "lock_released" and isinstance(incident, str) and len(self.released) < MAX_KEPT:
            self.released[incident] = (n, str(record.get("by", "")), str(record.get("reason", "")))
        elif kind == "clock" and sum(map(len, self.offsets_us.values())) < MAX_KEPT:
            boot, offset_us = record.get("boot"), record.get("true_offset_us")
            if type(boot) is int and type(offset_us) is int:
                self.offsets_us.setdefault(boot, []).append(offset_us)


def check_incident(manifest: Manifest, core: CoreFacts, footage: Footage, report: Report) -> None:
    """The span that was exported against the incident's own lock."""
    incident, span = manifest.incident, manifest.span
    if incident is None:
        report.remarks.append("This is a span of time that somebody chose, not a whole incident.")
        return
    if incident.incident_id in core.released:
        n, by, reason = core.released[incident.incident_id]
        words = f"{safe(by, 60)} released this incident's lock (line number {n}): {safe(reason, 120)}."
        report.remarks.append(words)
    lock = core.locks.get(incident.incident_id)
    if lock is None:
        footage.unseen.append("chain/core.jsonl has no line about this incident's lock: its true length is not shown.")
        return
    begin = (lock.get("from_boot"), lock.get("from_mono_ns"))
    end = (lock.get("to_boot"), lock.get("to_mono_ns"))
    if begin != (span.from_boot, span.from_mono_ns) and _numbers(begin) and begin < (span.from_boot, span.from_mono_ns):
        report.remarks.append(
            f"The export begins later than the incident's lock{_by(begin, span.from_boot, span.from_mono_ns)}."
        )
        report.lack("the beginning of the incident")
    if span.to_boot is None or span.to_mono_ns is None:
        report.remarks.append(
            "The incident was still open when this was exported: there may be more of it on the unit."
        )
        report.lack("what came after the export, for the incident was still open")
    elif not _numbers(end):
        report.remarks.append("The lock was still open in the chain: there may be more of the incident on the unit.")
        report.lack("what came after the export, for the incident was still open")
    elif end > (span.to_boot, span.to_mono_ns):
        report.remarks.append("The export ends before the incident's lock does: it is not the whole incident.")
        report.lack("the end of the incident")


def _numbers(pair: tuple[Any, Any]) -> bool:
    return all(type(value) is int for value in pair)


def _by(begin: tuple[Any, Any], boot: int, mono_ns: int) -> str:
    return f", by {length_text(mono_ns - begin[1])}" if begin[0] == boot else ""


def check_times(manifest: Manifest, core: CoreFacts, footage: Footage, report: Report) -> None:
    """The manifest's wall-clock times against the stamps in the segments' own headers, and what core found out."""
    stamps: dict[int, list[int]] = {}
    for stream in footage.streams.values():
        for header in stream.headers.values():
            stamps.setdefault(header.boot, []).append(header.utc_us - header.mono_ns // 1000)
    for boot, offsets in stamps.items():
        time = manifest.times.get(str(boot))
        if time is None or _near(time.offset_us, offsets):
            continue
        words = f"Times of boot {boot} are not those that its segments were stamped with: "
        if _near(time.offset_us, core.offsets_us.get(boot, [])):
            report.remarks.append(f"{words}the unit corrected them later, by chain/core.jsonl.")
        elif time.clock in ("synced", "held", "unknown"):
            off = length_text(abs(time.offset_us - offsets[0]) * 1000)
            report.accuse("manifest.json", f"gives times for boot {boot} that its segments do not have: {off} off")
        else:
            report.remarks.append(f"{words}the unit corrected them later, by the export's word alone.")


def _near(offset_us: int, known_us: list[int]) -> bool:
    return any(abs(offset_us - each) <= NEAR_US for each in known_us)
