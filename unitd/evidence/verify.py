"""Checks an evidence directory from a stranger: what is proven, what is not, and what was changed (docs/evidence.md).

Reads only; opens nothing outside the export, follows no link, unpacks nothing. Memory: the manifest, the lines of the
chain about files, 16 bytes for each picture.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509

from unitd.evidence import check_heads, check_seal
from unitd.evidence.check_chain import CORE, RECORD, Extract, check_covered, read_extract
from unitd.evidence.check_core import CoreFacts, check_incident, check_times
from unitd.evidence.check_heads import Anchors, Heads
from unitd.evidence.check_manifest import MANIFEST, Listed, check_added, check_files, read_manifest
from unitd.evidence.check_record import RecordFacts
from unitd.evidence.check_seal import CERTIFICATE, Seal
from unitd.evidence.check_segments import Footage, check_segments
from unitd.evidence.check_tree import CannotReadError, RefusedError, Tree, open_tree, safe
from unitd.evidence.check_views import check_views
from unitd.evidence.verify_claims import claim
from unitd.evidence.verify_report import Report
from unitd.evidence.verify_time import counted, utc_text

MAX_TRUST_BYTES = 1 << 20

Progress = Callable[[int], object]


def verify(
    path: Path,
    trust: Path | None = None,
    heads: Path | None = None,
    *,
    total: Callable[[int], object] = lambda _: None,
    progress: Progress = lambda _: None,
) -> Report:
    """Judge the export at `path`. Never raises for what it is given: what cannot be checked is in `error`.

    `total` is told once how many bytes there are, `progress` how many more were read. Blocks for their length.
    """
    report = Report(place=safe(path))
    try:
        authority = _authority(trust)
        tree = open_tree(path)
        try:
            total(sum(tree.files.values()))
            _verify(tree, authority, heads, report, progress)
        finally:
            tree.close()
    except (RefusedError, CannotReadError) as error:
        report.error = safe(error)
    except (OSError, MemoryError, RecursionError) as error:
        report.error = f"{safe(path)}: {safe(error)}"
    report.judge()
    return report


def _authority(trust: Path | None) -> list[x509.Certificate] | None:
    if trust is None:
        return None
    try:
        with trust.open("rb") as file:
            return check_seal.read_authority(file.read(MAX_TRUST_BYTES), safe(trust))
    except RefusedError:
        raise
    except OSError as error:
        raise RefusedError(f"{trust}: {error.strerror or error}") from None


def _verify(
    tree: Tree, authority: list[x509.Certificate] | None, heads_file: Path | None, report: Report, progress: Progress
) -> None:
    if MANIFEST not in tree.files and not tree.odd and not any("/" in path for path in tree.files):
        raise RefusedError(f"{report.place}: no evidence directory: it has no {MANIFEST}")
    for name, what in tree.odd:
        report.accuse(safe(name), what)
    if tree.strangers:
        shown = ", ".join(safe(name, 60) for name in sorted(tree.strangers)[:5])
        report.remarks.append(f"Not part of the export, and not looked at: {shown}.")
    manifest_at = len(report.tampered)
    listed, manifest_hash = read_manifest(tree, report)
    heads, seal = _signed(tree, authority, heads_file, listed)
    report.tampered[manifest_at:manifest_at] = seal.tampered  # who signed comes before what was signed
    core, record = CoreFacts(), RecordFacts()
    wanted = check_heads.wanted_lines(heads, seal)
    extracts = {
        CORE: read_extract(tree, CORE, wanted.get(CORE, set()), core.on_line, report),
        RECORD: read_extract(tree, RECORD, wanted.get(RECORD, set()), record.on_line, report),
    }
    for extract in extracts.values():
        check_covered(extract, seal, report)
    anchors = check_heads.compare(heads, seal, extracts, report) if heads is not None else Anchors()
    sealed_n = _sealed(seal, extracts[CORE], core, manifest_hash, report)
    footage = _contents(tree, listed, extracts, core, record, report, progress)
    if listed is not None:
        _identity(seal, listed, report)
        _introduce(listed, report)
    else:
        report.unit = safe(seal.last.said.unit) if seal.last else ""
    claim(report, listed, seal, authority is not None, heads, anchors, sealed_n, footage)


def _signed(
    tree: Tree, authority: list[x509.Certificate] | None, heads_file: Path | None, listed: Listed | None
) -> tuple[Heads | None, Seal]:
    """The heads are read first: they tell which of a checkpoint and its signature was changed."""
    unit = check_seal.named_unit(tree) or (listed.manifest.unit if listed is not None else "")
    heads = check_heads.read_heads(heads_file, unit) if heads_file is not None else None
    return heads, check_seal.read_seal(tree, authority, heads.bodies() if heads is not None else {})


def _sealed(seal: Seal, core: Extract, facts: CoreFacts, manifest_hash: str, report: Report) -> int | None:
    """The number of core's line that seals the manifest; None when there is none (told, unless it never was sealed)."""
    if not core.sound:
        return None
    line = facts.exports.get(manifest_hash)
    if line is None and seal.checkpoints:
        if manifest_hash and not any(finding.file == MANIFEST for finding in report.tampered):
            what = "is not the manifest that the unit sealed: its hash is in no line `export` of chain/core.jsonl"
            report.accuse(MANIFEST, what)
        return None
    return line


