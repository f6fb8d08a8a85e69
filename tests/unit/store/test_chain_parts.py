"""A long chain in parts: it goes on over each border whoever dies where, is read as one, and loses only its oldest."""

import json
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from unitd.store import chain as chain_module
from unitd.store import chain_read, disk
from unitd.store.chain import Chain
from unitd.store.chain_read import find_break, first_break, older_parts, read_lines


@pytest.fixture
def path(tmp_path: Path, mocker: MockerFixture) -> Path:
    """A chain whose parts have five lines or so."""
    mocker.patch.object(chain_module, "PART_BYTES", 700)
    return tmp_path / "core.chain"


def _grown(path: Path, lines: int) -> Chain:
    chain = Chain(path)
    for number in range(lines):
        chain.append("segment", 1, file=f"dome/{number}", bytes=number)
    return chain


def _numbers(path: Path, from_n: int = 1) -> list[int]:
    return [line.n for line in read_lines(path, from_n)]


def test_parts_are_named_after_their_first_line_and_read_as_one(path: Path) -> None:
    chain = _grown(path, 23)
    parts = older_parts(path)
    assert len(parts) >= 3
    assert [part.path.name for part in parts] == [f"core.chain.{part.first_n:010d}" for part in parts]
    for part in parts:
        assert json.loads(part.path.read_bytes().splitlines()[0])["n"] == part.first_n
    assert _numbers(path) == list(range(1, 24))
    assert find_break(path) is None
    assert b"".join(line.raw for line in read_lines(path)) == b"".join(
        each.read_bytes() for each in [*(part.path for part in parts), path]
    )
    last = list(read_lines(path))[-1]
    assert chain.at == (23, chain_read.hash_of(last.raw))


@pytest.mark.parametrize("begin", [1, 5, 6, 7, 12, 23, 24])
def test_reading_may_begin_anywhere(path: Path, begin: int) -> None:
    _grown(path, 23)
    assert _numbers(path, begin) == list(range(begin, 24))


def test_a_start_on_any_side_of_a_border_goes_on_from_the_head(path: Path) -> None:
    for _ in range(30):
        chain = Chain(path)
        chain.append("segment", 1, file="dome/1")
        chain.close()
    assert _numbers(path) == list(range(1, 31))
    assert find_break(path) is None


@pytest.mark.parametrize("left", ["nothing", "empty", "torn"])
def test_a_death_at_the_border_leaves_a_chain_that_goes_on(path: Path, left: str) -> None:
    """The old part has its number already; of the new one there is nothing, no byte, or half a line."""
    _grown(path, 6).close()
    path.rename(path.with_name("core.chain.0000000006"))
    if left != "nothing":
        path.write_bytes(b'{"n":7,"prev":' if left == "torn" else b"")
    again = Chain(path)
    assert again.open().n == 6
    assert [each["n"] for each in again.recent()] == [6]
    again.append("segment", 1, file="dome/7")
    assert _numbers(path) == [1, 2, 3, 4, 5, 6, 7]
    assert find_break(path) is None
    assert bool(list(path.parent.glob("*.torn-*"))) == (left == "torn")


def test_the_tail_is_read_over_the_border(path: Path) -> None:
    _grown(path, 7).close()
    again = Chain(path)
    again.open()
    assert [each["n"] for each in again.recent()] == [1, 2, 3, 4, 5, 6, 7]


