"""What core's extract says: who exported, which spans are locked, what the clock was found to be."""

from dataclasses import dataclass, field
from typing import Any

from unitd.evidence.check_tree import safe
from unitd.evidence.manifest import Manifest
from unitd.evidence.verify_report import Report
from unitd.evidence.verify_time import length_text

MAX_KEPT = 10_000


@dataclass
class CoreFacts:
    """`exports`: line numbers by the manifest's hash. `locks`: the last line about each incident."""

    exports: dict[str, int] = field(default_factory=dict)
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)
    released: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    restarts: int = 0
    corrections: int = 0

    def on_line(self, n: int, record: dict[str, Any]) -> None:
        kind, incident = record.get("kind"), record.get("incident_id")
        if kind == "export" and isinstance(record.get("manifest_sha256"), str) and len(self.exports) < MAX_KEPT:
            self.exports[record["manifest_sha256"]] = n
        elif kind == "lock" and isinstance(incident, str) and len(self.locks) < MAX_KEPT:
            self.locks[incident] = record
        elif kind == "lock_released" and isinstance(incident, str) and len(self.released) < MAX_KEPT:
            self.released[incident] = (n, str(record.get("by", "")), str(record.get("reason", "")))
        elif kind == "clock":
            self.corrections += 1
        elif kind == "session":
            self.restarts += 1


def check_incident(manifest: Manifest, core: CoreFacts, report: Report) -> None:
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
        return
    begin = (lock.get("from_boot"), lock.get("from_mono_ns"))
    end = (lock.get("to_boot"), lock.get("to_mono_ns"))
    if begin != (span.from_boot, span.from_mono_ns) and _numbers(begin) and begin < (span.from_boot, span.from_mono_ns):
        report.remarks.append(
            f"The export begins later than the incident's lock{_by(begin, span.from_boot, span.from_mono_ns)}."
        )
    if span.to_boot is None or span.to_mono_ns is None:
        report.remarks.append(
            "The incident was still open when this was exported: there may be more of it on the unit."
        )
    elif not _numbers(end):
        report.remarks.append("The lock was still open in the chain: there may be more of the incident on the unit.")
    elif end > (span.to_boot, span.to_mono_ns):
        report.remarks.append("The export ends before the incident's lock does: it is not the whole incident.")


def _numbers(pair: tuple[Any, Any]) -> bool:
    return all(type(value) is int for value in pair)


def _by(begin: tuple[Any, Any], boot: int, mono_ns: int) -> str:
    return f", by {length_text(mono_ns - begin[1])}" if begin[0] == boot else ""
