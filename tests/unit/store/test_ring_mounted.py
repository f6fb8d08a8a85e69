"""With `ring.must_be_mounted` nothing is written while no disk is mounted, and it heals by itself when one is."""

import subprocess
import sys
from pathlib import Path

import pytest

from unitd.config import RingTable
from unitd.store.boot import Boot
from unitd.store.place import Place
from unitd.store.ring import Ring

ROOT = Path(__file__).resolve().parents[3]


def test_a_disk_that_is_missing_comes_vanishes_and_returns(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "state").mkdir()
    # moving a mount needs one that is private to this namespace
    script = "mount --make-rprivate / && exec " + f"{sys.executable} -m tests.unit.store.mount_program {tmp_path}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("there", [True, False])
def test_a_plain_directory_is_no_mount_and_needs_not_be_one(tmp_path: Path, there: bool) -> None:
    evidence = tmp_path / "evidence"
    if there:
        evidence.mkdir()
    with pytest.raises(OSError, match="no disk is mounted"):
        Place(evidence, must_be_mounted=True).check()
    assert evidence.exists() is there
    ring = Ring(evidence, tmp_path / "state", RingTable(), 0.0)
    ring.make_room(Boot("now", 1))
    assert evidence.is_dir()


def test_a_mount_and_a_link_to_one_are_seen(tmp_path: Path) -> None:
    Place(Path("/proc"), must_be_mounted=True).check()
    (tmp_path / "link").symlink_to("/proc")
    Place(tmp_path / "link", must_be_mounted=True).check()
