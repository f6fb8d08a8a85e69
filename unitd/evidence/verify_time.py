"""Instants of an export in words, by what its manifest says of each boot's clock. Pure."""

import datetime
from collections.abc import Mapping

from unitd.evidence.manifest import BootTime


def utc_text(utc_us: int, *, day: bool = True) -> str:
    """`2026-11-22 14:02:11 UTC`, or the time alone; what no calendar has is a number."""
    try:
        at = datetime.datetime.fromtimestamp(utc_us // 1_000_000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{utc_us} us"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if day else f"{at:%H:%M:%S}"


def instant_text(boot: int, mono_ns: int, times: Mapping[str, BootTime], *, day: bool = False) -> str:
    """The wall-clock time of an instant; of a boot whose time is not known, the boot and its seconds."""
    known = times.get(str(boot))
    if known is None:
        return f"boot {boot} + {mono_ns / 1e9:.1f} s"
    return utc_text(mono_ns // 1000 + known.offset_us, day=day)


def length_text(ns: int) -> str:
    """`12.0 s`, `3 min 20 s`."""
    seconds = ns / 1e9
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"
