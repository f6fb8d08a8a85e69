"""No two starts of core have the same session, whatever became of the counter: old commands stay old."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from unitd.core import session as session_module
from unitd.core.session import UNSAVED_FROM, next_session, unsaved_session
from unitd.store import disk


class Unit:
    """A unit that is restarted and rebooted."""

    def __init__(self, place: Path) -> None:
        self.run, self.state, self.boot = place / "run", place / "state", 1

    def start(self) -> int:
        return next_session(self.run, self.state, f"boot-{self.boot}")

    def start_before_the_disk(self) -> int:
        return unsaved_session(self.run, f"boot-{self.boot}")

    def reboot(self) -> None:
        self.boot += 1
        shutil.rmtree(self.run)


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path)


def test_it_counts_over_restarts_and_reboots(unit: Unit) -> None:
    first = [unit.start(), unit.start()]
    unit.reboot()
    assert [*first, unit.start()] == [1, 2, 3]


def test_a_disk_that_refuses_makes_no_number_of_another_boot_come_again(unit: Unit, mocker: MockerFixture) -> None:
    before = unit.start()
    write = disk.atomic_write

    def refuse(path: Path, data: bytes) -> None:
        if path.is_relative_to(unit.state):
            raise OSError(errno.EROFS, "read-only")
        write(path, data)

    mocker.patch.object(session_module.disk, "atomic_write", refuse)
    seen = [unit.start(), unit.start()]
    unit.reboot()
    seen += [unit.start(), unit.start()]
    mocker.stopall()
    unit.reboot()
    seen += [before, unit.start()]
    assert len(set(seen)) == len(seen)
    assert seen[-1] == before + 1


def test_a_slow_disk_neither(unit: Unit) -> None:
    seen = [unit.start(), unit.start_before_the_disk(), unit.start(), unit.start_before_the_disk()]
    unit.reboot()
    seen += [unit.start_before_the_disk(), unit.start(), unit.start_before_the_disk()]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    "damage", [b"", b"null", b'{"session":-4}', b'{"session":1e99}', b'{"session":99999999999999}']
)
def test_a_damaged_counter_neither(unit: Unit, damage: bytes) -> None:
    seen = [unit.start(), unit.start()]
    for _ in range(2):
        unit.reboot()
        (unit.state / "core" / "session.json").write_bytes(damage)
        seen += [unit.start(), unit.start()]
    assert len(set(seen)) == len(seen)
    assert max(seen) < 2**53, "a number that every reader of JSON can hold"
    assert min(seen[2:]) > UNSAVED_FROM


def test_a_counter_that_is_damaged_while_the_unit_runs_goes_on(unit: Unit) -> None:
    unit.start()
    (unit.state / "core" / "session.json").write_bytes(b"damage")
    assert unit.start() == 2
