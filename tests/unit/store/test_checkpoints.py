"""`checkpoints.log`: durable lines, torn ones passed over, the newest found from the end."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from unitd.evidence.canonical import canonical
from unitd.store import checkpoints
from unitd.store.checkpoints import (
    LOG_NAME,
    Checkpoint,
    HeadPart,
    append_checkpoint,
    last_checkpoint,
    parse_line,
    read_checkpoints,
)


def _body(n: int, **heads: int) -> bytes:
    made = {name: HeadPart(n=at, head="a" * 64) for name, at in heads.items()}
    return canonical(
        Checkpoint(
            unit="pole-1", n=n, prev="0" * 64, boot=1, boot_id="b", mono_ns=5, utc_us=7, clock="synced", heads=made
        )
    )


def _made(base: Path, count: int) -> None:
    for n in range(1, count + 1):
        append_checkpoint(base, _body(n, core=n), bytes([n % 256]) * 64)


def test_what_was_appended_is_read_as_it_was_signed(tmp_path: Path) -> None:
    _made(tmp_path, 3)
    found = list(read_checkpoints(tmp_path))
    assert [(each.body, each.signature) for each in found] == [(_body(n, core=n), bytes([n]) * 64) for n in (1, 2, 3)]
    assert [each.checkpoint.n for each in read_checkpoints(tmp_path, 2)] == [2, 3]
    last, heads = last_checkpoint(tmp_path)
    assert last == found[-1] and heads["core"].n == 3


def test_nothing_there_is_nothing(tmp_path: Path) -> None:
    assert list(read_checkpoints(tmp_path / "none")) == []
    assert last_checkpoint(tmp_path) == (None, {})


def test_a_writer_that_was_left_out_keeps_its_newest_head(tmp_path: Path) -> None:
    append_checkpoint(tmp_path, _body(1, core=1, record=9), bytes(64))
    append_checkpoint(tmp_path, _body(2, core=2), bytes(64))
    last, heads = last_checkpoint(tmp_path)
    assert last is not None and set(last.checkpoint.heads) == {"core"}
    assert (heads["core"].n, heads["record"].n) == (2, 9)


@pytest.mark.parametrize("keep", [1, 20, 200])
def test_a_torn_line_is_passed_over_and_the_next_is_whole(tmp_path: Path, keep: int) -> None:
    _made(tmp_path, 2)
    log = tmp_path / LOG_NAME
    first = log.read_bytes().splitlines(keepends=True)[0]
    log.write_bytes(first + log.read_bytes()[len(first) : len(first) + keep])
    assert [each.checkpoint.n for each in read_checkpoints(tmp_path)] == [1]
    append_checkpoint(tmp_path, _body(2), bytes(64))
    assert [each.checkpoint.n for each in read_checkpoints(tmp_path)] == [1, 2]


def test_a_disk_that_fills_in_the_middle_costs_that_line_alone(tmp_path: Path, mocker: MockerFixture) -> None:
    _made(tmp_path, 1)
    write, calls = os.write, []

    def half_then_full(descriptor: int, data: memoryview) -> int:
        calls.append(1)
        if len(calls) == 1:
            return write(descriptor, data[:30])
        raise OSError(28, "No space left on device")

    mocker.patch.object(os, "write", side_effect=half_then_full)
    with pytest.raises(OSError, match="No space"):
        append_checkpoint(tmp_path, _body(2), bytes(64))
    mocker.stopall()
    append_checkpoint(tmp_path, _body(2), bytes(64))
    assert [each.checkpoint.n for each in read_checkpoints(tmp_path)] == [1, 2]


def test_a_long_log_is_read_from_its_end(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(checkpoints, "TAIL_BYTES", 2000)
    _made(tmp_path, 50)
    last, _ = last_checkpoint(tmp_path)
    assert last is not None and last.checkpoint.n == 50


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b'{"body":"{}","sig":""}', b'{"body":"","sig":"AA=="}', b"\xff" * 30, b"[" * 100_000],
)
def test_damage_is_none(raw: bytes) -> None:
    assert parse_line(raw) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_checkpoint_or_none(raw: bytes) -> None:
    parse_line(raw)


@given(st.integers(0, 700), st.integers(0, 255))
def test_a_changed_byte_is_another_checkpoint_or_none(at: int, value: int) -> None:
    import msgspec

    line = bytearray(msgspec.json.encode({"body": _body(4, core=1).decode(), "sig": "AA" * 43 + "=="}))
    whole: Any = parse_line(bytes(line))
    if at < len(line) and line[at] != value:
        line[at] = value
        found = parse_line(bytes(line))
        assert found is None or found != whole or found.body == whole.body
