"""The hash chain: a change or a hole shows, a torn end is set aside, a full disk adds nothing."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from unitd.store import chain as chain_module
from unitd.store import disk
from unitd.store.chain import Chain, first_break


def _made(path: Path, lines: int) -> Chain:
    chain = Chain(path)
    for number in range(lines):
        chain.append("segment", 1, file=f"dome/{number}", bytes=number)
    return chain


def test_lines_follow_from_each_other_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "record.chain"
    _made(path, 3).close()
    again = Chain(path)
    again.open()
    assert [record["n"] for record in again.recent()] == [1, 2, 3]
    again.append("segment", 2, file="dome/x")
    assert first_break(path) is None
    assert len(path.read_bytes().splitlines()) == 4


def test_a_changed_line_and_a_missing_line_show(tmp_path: Path) -> None:
    path = tmp_path / "record.chain"
    _made(path, 4)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1].replace(b'"bytes":1', b'"bytes":9'), *lines[2:]]))
    assert first_break(path) == 3
    path.write_bytes(b"".join([*lines[:2], lines[3]]))
    assert first_break(path) == 3


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_torn_by_a_power_cut_is_set_aside_and_the_chain_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "record.chain"
    _made(path, 3).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = Chain(path)
    again.append("segment", 2, file="dome/after")
    assert first_break(path) is None
    assert len(path.read_bytes().splitlines()) == 3
    torn = list(tmp_path.glob("record.chain.torn-*"))
    assert len(torn) == 1
    assert whole.splitlines()[2].startswith(torn[0].read_bytes().rstrip(b"\n"))


def test_a_long_chain_is_opened_from_its_tail(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(chain_module, "TAIL_BYTES", 1000)
    path = tmp_path / "record.chain"
    _made(path, 50).close()
    again = Chain(path)
    again.append("segment", 1, file="dome/x")
    assert 0 < len(again.recent()) < 10
    assert first_break(path) is None


def test_a_full_disk_adds_nothing_and_the_next_append_works(tmp_path: Path, mocker: MockerFixture) -> None:
    path = tmp_path / "record.chain"
    chain = _made(path, 2)
    write = os.write
    calls = []

    def half_then_full(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    mocker.patch.object(os, "write", side_effect=half_then_full)
    with pytest.raises(OSError, match="No space left"):
        chain.append("evict", 1, file="dome/1")
    mocker.stopall()
    chain.append("evict", 1, file="dome/1")
    assert first_break(path) is None
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("n", ["null", '"seven"', "true", "-1", "18446744073709551615", "1e300", "[]"])
def test_a_last_line_with_a_damaged_number_stops_nobody(tmp_path: Path, n: str) -> None:
    """The count begins again, which shows as a break; evidence that comes goes on being chained."""
    path = tmp_path / "record.chain"
    path.write_text(f'{{"n":{n}}}\n')
    chain = Chain(path)
    chain.append("segment", 1)
    chain.append("segment", 1)
    chain.close()
    assert [record["n"] for record in map(json.loads, path.read_text().splitlines())][1:] == [1, 2]
    assert first_break(path) == 1


def test_an_append_behind_one_that_hangs_is_refused_and_holds_no_thread(tmp_path: Path, mocker: MockerFixture) -> None:
    chain = Chain(tmp_path / "core.chain", within_s=0.05)
    chain.append("segment", 1)
    hanging, back = threading.Event(), threading.Event()

    def hang(_descriptor: int) -> None:
        hanging.set()
        back.wait(10)

    mocker.patch.object(disk, "sync_data", side_effect=hang)
    first = threading.Thread(target=chain.append, args=("segment", 1))
    first.start()
    try:
        assert hanging.wait(10)
        for call in (chain.open, chain.close, lambda: chain.append("segment", 1)):
            with pytest.raises(OSError, match="hangs"):
                call()
    finally:
        back.set()
        first.join(10)
    chain.append("segment", 1)
    assert first_break(tmp_path / "core.chain") is None
    assert len((tmp_path / "core.chain").read_bytes().splitlines()) == 3
