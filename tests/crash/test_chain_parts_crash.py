"""A part of a chain ends, with a death, a refusal or a power cut at each operation: no line is lost or doubled."""

import contextlib
import errno
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tests.crash.faulty_disk import Fault, FaultyDisk
from unitd.store import chain as chain_module
from unitd.store.chain import Chain
from unitd.store.chain_read import find_break, older_parts, read_lines

BEFORE = 6
OPERATIONS = [
    "read core.chain", "open core.chain", "fsync core.chain", "opendir d", "fsyncdir d", "close d", "read core.chain",
    "fsync core.chain", "rename core.chain.0000000001", "close core.chain", "read core.chain",
    "read core.chain.0000000001", "opendir d", "fsyncdir d", "close d", "create core.chain", "fsync core.chain",
    "opendir d", "fsyncdir d", "close d", "write core.chain", "fsync core.chain", "close core.chain",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _short_parts(mocker: MockerFixture) -> None:
    mocker.patch.object(chain_module, "PART_BYTES", 900)


def _life(base: Path) -> None:
    chain = Chain(base / "core.chain")
    try:
        chain.append("another", 1)
    finally:
        chain.close()


def _long(base: Path) -> FaultyDisk:
    """A chain whose part ends with the next line."""
    base.mkdir()
    chain = Chain(base / "core.chain")
    for _ in range(BEFORE):
        chain.append("segment", 1, file="x" * 20)
    chain.close()
    assert older_parts(base / "core.chain") == []
    return FaultyDisk(base)


def _whole(base: Path, *allowed: int) -> int:
    """Open it as the next life does: whole, from the first line on; how many lines it has."""
    chain = Chain(base / "core.chain")
    n = chain.open().n
    chain.close()
    assert find_break(base / "core.chain") is None
    assert [line.n for line in read_lines(base / "core.chain")] == list(range(1, n + 1))
    assert n in allowed
    return n


def test_each_operation_is_numbered(tmp_path: Path) -> None:
    faulty = _long(tmp_path / "d")
    with faulty.life():
        _life(tmp_path / "d")
    assert faulty.operations == OPERATIONS
    _whole(tmp_path / "d", BEFORE + 1)
    assert [part.first_n for part in older_parts(tmp_path / "d" / "core.chain")] == [1]


@pytest.mark.parametrize("seed", [None, 0, 1, 2, 3, 4])
def test_a_death_at_each_operation_loses_no_line(tmp_path: Path, seed: int | None) -> None:
    for at, operation in enumerate(OPERATIONS, start=1):
        for how in ("before", "after", *(("half",) if operation.startswith("write") else ())):
            base = tmp_path / f"{at}-{how}"
            faulty = _long(base)
            with faulty.life(Fault(how, at)):
                _life(base)
            assert faulty.died
            if seed is not None:
                faulty.cut_power(seed, base / "run")
            before = _whole(base, BEFORE, BEFORE + 1)
            _life(base)
            _whole(base, before + 1)


def test_a_refusal_at_each_operation_is_got_over(tmp_path: Path) -> None:
    for at, operation in enumerate(OPERATIONS, start=1):
        for code in (errno.ENOSPC, errno.EIO, errno.EROFS):
            for lasting in (False, True):
                base = tmp_path / f"{at}-{code}-{lasting}"
                faulty = _long(base)
                with faulty.life(Fault("error", at, code, lasting)), contextlib.suppress(OSError):
                    _life(base)
                assert faulty.died, operation
                before = _whole(base, BEFORE, BEFORE + 1)
                _life(base)
                _whole(base, before + 1)
