"""What the outbox believes, and what it puts aside."""

import errno
from pathlib import Path
from unittest import mock

import pytest

from unitd.errors import UNREADABLE
from unitd.store import disk
from unitd.store.outbox import QUARANTINE_TOLD, Entry, Outbox, sealed, unsealed

ENTRY = Entry("33333333-3333-4333-8333-333333333333", "i", "panic", 81_234_567_890, 1_790_000_000_000_000, "synced", 7)


def test_what_was_sealed_is_read_again() -> None:
    assert unsealed(sealed(ENTRY), ENTRY.press_id) == ENTRY


def test_no_changed_byte_is_believed() -> None:
    """Every bit of the file, one at a time: the entry as it was, or an error; never another alarm."""
    content = sealed(ENTRY)
    for at in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[at] ^= 1 << bit
            try:
                assert unsealed(bytes(changed), ENTRY.press_id) == ENTRY
            except UNREADABLE:
                continue


@pytest.mark.parametrize("length", range(len(sealed(ENTRY))))
def test_no_cut_file_is_believed(length: int) -> None:
    with pytest.raises(UNREADABLE):
        unsealed(sealed(ENTRY)[:length], ENTRY.press_id)


def test_an_entry_under_another_name_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "44444444-4444-4444-8444-444444444444.json").write_bytes(sealed(ENTRY))
    found = Outbox(tmp_path).open()
    assert (found.entries, found.unreadable) == ([], ["44444444-4444-4444-8444-444444444444.json"])
    assert len(list((tmp_path / "quarantine").iterdir())) == 1


def test_what_a_dead_core_left_unfinished_is_removed(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(ENTRY)
    (tmp_path / f".{ENTRY.press_id}.json.1.2.tmp").write_bytes(b"half")
    assert outbox.open().entries == [ENTRY]
    assert [each.name for each in tmp_path.iterdir()] == [f"{ENTRY.press_id}.json"]


def test_entries_of_a_directory_that_cannot_be_synced_do_not_count_as_durable(tmp_path: Path) -> None:
    Outbox(tmp_path).put(ENTRY)
    with mock.patch.object(disk, "sync_dir", side_effect=OSError(errno.EIO, "bad card")):
        found = Outbox(tmp_path).open()
    assert (found.entries, found.durable) == ([ENTRY], False)


def test_what_was_put_aside_is_told_of_until_somebody_takes_it_away(tmp_path: Path) -> None:
    Outbox(tmp_path).put(ENTRY)
    (tmp_path / "torn.json").write_bytes(b"half")
    for _ in range(3):
        found = Outbox(tmp_path).open()
        assert (found.entries, found.unreadable) == ([ENTRY], ["torn.json"])
    (tmp_path / "quarantine" / "torn.json").unlink()
    assert Outbox(tmp_path).open().unreadable == []


def test_a_full_quarantine_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "quarantine").mkdir()
    for number in range(QUARANTINE_TOLD + 5):
        (tmp_path / "quarantine" / f"{number}.json").write_bytes(b"")
    assert len(Outbox(tmp_path).open().unreadable) == QUARANTINE_TOLD
