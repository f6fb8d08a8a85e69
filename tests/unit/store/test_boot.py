"""The boot counter: once per boot id, never twice the same, whatever happens to the file."""

import fcntl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from unitd.errors import StoreError
from unitd.store.boot import Boot, current_boot
from unitd.store.segment import SegmentKey


def _kernel(tmp_path: Path, boot_id: str) -> Path:
    path = tmp_path / "boot_id"
    path.write_text(boot_id + "\n")
    return path


def test_the_counter_advances_once_per_boot_id(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = current_boot(state, _kernel(tmp_path, "aaaa"))
    assert first == Boot("aaaa", 1)
    assert current_boot(state, _kernel(tmp_path, "aaaa")) == first
    assert current_boot(state, _kernel(tmp_path, "bbbb")) == Boot("bbbb", 2)


def test_many_callers_at_once_agree(tmp_path: Path) -> None:
    kernel = _kernel(tmp_path, "cccc")
    with ThreadPoolExecutor(8) as pool:
        boots = list(pool.map(lambda _: current_boot(tmp_path / "state", kernel), range(16)))
    assert set(boots) == {Boot("cccc", 1)}


def test_a_damaged_file_never_gives_a_number_used_before(tmp_path: Path) -> None:
    state = tmp_path / "state"
    current_boot(state, _kernel(tmp_path, "aaaa"))
    (state / "boot.json").write_bytes(b"\0\0\0\0")
    after = current_boot(state, _kernel(tmp_path, "bbbb"))
    assert after.boot > 1_000_000
    assert current_boot(state, _kernel(tmp_path, "bbbb")) == after


@pytest.mark.parametrize("number", ["99999999999", "true", "-1", "1.5", '"7"', "null"])
def test_a_number_that_cannot_be_one_is_damage(tmp_path: Path, number: str) -> None:
    """With eleven digits the boot's segments would not be read as segments: never exported, never evicted."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "boot.json").write_text(f'{{"boot_id": "aaaa", "boot": {number}}}')
    after = current_boot(state, _kernel(tmp_path, "bbbb"))
    assert 1_000_000 < after.boot < 100_000_000
    assert SegmentKey.parse(SegmentKey(after.boot, 1).file_name) == SegmentKey(after.boot, 1)


def test_fail__a_process_that_hangs_with_the_lock_holds_up_nobody_for_long(tmp_path: Path) -> None:
    state = tmp_path / "state"
    current_boot(state, _kernel(tmp_path, "aaaa"))
    with (state / ".boot.lock").open() as hung:
        fcntl.flock(hung, fcntl.LOCK_EX)
        began_s = time.monotonic()
        with pytest.raises(StoreError, match="another process keeps"):
            current_boot(state, _kernel(tmp_path, "aaaa"))
        assert time.monotonic() - began_s < 3.0
    assert current_boot(state, _kernel(tmp_path, "aaaa")) == Boot("aaaa", 1)
