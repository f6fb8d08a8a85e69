"""Locks: what overlaps is kept, and a doubt never costs evidence."""

import json
from pathlib import Path

import pytest

from unitd.errors import StoreError
from unitd.store.locks import Lock, read_locks

CLOSED = Lock(incident_id="aa", from_boot=2, from_mono_ns=100, to_boot=2, to_mono_ns=200)
OPEN = Lock(incident_id="bb", from_boot=2, from_mono_ns=100)
OVER_A_REBOOT = Lock(incident_id="cc", from_boot=2, from_mono_ns=100, to_boot=3, to_mono_ns=50)


@pytest.mark.parametrize(
    ("lock", "boot", "start", "end", "kept"),
    [
        (CLOSED, 2, 0, 99, False),
        (CLOSED, 2, 0, 100, True),
        (CLOSED, 2, 150, 160, True),
        (CLOSED, 2, 200, 300, True),
        (CLOSED, 2, 201, 300, False),
        (CLOSED, 1, 150, 160, False),
        (CLOSED, 3, 150, 160, False),
        (OPEN, 2, 10**18, 10**18, True),
        (OPEN, 9, 0, 1, True),
        (OPEN, 1, 500, 600, False),
        (OVER_A_REBOOT, 2, 10**18, 10**18, True),
        (OVER_A_REBOOT, 3, 0, 10, True),
        (OVER_A_REBOOT, 3, 51, 60, False),
    ],
)
def test_overlap_is_lexicographic_on_boot_and_monotonic_time(
    lock: Lock, boot: int, start: int, end: int, kept: bool
) -> None:
    assert lock.overlaps(boot, start, end) is kept


def _write(state: Path, name: str, content: bytes) -> None:
    (state / "locks").mkdir(exist_ok=True)
    (state / "locks" / name).write_bytes(content)


def test_no_directory_is_no_lock_and_an_unreadable_file_locks_everything(tmp_path: Path) -> None:
    assert not read_locks(tmp_path).cover(1, 0, 1)
    full = {"incident_id": "aa", "from_boot": 5, "from_mono_ns": 0, "to_boot": 5, "to_mono_ns": 9, "new_field": 1}
    _write(tmp_path, "aa.json", json.dumps(full).encode())
    _write(tmp_path, ".bb.json.1.tmp", b"half")
    locks = read_locks(tmp_path)
    assert locks.cover(5, 0, 1)
    assert not locks.cover(4, 0, 1)
    _write(tmp_path, "bb.json", b'{"incident_id": "bb", "from_boot"')
    assert read_locks(tmp_path).cover(4, 0, 1)


def test_an_incident_is_found_by_its_first_characters(tmp_path: Path) -> None:
    for name in ("abc1", "abd2"):
        lock = {"incident_id": name, "from_boot": 1, "from_mono_ns": 0, "to_boot": None, "to_mono_ns": None}
        _write(tmp_path, f"{name}.json", json.dumps(lock).encode())
    locks = read_locks(tmp_path)
    assert locks.named("abc").incident_id == "abc1"
    with pytest.raises(StoreError, match="2 incidents start with 'ab'"):
        locks.named("ab")
    with pytest.raises(StoreError, match="known: abc1, abd2"):
        locks.named("zz")
