"""What stands in the evidence directory and is not ours, or may not be touched, holds up nothing."""

import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tests.unit.store.ring_files import RingRig
from unitd.config import RingTable
from unitd.store import eviction as eviction_module
from unitd.store import index as index_module

TABLE = RingTable(high_watermark_percent=50.0, low_watermark_percent=10.0)


@pytest.fixture
def rig(tmp_path: Path, mocker: MockerFixture) -> RingRig:
    return RingRig(tmp_path, mocker, TABLE, capacity=40)


def test_a_directory_that_cannot_be_read_holds_up_no_room(rig: RingRig, mocker: MockerFixture) -> None:
    rig.add("dome", 1, range(1, 41))
    (rig.evidence / "backup").mkdir()
    real = index_module.list_names

    def list_names(directory: Path) -> object:
        if directory.name == "backup":
            raise PermissionError(13, "Permission denied", str(directory))
        return real(directory)

    mocker.patch.object(index_module, "list_names", side_effect=list_names)
    assert rig.ring.make_room(rig.boot).segments > 0
    assert rig.ring.make_room(rig.boot, urgent=True).segments > 0


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("000001-00000003.mp4")])
def test_what_is_named_like_a_segment_and_is_no_file_holds_up_nothing(rig: RingRig, make: object) -> None:
    assert callable(make)
    rig.add("dome", 1, range(3, 41))
    odd = [rig.evidence / "dome" / name for name in ("000001-00000001.mp4", "000002-00000001.mp4")]
    for path in odd:
        make(path)
    assert rig.ring.next_key("dome", rig.boot).seq == 2
    assert rig.ring.make_room(rig.boot).segments > 0
    assert all(path.is_symlink() or path.exists() for path in odd)


def test_what_may_not_be_deleted_holds_up_no_other_and_is_not_announced_again(
    rig: RingRig, mocker: MockerFixture
) -> None:
    rig.add("dome", 1, range(1, 41))
    real = Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == "000001-00000002.mp4":
            raise PermissionError(1, "Operation not permitted", str(path))
        real(path, missing_ok=missing_ok)

    mocker.patch.object(Path, "unlink", autospec=True, side_effect=unlink)
    for _ in range(3):
        rig.ring.make_room(rig.boot)
    assert rig.left()[0] == "dome/1-2"
    assert rig.left()[1] > "dome/1-3"
    names = [line["file"] for line in rig.lines("evict")]
    assert len(names) == len(set(names))
    assert rig.fill().used_percent < 15.0


def test_a_stream_that_is_another_users_is_left_alone(rig: RingRig, mocker: MockerFixture) -> None:
    rig.add("copied", 1, range(1, 11))
    rig.add("dome", 2, range(1, 31))
    mocker.patch.object(eviction_module, "_may_write", side_effect=lambda directory: directory.name != "copied")
    assert rig.ring.make_room(rig.boot).segments > 0
    assert [name for name in rig.left() if name.startswith("copied")] == [f"copied/1-{n}" for n in range(1, 11)]
    assert {line["file"].partition("/")[0] for line in rig.lines("evict")} == {"dome"}
