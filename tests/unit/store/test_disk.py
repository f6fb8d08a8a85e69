"""Durable writes: all or nothing, short writes continued, nothing overwritten."""

import errno
import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from unitd.store import disk


def test_an_atomic_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    disk.atomic_write(path, b"a longer first content")
    disk.atomic_write(path, b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_full_disk_leaves_the_old_content_and_no_temporary_file(tmp_path: Path, mocker: MockerFixture) -> None:
    path = tmp_path / "state.json"
    disk.atomic_write(path, b"old")
    mocker.patch.object(os, "write", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        disk.atomic_write(path, b"new")
    mocker.stopall()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_failed_fsync_is_reported_and_the_old_content_stays(tmp_path: Path, mocker: MockerFixture) -> None:
    path = tmp_path / "state.json"
    disk.atomic_write(path, b"old")
    mocker.patch.object(os, "fsync", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        disk.atomic_write(path, b"new")
    mocker.stopall()
    assert path.read_bytes() == b"old"


def test_short_writes_are_continued(tmp_path: Path, mocker: MockerFixture) -> None:
    whole = os.write
    mocker.patch.object(os, "write", side_effect=lambda fd, data: whole(fd, bytes(data)[:3]))
    descriptor = disk.create_exclusive(tmp_path / "file")
    disk.write_all(descriptor, b"0123456789")
    disk.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_exclusive_creation_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"evidence")
    with pytest.raises(FileExistsError):
        disk.create_exclusive(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"evidence"


def test_removing_is_repeatable_and_reading_a_missing_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    disk.atomic_write(path, b"x")
    disk.remove(path)
    disk.remove(path)
    assert disk.read(path) is None


def test_make_dirs_creates_parents_and_is_repeatable(tmp_path: Path) -> None:
    disk.make_dirs(tmp_path / "a" / "b")
    disk.make_dirs(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
