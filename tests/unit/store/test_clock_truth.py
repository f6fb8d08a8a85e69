"""What the chain says of the clock, and what it cannot mean."""

from __future__ import annotations

from typing import Any

import pytest

from unitd.store.clock_truth import truths_of


def record(**changed: Any) -> dict[str, Any]:
    return {"kind": "clock", "boot": 3, "true_offset_us": 1_790_000_000_000_000} | changed


def test_the_newest_word_of_each_boot() -> None:
    said = [record(true_offset_us=1), record(boot=4, true_offset_us=5), record(true_offset_us=2)]
    assert truths_of(said) == {3: 2, 4: 5}


@pytest.mark.parametrize(
    "changed",
    [
        {"boot": True},
        {"boot": 0},
        {"boot": "3"},
        {"boot": 10**30},
        {"true_offset_us": False},
        {"true_offset_us": 1.5},
        {"true_offset_us": 10**30},
        {"kind": "lock"},
    ],
)
def test_damage_is_passed_over(changed: dict[str, Any]) -> None:
    assert truths_of([record(boot=4), record(**changed)]) == {4: 1_790_000_000_000_000}