def _contents(
    tree: Tree,
    listed: Listed | None,
    extracts: dict[str, Extract],
    core: CoreFacts,
    record: RecordFacts,
    report: Report,
    progress: Progress,
) -> Footage:
    """What the export holds, judged by its manifest; one that was changed accuses nobody of anything but the chain."""
    if listed is None:
        return Footage()
    manifest = listed.manifest
    if any(finding.file == MANIFEST for finding in report.tampered):
        check_added(tree, listed, report)
        return check_segments(tree, manifest, set(), extracts[RECORD], record, report)
    good = check_files(tree, listed, report, progress)
    footage = check_segments(tree, manifest, good, extracts[RECORD], record, report)
    samples = check_views(tree, manifest, good, footage, report)
    if extracts[CORE].sound:
        check_incident(manifest, core, footage, report)
        check_times(manifest, core, footage, report)
    if not report.tampered:
        report.checked.append(f"{len(manifest.files)} files are as the manifest lists them, and no other was added.")
        report.checked.extend(_hashed(footage))
        if samples:
            words = (
                f"The files for looking at hold exactly the pictures and sounds of the segments ({samples} compared)."
            )
            report.checked.append(words)
    return footage


def _hashed(footage: Footage) -> Iterator[str]:
    """When the unit made the hashes that the segments still have."""
    states = [
        line.state
        for stream in footage.streams.values()
        for path, line in stream.lines.items()
        if path not in footage.differing
    ]
    found = states.count("recovered")
    if written := len(states) - found:
        yield f"{counted(written, 'segment')} unchanged since the unit wrote and hashed them."
    if found:
        yield f"{counted(found, 'segment')} unchanged since the unit found and hashed them at its next start."


def _identity(seal: Seal, listed: Listed, report: Report) -> None:
    """One unit throughout: manifest, checkpoints, certificate."""
    last, unit = seal.last, listed.manifest.unit
    if last is not None and last.said.unit != unit:
        report.accuse(last.file, f"is of the unit {safe(last.said.unit)}; the manifest is of {safe(unit)}")
    if seal.certificate is not None:
        named = check_seal.unit_in(seal.certificate)
        if named != (last.said.unit if last is not None else unit):
            report.accuse(CERTIFICATE, f"is the certificate of {safe(named) or 'nobody'} and not of {safe(unit)}")


def _introduce(listed: Listed, report: Report) -> None:
    manifest = listed.manifest
    report.unit, report.site, report.by = safe(manifest.unit), safe(manifest.site), safe(manifest.by)
    if manifest.incident is not None:
        report.incident = safe(manifest.incident.incident_id)
    made = manifest.made
    report.made = f"{utc_text(made.utc_us)} (clock {safe(made.clock, 20)})"
