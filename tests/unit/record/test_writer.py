"""The ring as one camera's writer makes it, and what it does when the disk refuses."""

import errno
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pytest_mock import MockerFixture

from tests.unit.record.rig import LONG_AGO_NS, Rig, until
from tests.unit.record.samples import FPS, INFO, units
from tests.unit.record.test_muxer import pictures
from unitd.record.backlog import SessionUnit
from unitd.store import disk
from unitd.store.chain import first_break
from unitd.store.segment import read_header


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.writer.stop()


def test_segments_start_on_keyframes_lose_no_picture_and_are_chained(rig: Rig) -> None:
    rig.feed(5 * FPS)
    rig.writer.stop()
    names = rig.names()
    assert names == ["000001-00000001.mp4", "000001-00000002.mp4", "000001-00000003.mp4"]
    assert [pictures(rig.directory / name) for name in names] == [2 * FPS, 2 * FPS, FPS]
    headers = [read_header(rig.directory / name) for name in names]
    assert [header.seq for header in headers] == [1, 2, 3]
    assert [h.pts_90khz - headers[0].pts_90khz for h in headers] == [0, 180_000, 360_000]
    assert headers[0].unit == "pole-0001"
    assert headers[0].clock == "held"
    assert [segment.seq for segment in rig.closed] == [1, 2, 3]
    chain = rig.directory.parent / "record.chain"
    assert first_break(chain) is None
    records = [msgspec.json.decode(line) for line in chain.read_bytes().splitlines()]
    for name, record in zip(names, records, strict=True):
        assert record["kind"] == "segment"
        assert record["file"] == f"dome/{name}"
        assert record["sha256"] == hashlib.sha256((rig.directory / name).read_bytes()).hexdigest()


def test_recording_starts_at_a_keyframe_and_a_new_session_at_a_new_segment(rig: Rig) -> None:
    rig.next = 5
    rig.feed(FPS)
    assert len(rig.names()) == 1
    rig.feed(FPS, session=2)
    rig.writer.stop()
    assert [pictures(rig.directory / name) for name in rig.names()] == [5, 5]


def test_the_sequence_continues_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        rig = Rig(tmp_path)
        rig.feed(FPS)
        rig.writer.stop()
    assert rig.names() == ["000001-00000001.mp4", "000001-00000002.mp4"]


def test_each_fragment_is_synced_in_an_incident_and_few_otherwise(rig: Rig, mocker: MockerFixture) -> None:
    sync = mocker.patch.object(disk, "sync_data", side_effect=os.fdatasync)
    rig.feed(2 * FPS - 1)
    idle = sync.call_count
    rig.writer.set_sync(1.0)
    until(lambda: sync.call_count > idle, "what was open is synced at once")
    assert idle == 0
    rig.feed(2)
    before = sync.call_count
    rig.feed(FPS - 2)
    assert sync.call_count == before, "of pictures that have just come nothing is due"
    rig.began_ns -= LONG_AGO_NS
    rig.feed(2 * FPS, session=2)
    assert sync.call_count - before >= 2


def test_what_comes_late_is_not_synced_piece_by_piece(rig: Rig, mocker: MockerFixture) -> None:
    sync = mocker.patch.object(disk, "sync_data", side_effect=os.fdatasync)
    rig.writer.set_sync(4.0)
    rig.began_ns -= LONG_AGO_NS
    rig.feed(5)
    until(lambda: sync.call_count == 1, "overdue")
    for _ in range(10):
        rig.feed(3)
    assert sync.call_count == 1
    until(lambda: sync.call_count == 2, "after half of the time that may be lost")


def test_a_failed_sync_abandons_the_file_and_recording_goes_on_in_a_new_one(rig: Rig, mocker: MockerFixture) -> None:
    rig.feed(FPS)
    mocker.patch("unitd.record.writer.TRY_AGAIN_S", 0.0)
    broken = mocker.patch.object(disk, "sync_data", side_effect=OSError(errno.EIO, "Input/output error"))
    rig.writer.set_sync(0.5)
    until(lambda: rig.writer.report.abandoned == 1, "the file is given up")  # a slow disk alone is a fault as well
    assert rig.writer.fault()[0] == "disk_error"
    abandoned = rig.directory / rig.names()[0]
    size = abandoned.stat().st_size
    mocker.stop(broken)
    rig.began_ns -= LONG_AGO_NS
    rig.feed(FPS + 11)
    assert abandoned.stat().st_size == size
    assert len(rig.names()) == 2
    until(lambda: rig.writer.fault() == ("", ""), "healed by the next sync")
    rig.writer.stop()
    assert pictures(rig.directory / rig.names()[1]) == FPS + 11


def test_a_full_disk_with_nothing_to_evict_is_a_fault_that_heals(rig: Rig, mocker: MockerFixture) -> None:
    mocker.patch("unitd.record.writer.TRY_AGAIN_S", 0.0)
    rig.feed(FPS)
    full = mocker.patch("unitd.record.open_segment.os.write", side_effect=OSError(errno.ENOSPC, "No space left"))
    rig.feed(2 * FPS)
    assert rig.writer.fault()[0] == "disk_full"
    mocker.stop(full)
    rig.feed(4 * FPS)
    until(lambda: rig.writer.fault() == ("", ""), "healed")
    rig.writer.stop()
    assert pictures(rig.directory / rig.names()[-1]) > 0


def test_writers_close_beside_each_other_and_one_that_hangs_keeps_no_other_from_it(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    """However many cameras there are, all has to be over within the time that systemd gives."""
    rigs = [Rig(tmp_path / str(n)) for n in range(4)]
    for each in rigs:
        each.feed(5)
    let_go = threading.Event()
    sync = mocker.patch.object(disk, "sync_data", side_effect=lambda _: let_go.wait(10.0))
    began = time.monotonic()
    for each in rigs:
        each.writer.end()
    for each in rigs:
        each.writer.stop(began + 0.2 - time.monotonic())
    assert time.monotonic() - began < 1.0
    until(lambda: sync.call_count == 4, "all are at it")
    let_go.set()
    until(lambda: all(each.writer.report.segments == 1 for each in rigs), "closed")


def test_a_disk_that_hangs_blocks_nobody_and_is_reported(rig: Rig, mocker: MockerFixture) -> None:
    rig.feed(FPS)
    mocker.patch("unitd.record.writer.STUCK_AFTER_S", 0.2)
    let_go = [False]

    def hang(descriptor: int) -> None:
        until(lambda: let_go[0], "let go", 20.0)
        os.fdatasync(descriptor)

    mocker.patch.object(disk, "sync_data", side_effect=hang)
    rig.writer.set_sync(0.5)
    started = time.monotonic()
    for unit in units(200 * FPS, first=rig.next):
        rig.writer.offer(SessionUnit(1, INFO, unit))
    offered_s = time.monotonic() - started
    until(lambda: rig.writer.fault()[0] == "disk_error", "the fault")
    let_go[0] = True
    assert offered_s < 5.0
    assert rig.writer.backlog.dropped > 0
    until(lambda: len(rig.writer.backlog) == 0, "caught up", 20.0)
