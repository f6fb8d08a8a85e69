"""What `state_dir/core.chain` tells of the clock: for each boot, UTC minus CLOCK_MONOTONIC as it was found out.

A stamp of boot B at `mono_ns` should say `mono_ns // 1000 + truth` microseconds, whatever it says.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import msgspec

from unitd.errors import UNREADABLE
from unitd.store.chain import TAIL_BYTES

CHAIN_NAME = "core.chain"
KIND = "clock"
LARGEST = 1 << 62


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
    """As `truths_of`, from the end of the file, beside a core that writes it; empty when there is none that can be
    read. Never raises. Blocks."""
    try:
        with (state_dir / CHAIN_NAME).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
    except OSError:
        return {}
    return truths_of(_records(tail))


def _records(tail: bytes) -> Iterator[Mapping[str, Any]]:
    for line in tail.splitlines():
        try:
            record = msgspec.json.decode(line)
        except UNREADABLE:
            continue  # the first of the tail may be cut, and the last be torn
        if isinstance(record, dict):
            yield record
