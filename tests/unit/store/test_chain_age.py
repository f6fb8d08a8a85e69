"""What record's chain may lose: whole old parts that name no file which is there, and never what an export needs."""

from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from unitd.config import RingTable
from unitd.store import chain as chain_module
from unitd.store import chain_age
from unitd.store.boot import Boot
from unitd.store.chain import Chain
from unitd.store.chain_age import ChainAge
from unitd.store.chain_read import find_break, older_parts, parsed
from unitd.store.ring import Need, Ring


@pytest.fixture
def ring(tmp_path: Path, mocker: MockerFixture) -> tuple[Path, Chain, ChainAge]:
    """Forty segments, all there, and a chain whose parts name five or so."""
    mocker.patch.object(chain_module, "PART_BYTES", 700)
    mocker.patch.object(chain_age, "LOOK_EVERY_S", 0.0)
    chain = Chain(tmp_path / "record.chain")
    (tmp_path / "dome").mkdir()
    for number in range(40):
        (tmp_path / "dome" / f"{number}").touch()
        chain.append("segment", 1, file=f"dome/{number}", bytes=number)
    return tmp_path, chain, ChainAge(tmp_path, chain)


def _firsts(base: Path) -> list[int]:
    return [part.first_n for part in older_parts(base / "record.chain")]


def _held_by(base: Path, file: str) -> int:
    """The number of the part's first line in which `file` is named."""
    for part in older_parts(base / "record.chain"):
        if any((parsed(raw) or {}).get("file") == file for raw in part.path.read_bytes().splitlines()):
            return part.first_n
    raise AssertionError(file)


def test_a_part_goes_when_no_file_that_it_names_is_there(ring: tuple[Path, Chain, ChainAge]) -> None:
    base, _, age = ring
    before = _firsts(base)
    for _ in range(3):
        assert age.prune() == 0
    for number in range(20):
        (base / "dome" / f"{number}").unlink()
    held = _held_by(base, "dome/20")
    gone = sum(age.prune() for _ in range(2 * len(before)))
    left = _firsts(base)
    assert gone > 0 and left == before[gone:]
    assert left[0] < held and (len(left) < 2 or left[1] == held)
    assert find_break(base / "record.chain") is None


def test_one_file_that_is_kept_keeps_all_that_came_after(ring: tuple[Path, Chain, ChainAge]) -> None:
    base, chain, age = ring
    before = _firsts(base)
    for number in range(1, 40):
        (base / "dome" / f"{number}").unlink()
    assert sum(age.prune() for _ in range(20)) == 0 and _firsts(base) == before
    (base / "dome" / "0").unlink()
    assert sum(age.prune() for _ in range(20)) == len(before) - 1  # the last stays in any case
    chain.append("segment", 1, file="dome/40", bytes=1)
    assert find_break(base / "record.chain") is None


def test_an_intent_to_delete_keeps_nothing_and_a_disk_that_refuses_everything(
    ring: tuple[Path, Chain, ChainAge], mocker: MockerFixture
) -> None:
    base, chain, age = ring
    chain.append("evict", 1, file="dome/0", bytes=0, why="age")
    for number in range(40):
        (base / "dome" / f"{number}").unlink()
    refusing = mocker.patch.object(Path, "stat", side_effect=OSError(5, "input/output error"))
    with pytest.raises(OSError, match="input/output"):
        age.prune()
    mocker.stop(refusing)
    assert age.prune() == 0  # the first is found empty; nothing stands before it
    assert age.prune() == 1


def test_another_disk_is_another_chain(ring: tuple[Path, Chain, ChainAge]) -> None:
    base, _, age = ring
    files = [base / "dome" / f"{number}" for number in range(40)]
    for file in files:
        file.unlink()
    assert age.prune() == 0
    for file in files:
        file.touch()
    age.forget()
    before = _firsts(base)
    assert sum(age.prune() for _ in range(5)) == 0 and _firsts(base) == before


def test_whoever_makes_room_prunes_but_not_in_an_incident(ring: tuple[Path, Chain, ChainAge]) -> None:
    base, chain, _ = ring
    chain.close()
    for number in range(40):
        (base / "dome" / f"{number}").unlink()
    ours = Ring(base, base / "state", RingTable(), keep_fresh_s=120.0)
    before = _firsts(base)
    for _ in range(3):
        ours.make_room(Boot("b", 1), Need(incident=True))
    assert _firsts(base) == before
    for _ in range(3):
        ours.make_room(Boot("b", 1), Need())
    assert len(_firsts(base)) == len(before) - 2


def test_it_is_looked_at_now_and_then(ring: tuple[Path, Chain, ChainAge], mocker: MockerFixture) -> None:
    base, _, age = ring
    mocker.patch.object(chain_age, "LOOK_EVERY_S", 600.0)
    for number in range(40):
        (base / "dome" / f"{number}").unlink()
    assert sum(age.prune() for _ in range(20)) == 0
