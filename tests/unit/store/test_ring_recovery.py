"""What a crash left is chained once, beside the recording; the names that writers get were never used before."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tests.unit.store.ring_files import SECOND_NS, RingRig, write_segment
from unitd.config import RingTable
from unitd.store import chain as chain_module
from unitd.store import disk
from unitd.store import recovery as recovery_module
from unitd.store import ring as ring_module
from unitd.store.boot import Boot
from unitd.store.ring import Ring
from unitd.store.segment import SegmentKey


@pytest.fixture
def rig(tmp_path: Path, mocker: MockerFixture) -> RingRig:
    return RingRig(tmp_path, mocker)


def name(camera: str, boot: int, seq: int) -> str:
    return f"{camera}/{SegmentKey(boot, seq).file_name}"


def again(rig: RingRig) -> Ring:
    """The next start."""
    rig.ring.chain.close()
    rig.ring = Ring(rig.evidence, rig.state, rig.table, 0.0)
    return rig.ring


def test_all_files_after_the_last_that_the_chain_names_are_recovered_in_every_stream(rig: RingRig) -> None:
    for camera in ("dome", "door", "audio"):
        rig.add(camera, 1, range(1, 6))
        rig.chained(camera, 1, range(1, 4))
    assert sorted(rig.ring.recover(rig.boot)) == sorted(
        name(camera, 1, seq) for camera in ("dome", "door", "audio") for seq in (4, 5)
    )
    assert rig.ring.recover(rig.boot) == []
    assert again(rig).recover(rig.boot) == []
    line = next(each for each in rig.lines("recovered") if each["file"] == name("dome", 1, 4))
    assert (line["from_mono_ns"], line["to_mono_ns"]) == (4 * SECOND_NS, 5 * SECOND_NS)
    assert (line["torn_bytes"], line["bytes"]) == (0, (rig.evidence / line["file"]).stat().st_size)


def test_a_file_without_a_whole_fragment_is_recovered_too(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 4))
    rig.chained("dome", 1, range(1, 2))
    header_only = rig.evidence / name("dome", 1, 2)
    header_only.write_bytes(header_only.read_bytes()[:400])
    empty = rig.evidence / name("dome", 1, 3)
    empty.write_bytes(b"")
    assert len(rig.ring.recover(rig.boot)) == 2
    by_file = {line["file"]: line for line in rig.lines("recovered")}
    assert by_file[name("dome", 1, 2)]["from_mono_ns"] == by_file[name("dome", 1, 2)]["to_mono_ns"] == 2 * SECOND_NS
    assert by_file[name("dome", 1, 3)]["bytes"] == 0
    assert again(rig).recover(rig.boot) == []


def test_what_is_open_and_what_this_process_closed_is_not_recovered(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 3))
    boot = Boot("now", 2)
    key = rig.ring.next_key("dome", boot)
    path = write_segment(rig.evidence, "dome", key.boot, key.seq, 0)
    rig.ring.opened(path)
    rig.ring.closed(path)
    write_segment(rig.evidence, "dome", key.boot, key.seq + 1, 0)  # created, and not yet said to be open
    assert rig.ring.recover(boot) == [name("dome", 1, 1), name("dome", 1, 2)]


def test_what_a_second_crash_left_behind_newer_footage_is_found(rig: RingRig) -> None:
    """Recording begins before recovery has ended: the chain may name later files than one that it has to name yet."""
    rig.add("dome", 1, range(1, 9))
    rig.chained("dome", 1, range(1, 4))
    rig.chained("dome", 1, range(5, 8))
    assert rig.ring.recover(rig.boot) == [name("dome", 1, 4), name("dome", 1, 8)]


def test_old_segments_are_not_recovered_anew_when_the_chain_is_long(
    rig: RingRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long chain only the end is read; a stream that it does not name is looked for in older parts."""
    monkeypatch.setattr(chain_module, "PART_BYTES", 4000)
    monkeypatch.setattr(recovery_module, "TAIL_BYTES", 3000)
    monkeypatch.setattr(ring_module, "TAIL_BYTES", 3000)
    rig.add("gone", 1, range(1, 9))
    for seq in range(1, 8):
        rig.chained("gone", 1, range(seq, seq + 1))
    rig.add("dome", 1, range(1, 99))
    for seq in range(1, 98):
        rig.chained("dome", 1, range(seq, seq + 1))
    rig.ring.chain.append("evict", 1, file=name("dome", 1, 1), bytes=1, why="room")
    assert len(list(rig.evidence.glob("record.chain.*"))) > 3
    assert sorted(rig.ring.recover(rig.boot)) == [name("dome", 1, 98), name("gone", 1, 8)]


def test_a_chain_that_is_gone_has_every_file_chained_anew(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 9))
    rig.chained("dome", 1, range(1, 9))
    rig.ring.chain.close()
    (rig.evidence / "record.chain").unlink()
    assert len(again(rig).recover(rig.boot)) == 8


