"""Instants of an export in words, by what its manifest says of each boot's clock. Pure."""

import datetime
from collections.abc import Mapping

from unitd.evidence.manifest import BootTime

MAX_NS = 1 << 80
"""38 million years: more is a stranger's number that no clock has had, and is not calculated with."""
NO_TIME = "a time that no clock has"


def utc_text(utc_us: int, *, day: bool = True) -> str:
    """`2026-11-22 14:02:11 UTC`, or the time alone; what no calendar has is a number."""
    try:
        at = datetime.datetime.fromtimestamp(utc_us // 1_000_000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{utc_us} us" if abs(utc_us) <= MAX_NS else NO_TIME
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if day else f"{at:%H:%M:%S}"


def instant_text(boot: int, mono_ns: int, times: Mapping[str, BootTime], *, day: bool = False) -> str:
    """The wall-clock time of an instant; of a boot whose time is not known, the boot and its seconds."""
    if abs(mono_ns) > MAX_NS or abs(boot) > MAX_NS:
        return NO_TIME
    known = times.get(str(boot))
    if known is None:
        return f"boot {boot} + {mono_ns / 1e9:.1f} s"
    return utc_text(mono_ns // 1000 + known.offset_us, day=day)


def length_text(ns: int) -> str:
    """`12.0 s`, `3 min 20 s`."""
    if abs(ns) > MAX_NS:
        return NO_TIME
    seconds = ns / 1e9
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def counted(count: int, what: str) -> str:
    """`1 segment`, `7 segments`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
