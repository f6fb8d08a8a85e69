"""Run as root of a mount namespace of its own: a disk that is missing, comes, vanishes under open files and returns.

Argument: an empty directory. Raises AssertionError, and exits with status 1, when the ring writes where it must not.
"""

import contextlib
import errno
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.unit.store.ring_files import write_segment
from unitd.config import RingTable
from unitd.store.boot import Boot
from unitd.store.ring import Ring
from unitd.store.segment import SegmentKey

BOOT = Boot("now", 1)


def mount(where: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(where)], check=True)


@contextlib.contextmanager
def no_disk() -> "contextlib.Iterator[None]":
    try:
        yield
    except OSError as error:
        assert error.errno == errno.ENODEV, error
        return
    raise AssertionError("something was done without a disk")


def nothing_works(ring: Ring, evidence: Path) -> None:
    with no_disk():
        ring.check_present()
    with no_disk():
        ring.camera_dir("dome")
    with no_disk():
        ring.make_room(BOOT)
    with no_disk():
        ring.make_room(BOOT, urgent=True)
    with no_disk():
        ring.recover(BOOT)
    with no_disk():
        ring.chain.append("segment", 1)
    assert list(evidence.iterdir()) == [], "written beneath the mount point"


def files(evidence: Path) -> list[str]:
    lines = (evidence / "record.chain").read_bytes().splitlines()
    return [f"{line['kind']} {line.get('file')}" for line in map(msgspec.json.decode, lines)]


def record(ring: Ring, evidence: Path, key: SegmentKey) -> str:
    """One segment, closed in order."""
    ring.camera_dir("dome")
    path = write_segment(evidence, "dome", key.boot, key.seq, 0)
    ring.opened(path)
    ring.closed(path)
    ring.chain.append("segment", key.boot, file=f"dome/{key.file_name}")
    return f"segment dome/{key.file_name}"


def main(base: Path) -> None:
    evidence, target = base / "link", base / "disk"
    target.mkdir()
    evidence.symlink_to(target)
    ring = Ring(evidence, base / "state", RingTable(must_be_mounted=True), 0.0)
    nothing_works(ring, evidence)
    mount(target)
    ring.make_room(BOOT)
    key = ring.next_key("dome", BOOT)
    first = record(ring, evidence, key)
    unclosed = write_segment(evidence, "dome", 1, key.seq + 1, 0)
    ring.opened(unclosed)
    with unclosed.open("ab"):
        assert files(evidence) == [first]
        subprocess.run(["mount", "--move", str(target), str(base / "away")], check=True)
        nothing_works(ring, evidence)
        ring.closed(unclosed)
    subprocess.run(["mount", "--move", str(base / "away"), str(target)], check=True)
    third = record(ring, evidence, SegmentKey(1, key.seq + 2))
    assert ring.make_room(BOOT).recovered == (f"dome/{unclosed.name}",), "what was open when it vanished"
    assert files(evidence) == [first, third, f"recovered dome/{unclosed.name}"]
    subprocess.run(["umount", "-l", str(target)], check=True)
    nothing_works(ring, evidence)
    mount(target)
    fourth = record(ring, evidence, SegmentKey(1, key.seq + 3))
    assert ring.make_room(BOOT).recovered == ()
    assert files(evidence) == [fourth], "another disk has a chain of its own"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
