"""The last seen time: what is kept is found again, and damage is never a time."""

from pathlib import Path

import pytest

from unitd.model.clock import BUILD_UTC_S
from unitd.store.chain import Chain
from unitd.store.clock_truth import CHAIN_NAME, read_truths
from unitd.store.last_seen import FILE_NAME, read_last_seen, write_last_seen


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_last_seen(tmp_path / "state", BUILD_UTC_S + 1000)
    write_last_seen(tmp_path / "state", BUILD_UTC_S + 500)
    assert read_last_seen(tmp_path / "state") == BUILD_UTC_S + 500


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"utc_s": 5}', b'{"utc_s": 99999999999}', b'{"utc_s": "now"}', b"\xff\xfe", b"[" * 100_000],
)
def test_fail__damage_is_the_builds_date(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert read_last_seen(tmp_path) == BUILD_UTC_S


def test_nothing_kept_is_the_builds_date(tmp_path: Path) -> None:
    assert read_last_seen(tmp_path / "none") == BUILD_UTC_S


def test_the_newest_truth_of_each_boot_beside_lines_of_others_and_damage(tmp_path: Path) -> None:
    chain = Chain(tmp_path / CHAIN_NAME)
    chain.append("clock", 3, true_offset_us=30)
    chain.append("command", 3, true_offset_us=99)
    chain.append("clock", 4, true_offset_us=40)
    chain.append("clock", 3, true_offset_us=31)
    chain.append("clock", 0, true_offset_us=7)
    with (tmp_path / CHAIN_NAME).open("ab") as file:
        file.write(b'\xff\x00garbage\n{"kind": "clock", "boot": "3", "true_offset_us": 1}\n{"kind": "clock", "boot": 5')
    assert read_truths(tmp_path) == {3: 31, 4: 40}


def test_fail__no_chain_is_no_truth(tmp_path: Path) -> None:
    assert read_truths(tmp_path) == {}