def test_a_disk_that_refuses_the_new_name_lets_the_chain_grow_on(path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(disk, "rename", side_effect=OSError(30, "read-only"))
    chain = _grown(path, 9)
    assert older_parts(path) == []
    mocker.stopall()
    mocker.patch.object(chain_module, "PART_BYTES", 700)
    chain.append("segment", 1)
    assert [part.first_n for part in older_parts(path)] == [1]
    assert find_break(path) is None


def test_a_name_that_cannot_be_synced_costs_one_append_and_no_line(path: Path, mocker: MockerFixture) -> None:
    chain = _grown(path, 5)
    refusing = mocker.patch.object(disk, "sync_dir", side_effect=OSError(5, "input/output error"))
    for _ in range(3):
        with pytest.raises(OSError, match="input/output"):
            for _ in range(3):
                chain.append("segment", 1)
    refusing.side_effect = None
    n = chain.append("segment", 1).n
    assert _numbers(path) == list(range(1, n + 1))
    assert find_break(path) is None


def test_a_part_is_never_replaced(path: Path) -> None:
    """Damage made the count begin again: the same number would name a second part."""
    _grown(path, 6).close()
    first = older_parts(path)[0].path.read_bytes()
    path.write_bytes(b"damage\n")
    chain = Chain(path)
    for _ in range(12):
        chain.append("segment", 1)
    assert older_parts(path)[0].path.read_bytes() == first
    assert find_break(path) is not None


def test_pruning_takes_whole_old_parts_alone_and_leaves_a_chain(path: Path) -> None:
    chain = _grown(path, 40)
    parts = older_parts(path)
    third = parts[2].first_n
    assert chain.prune(third - 1) == 1
    assert chain.prune(third) == 1
    assert chain_read.first_n(path) == third
    assert _numbers(path) == list(range(third, 41))
    assert find_break(path) is None
    assert chain.prune(10**9) == len(parts) - 3
    assert [part.first_n for part in older_parts(path)] == [parts[-1].first_n]
    chain.append("segment", 1)
    assert find_break(path) is None


@pytest.mark.parametrize("spoil", ["drop a part", "drop the first", "swap bytes", "renumber"])
def test_what_is_done_to_a_part_shows(path: Path, spoil: str) -> None:
    _grown(path, 23)
    parts = older_parts(path)
    if spoil == "drop a part":
        parts[1].path.unlink()
    elif spoil == "drop the first":
        parts[0].path.rename(path.with_name("core.chain.0000000099"))
    elif spoil == "swap bytes":
        raw = parts[1].path.read_bytes()
        parts[1].path.write_bytes(raw.replace(b'"bytes":7', b'"bytes":8'))
    else:
        parts[0].path.rename(path.with_name("core.chain.0000000002"))
    assert first_break(path) is not None


@pytest.mark.parametrize("n", ["0", "-5", "3", "null"])
def test_a_line_put_in_between_shows_whatever_number_it_claims(path: Path, n: str) -> None:
    _grown(path, 12)
    part = older_parts(path)[1].path
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join([lines[0], f'{{"n":{n}}}\n'.encode(), *lines[1:]]))
    assert find_break(path) is not None
    assert len(list(read_lines(path))) == 13


def test_a_writer_that_ends_a_part_meanwhile_disturbs_no_reader(path: Path) -> None:
    chain = _grown(path, 9)
    reading = read_lines(path)
    seen = [next(reading).n]
    for _ in range(4):  # less than a part: a reader holds the file that it began with
        chain.append("segment", 1)
    seen += [line.n for line in reading]
    assert seen[:9] == list(range(1, 10))
    assert seen == list(range(1, len(seen) + 1))


def test_a_long_line_and_a_torn_end_cost_no_memory_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "core.chain"
    path.write_bytes(b"x" * (chain_read.MAX_LINE_BYTES * 2 + 10) + b'\n{"n":9}\n{"n":10')
    lines = list(read_lines(path))
    assert [len(line.raw) for line in lines] == [chain_read.MAX_LINE_BYTES] * 2 + [11, 8]
    assert lines[-1].n == 9
    assert list(read_lines(tmp_path / "none" / "core.chain")) == []


def test_names_beside_the_chain_are_no_parts(tmp_path: Path) -> None:
    for name in ("core.chain.torn-12", "core.chain.0000000001.torn-7", "core.chain.12", "core.chainx.0000000001"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "other.chain.0000000001").mkdir()
    assert older_parts(tmp_path / "core.chain") == []
