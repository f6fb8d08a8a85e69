"""What `state_dir/core.chain` tells of the clock: for each boot, UTC minus CLOCK_MONOTONIC as it was found out.

A stamp of boot B at `mono_ns` should say `mono_ns // 1000 + truth` microseconds, whatever it says.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import msgspec

from unitd.errors import UNREADABLE

CHAIN_NAME = "core.chain"
KIND = "clock"
LARGEST = 1 << 62
READ_BYTES = 8 << 20
"""The chain is not rotated. A unit whose clock is sound adds some 0.35 kB with each boot, one whose clock is fought
over 0.35 kB an hour (3 MB a year): this is the whole of it after almost three such years. Core itself reads the last
TAIL_BYTES (a month of them) at its start, for alarms of earlier boots that still wait."""


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
    """As `truths_of`, from the last READ_BYTES of the file, beside a core that writes it; empty when there is none that
    can be read. A boot whose only words are further back is not among them: its stamps are then told as they were
    written. Never raises. Blocks (8 MB: 35 ms on a PC)."""
    try:
        with (state_dir / CHAIN_NAME).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - READ_BYTES))
            return truths_of(_records(file))
    except OSError:
        return {}


def _records(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        try:
            record = msgspec.json.decode(line)
        except UNREADABLE:
            continue  # the first of those read may be cut, and the last be torn
        if isinstance(record, dict):
            yield record
