"""When something on this unit really was: instants of a boot to UTC and back, by what was found out about each boot."""

import datetime
import zoneinfo
from collections.abc import Iterable
from pathlib import Path

from unitd.config import Config
from unitd.errors import StoreError
from unitd.evidence.manifest import BootTime
from unitd.model.clock import is_wrong, true_utc_us
from unitd.store.clock_truth import read_truths
from unitd.store.footage import segment_names
from unitd.store.segment import SegmentHeader, read_header

CORRECTED = "corrected afterwards"
_QUALITY = {"synced": 2, "held": 1, "unknown": 0}


def boot_times(headers: Iterable[SegmentHeader], truths: dict[int, int]) -> dict[int, BootTime]:
    """By boot: what core found out, else what the segment said whose clock was the best. Pure."""
    best: dict[int, SegmentHeader] = {}
    for header in headers:
        known = best.get(header.boot)
        if known is None or _QUALITY[header.clock] > _QUALITY[known.clock]:
            best[header.boot] = header
    found: dict[int, BootTime] = {}
    for boot, header in best.items():
        truth_us = truths.get(boot)
        wrong = truth_us is not None and is_wrong(header.mono_ns, header.utc_us, truth_us)
        if truth_us is not None and (wrong or header.clock == "unknown"):
            found[boot] = BootTime(offset_us=truth_us, clock=CORRECTED)
        else:
            found[boot] = BootTime(offset_us=header.utc_us - header.mono_ns // 1000, clock=header.clock)
    return found


def utc_us_of(mono_ns: int, time: BootTime) -> int:
    """When the instant was. Pure."""
    return true_utc_us(mono_ns, time.offset_us)


def iso(utc_us: int, timespec: str = "milliseconds") -> str:
    """ISO 8601 in UTC. Pure."""
    return datetime.datetime.fromtimestamp(utc_us / 1e6, datetime.UTC).isoformat(timespec=timespec)


def for_people(utc_us: int, zone: str) -> str:
    """Date, time and zone as on a clock at the site. Pure but for the system's table of zones."""
    local = datetime.datetime.fromtimestamp(utc_us / 1e6, zoneinfo.ZoneInfo(zone))
    return f"{local:%Y-%m-%d %H:%M:%S} {local:%Z} (UTC{local:%z})"


def parse_time(text: str, zone: str) -> tuple[int, bool]:
    """UTC microseconds of an ISO 8601 date and time, and whether it was taken as the site's local time.

    Raises StoreError that shows how it should be written. An hour that the clock skips or has twice is the first one.
    """
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise StoreError(
            f"{text!r} is no date and time; write 2026-11-22T14:05:00 (the site's own time, {zone}), or with Z for "
            "UTC, or with an offset such as +01:00"
        ) from None
    local = at.tzinfo is None
    if local:
        at = at.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    return int(at.timestamp() * 1_000_000), local


def known_boots(config: Config, streams: Iterable[str]) -> dict[int, BootTime]:
    """`boot_times` of every boot that has footage, from the first and the last segment of each. Blocks."""
    evidence = Path(config.paths.evidence_dir)
    headers: list[SegmentHeader] = []
    for stream in streams:
        edges: dict[str, list[str]] = {}
        for name in segment_names(evidence / stream):
            edges.setdefault(name.partition("-")[0], []).append(name)
        for names in edges.values():
            for name in {names[0], names[-1]}:
                try:
                    headers.append(read_header(evidence / stream / name))
                except OSError:
                    continue
    return boot_times(headers, read_truths(Path(config.paths.state_dir)))


def instant(utc_us: int, boots: dict[int, BootTime]) -> tuple[int, int]:
    """(boot, mono_ns) of a wall-clock time: in the newest boot that had begun by then, else before the oldest. Pure.

    Raises StoreError when there is no footage at all.
    """
    if not boots:
        raise StoreError("there is no footage on this unit")
    begun = [boot for boot, time in boots.items() if time.offset_us <= utc_us]
    boot = max(begun) if begun else min(boots)
    return boot, max(0, (utc_us - boots[boot].offset_us) * 1000)
