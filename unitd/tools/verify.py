"""`unitd verify`: what an evidence directory proves, in plain words for a person, or as JSON for a program."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitd.evidence.check_tree import safe
from unitd.evidence.verify import verify
from unitd.evidence.verify_report import PROVEN, TAMPERED, UNPROVEN, Finding, Report
from unitd.evidence.verify_time import counted

WIDTH = 110
"""Of a line at most; a narrower terminal gets what fits."""
MOST_FINDINGS = 12
_BOLD = {PROVEN: "\x1b[1;32m", TAMPERED: "\x1b[1;31m", UNPROVEN: "\x1b[1;33m"}
_PLAIN = "\x1b[0m"


def run(path: Path, trust: Path | None, heads: Path | None, as_json: bool) -> int:
    """Check `path`, say what was found on stdout, and return the exit status: 0 proven, 1 tampered, 2 it cannot be
    checked, 3 consistent but origin or completeness not proven. Blocks; a progress bar on a terminal."""
    report = _checked(path, trust, heads)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    elif report.error:
        print(f"unitd: {report.error}", file=sys.stderr)
    else:
        colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        for line in words(report, colours):
            print(line)
    return report.status


def _checked(path: Path, trust: Path | None, heads: Path | None) -> Report:
    from tqdm import tqdm

    tqdm.monitor_interval = 0
    with tqdm(unit="B", unit_scale=True, desc="verify", leave=False, disable=None, delay=0.5) as bar:

        def total(size: int) -> None:
            bar.total = size

        return verify(path, trust, heads, total=total, progress=bar.update)


def words(report: Report, colours: bool = False) -> Iterator[str]:
    """The report, line by line: the verdict first. Pure."""
    for line in _wrapped("", _verdict(report)) if report.status == PROVEN else [_verdict(report)]:
        yield f"{_BOLD[report.status]}{line}{_PLAIN}" if colours else line
    yield from _wrapped("", _subject(report))
    for stream in report.streams:
        span = f"{stream.begins} to {stream.ends}" if stream.begins else "times not known"
        yield from _wrapped("  ", f"{stream.stream}: {counted(stream.segments, 'segment')}, {span}")
    if report.tampered:
        yield "Changed:"
        for finding in report.tampered[:MOST_FINDINGS]:
            yield from _wrapped("  - ", _told(finding))
        if len(report.tampered) > MOST_FINDINGS:
            yield f"  - and {len(report.tampered) - MOST_FINDINGS} more (--json names them all)"
    if report.checked and not report.tampered:
        yield "Checked, and in order:"
        for each in report.checked:
            yield from _wrapped("  - ", each)
    if report.not_proven and not report.tampered:
        yield "Not proven:"
        for gap in report.not_proven:
            yield from _wrapped("  - ", f"{gap.what.capitalize()}: {gap.why} {gap.how}".rstrip())
    if report.remarks:
        yield "To be known:"
        for each in report.remarks:
            yield from _wrapped("  - ", each)


def _verdict(report: Report) -> str:
    if report.status == PROVEN:
        if report.lacks:
            here = f"PROVEN: recorded by the unit {report.unit}, unchanged, and nothing was taken out of it."
            return f"{here} Not all is in it: {', '.join(report.lacks)} (below)."
        return f"PROVEN: recorded by the unit {report.unit}, unchanged, and nothing is missing."
    if report.status == TAMPERED:
        more = f" ({len(report.tampered)} findings)" if len(report.tampered) > 1 else ""
        return f"TAMPERED: {_told(report.tampered[0])}{more}"
    missing = " and ".join(sorted({each.what for each in report.not_proven}, reverse=True))
    return (
        f"CONSISTENT: nothing was found changed, but {missing} {'is' if ' and ' not in missing else 'are'} not proven."
    )


def _told(finding: Finding) -> str:
    """A stranger's names may hold anything: none of it reaches the terminal as it is."""
    return f"{safe(finding.file)} {safe(finding.what, 600)}."


def _subject(report: Report) -> str:
    what = f"incident {report.incident}" if report.incident else "a span of time"
    site = report.site or "no site named"
    return f"Unit {report.unit or 'unknown'}, {site}: {what}; exported {report.made or 'unknown'}."


def _wrapped(lead: str, text: str) -> list[str]:
    width = min(WIDTH, max(40, shutil.get_terminal_size().columns)) if sys.stdout.isatty() else WIDTH
    return textwrap.wrap(text, width, initial_indent=lead, subsequent_indent=" " * len(lead)) or [lead]