def test_it_goes_in_pieces_when_there_is_much(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 4))
    assert [rig.ring.recover(rig.boot, 0.0) for _ in range(4)] == [[name("dome", 1, seq)] for seq in (1, 2, 3)] + [[]]
    assert not rig.ring.recovering


def test_the_bytes_are_on_the_medium_before_the_line(rig: RingRig, mocker: MockerFixture) -> None:
    rig.add("dome", 1, range(1, 2))
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    mocker.patch.object(disk, "sync_data", side_effect=sync)
    rig.ring.recover(rig.boot)
    assert synced == [SegmentKey(1, 1).file_name, "record.chain"]


def test_a_file_that_cannot_be_read_holds_up_no_other_and_is_tried_again(
    rig: RingRig, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring_module, "RECOVER_AGAIN_S", 0.0)
    rig.add("dome", 1, range(1, 4))
    bad = rig.evidence / name("dome", 1, 2)
    ailing = True
    open_ = os.open

    def opened(path: str | Path, *args: int, **kwargs: int) -> int:
        if ailing and str(path) == str(bad):
            raise OSError(errno.EIO, "Input/output error")
        return open_(path, *args, **kwargs)

    mocker.patch.object(os, "open", side_effect=opened)
    assert rig.ring.recover(rig.boot) == [name("dome", 1, 1), name("dome", 1, 3)]
    ailing = False
    assert rig.ring.recover(rig.boot) == [name("dome", 1, 2)]


def test_a_torn_tail_of_the_chain_does_not_hide_what_was_named(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 4))
    rig.chained("dome", 1, range(1, 4))
    rig.ring.chain.close()
    path = rig.evidence / "record.chain"
    path.write_bytes(path.read_bytes()[:-20])
    assert again(rig).recover(rig.boot) == [name("dome", 1, 3)]


def seqs(rig: RingRig, boot: int) -> SegmentKey:
    return again(rig).next_key("dome", Boot("now", boot))


Left = Callable[[RingRig], None]


def evicted(rig: RingRig) -> None:
    rig.add("dome", 2, range(1, 9))
    rig.chained("dome", 2, range(1, 9))
    for seq in range(1, 6):
        (rig.evidence / name("dome", 2, seq)).unlink()


def unchained(rig: RingRig) -> None:
    rig.add("dome", 2, range(1, 9))
    rig.chained("dome", 2, range(1, 6))


def all_evicted(rig: RingRig) -> None:
    evicted(rig)
    for seq in range(6, 9):
        (rig.evidence / name("dome", 2, seq)).unlink()


def no_chain(rig: RingRig) -> None:
    rig.add("dome", 2, range(6, 9))


def no_word_of_this_stream(rig: RingRig) -> None:
    rig.add("dome", 2, range(6, 9))
    rig.chained("door", 2, range(1, 9))


def a_strange_number(rig: RingRig) -> None:
    unchained(rig)
    write_segment(rig.evidence, "dome", 2, (1 << 32) - 1, 0)


def a_strange_number_in_the_chain(rig: RingRig) -> None:
    unchained(rig)
    rig.chained("dome", 2, range((1 << 32) - 1, 1 << 32))


@pytest.mark.parametrize(
    "left",
    [
        evicted, unchained, all_evicted, no_chain, no_word_of_this_stream, a_strange_number,
        a_strange_number_in_the_chain,
    ],
)  # fmt: skip
def test_a_name_is_used_once_whatever_is_left_of_those_before(rig: RingRig, left: Left) -> None:
    left(rig)
    assert seqs(rig, 2) == SegmentKey(2, 9)
    assert seqs(rig, 3) == SegmentKey(3, 1)


def test_a_chain_that_cannot_be_read_costs_a_listing(rig: RingRig) -> None:
    rig.add("dome", 2, range(6, 9))
    (rig.evidence / "record.chain").mkdir()
    assert Ring(rig.evidence, rig.state, RingTable(), 0.0).next_key("dome", rig.boot) == SegmentKey(2, 9)


def test_what_was_recovered_late_says_nothing_about_what_was_closed_before(
    rig: RingRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain's end may begin with the recovery of a file that is older than some that were chained before it."""
    rig.add("dome", 1, range(1, 9))
    for seq in (1, 2, 3, 5, 6):
        rig.chained("dome", 1, range(seq, seq + 1))
    monkeypatch.setattr(chain_module, "PART_BYTES", 1)
    rig.ring.chain.append("recovered", 2, file=name("dome", 1, 4), bytes=1)
    monkeypatch.undo()
    rig.chained("dome", 1, range(7, 9))
    assert len((rig.evidence / "record.chain").read_bytes().splitlines()) == 3
    monkeypatch.setattr(ring_module, "TAIL_BYTES", 1)
    assert again(rig).recover(rig.boot) == []
