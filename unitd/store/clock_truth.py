"""What `state_dir/core.chain` tells of the clock: for each boot, UTC minus CLOCK_MONOTONIC as it was found out.

A stamp of boot B at `mono_ns` should say `mono_ns // 1000 + truth` microseconds, whatever it says.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from unitd.store.chain_read import older_parts, read_lines

CHAIN_NAME = "core.chain"
KIND = "clock"
LARGEST = 1 << 62
READ_PARTS = 4
"""Of the older parts the last 16 MB: a unit with ten incidents and a hundred commands a day adds this in a year.
Core itself reads the last TAIL_BYTES at its start, for alarms of earlier boots that still wait."""


def truths_of(records: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """By boot, the newest word; whatever is not a correction is passed over. Pure."""
    found: dict[int, int] = {}
    for record in records:
        boot, truth_us = record.get("boot"), record.get("true_offset_us")
        if record.get("kind") == KIND and _whole(boot) and _whole(truth_us) and boot > 0:
            found[boot] = truth_us
    return found


def _whole(value: object) -> TypeGuard[int]:
    """A number that a stamp can have; JSON's `true` is an int to Python, and damage here."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST


def read_truths(state_dir: Path) -> dict[int, int]:
    """As `truths_of`, from the last parts of the chain, beside a core that writes it; empty when there is none that can
    be read. A boot whose only words are further back is not among them: its stamps are then told as they were written.
    Never raises. Blocks (20 MB: 0.2 s on a PC)."""
    path = state_dir / CHAIN_NAME
    try:
        parts = older_parts(path)[-READ_PARTS:]
        return truths_of(line.record for line in read_lines(path, parts[0].first_n if parts else 1))
    except OSError:
        return {}
