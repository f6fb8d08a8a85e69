"""What the control room keeps of a unit's checkpoints: each once, on a line of its own, and nothing that is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from hw_sim.control_room.heads import HeadBook
from unitd.messages.control_room import Event, Stamp


def event(n: int, **changes: Any) -> Event:
    data: dict[str, Any] = {"checkpoint": n, "body": "{}\n", "signature": f"s{n}"} | changes
    return Event(name="checkpoint", at=Stamp(utc_us=1, clock="synced", mono_ns=1), session=1, data=data)


def test_each_is_kept_once_with_its_time_of_arrival(tmp_path: Path) -> None:
    book = HeadBook(tmp_path / "heads.jsonl")
    for each in (event(1), event(1), event(2)):
        book.keep("pole-1", each, 7)
    lines = [json.loads(line) for line in book.file.read_text().splitlines()]
    assert [line["checkpoint"] for line in lines] == [1, 2]
    assert lines[0] == {"unit": "pole-1", "received_utc_us": 7, "checkpoint": 1, "body": "{}\n", "signature": "s1"}


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "heads.jsonl"
    HeadBook(file).keep("pole-1", event(1), 7)
    file.write_bytes(file.read_bytes() + b'{"unit":"pole-1","rec')
    HeadBook(file).keep("pole-1", event(2), 8)
    first, torn, second = file.read_text().splitlines()
    assert (json.loads(first)["checkpoint"], torn, json.loads(second)["checkpoint"]) == (1, '{"unit":"pole-1","rec', 2)


@pytest.mark.parametrize("changes", [{"checkpoint": "1"}, {"body": None}, {"signature": 5}])
def test_what_is_no_checkpoint_is_not_kept(tmp_path: Path, changes: dict[str, Any]) -> None:
    book = HeadBook(tmp_path / "heads.jsonl")
    with pytest.raises(ValueError, match="is none"):
        book.keep("pole-1", event(1, **changes), 7)
    assert not book.file.exists()
