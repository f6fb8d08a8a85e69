"""What the chain says of the clock, and what it cannot mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unitd.store import chain as chain_module
from unitd.store.chain import TAIL_BYTES, Chain, Field
from unitd.store.clock_truth import CHAIN_NAME, read_truths, truths_of


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


def test_a_chain_that_grew_long_still_tells_of_its_first_boot(tmp_path: Path) -> None:
    """Two services that fought over the clock for months: footage of before is kept for years."""
    chain = Chain(tmp_path / CHAIN_NAME)
    chain.append("clock", 1, true_offset_us=11)
    fight: list[tuple[str, dict[str, Field]]] = [("clock", {"true_offset_us": each}) for each in range(5000)]
    chain.append_all(fight, 2)
    chain.close()
    assert (tmp_path / CHAIN_NAME).stat().st_size > 2 * TAIL_BYTES
    assert read_truths(tmp_path) == {1: 11, 2: 4999}


def test_a_chain_of_many_parts_is_read_from_its_end_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "PART_BYTES", 2000)
    chain = Chain(tmp_path / CHAIN_NAME)
    for boot in range(1, 101):
        chain.append("clock", boot, durable=False, true_offset_us=boot)
    chain.close()
    found = read_truths(tmp_path)
    assert set(range(70, 101)) <= set(found) and 1 not in found


def test_a_part_that_has_just_ended_hides_nothing(tmp_path: Path) -> None:
    chain = Chain(tmp_path / CHAIN_NAME)
    chain.append("clock", 7, true_offset_us=3)
    chain.close()
    (tmp_path / CHAIN_NAME).rename(tmp_path / f"{CHAIN_NAME}.0000000001")
    assert read_truths(tmp_path) == {7: 3}
