"""What a writer makes of holes, ends, jumps, sound and odd cameras: segments that say so, and lines in the chain."""

import errno
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tests.unit.record.rig import Rig, until
from tests.unit.record.samples import FPS, INFO, TICKS, units
from tests.unit.record.test_muxer import pictures
from unitd.messages.media import AccessUnit, AudioInfo, AudioUnit
from unitd.record import writer as writer_module
from unitd.store import disk
from unitd.store.segment import end_mono_ns, measure, read_header

SECOND_NS = 1_000_000_000
WITH_SOUND = replace(INFO, audio=AudioInfo("aac", 8000, 1, bytes.fromhex("1588")))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, segment_s=10.0)
    yield made
    made.writer.stop()


def test_a_line_says_from_when_to_when_its_segment_is(rig: Rig) -> None:
    rig.feed(2 * FPS)
    rig.writer.stop()
    (line,) = rig.lines("segment")
    header = read_header(rig.directory / rig.names()[0])
    assert line["from_mono_ns"] == header.mono_ns == rig.began_ns
    assert line["to_mono_ns"] == rig.began_ns + 2 * SECOND_NS
    assert line["units"] == 2 * FPS


@pytest.mark.parametrize(("hole_s", "why"), [(0.5, None), (2.0, "camera_stalled"), (30.0, "camera_lost")])
def test_another_session_after_a_hole_is_a_gap_in_the_chain(rig: Rig, hole_s: float, why: str | None) -> None:
    rig.feed(FPS)
    ended = rig.began_ns + SECOND_NS
    rig.began_ns += int(hole_s * 1e9)
    rig.feed(FPS, session=2)
    rig.writer.stop()
    gaps = rig.lines("gap")
    assert [line["why"] for line in gaps] == ([] if why is None else [why])
    if gaps:
        assert gaps[0]["camera"] == "dome"
        assert gaps[0]["from_mono_ns"] == ended
        assert gaps[0]["to_mono_ns"] == read_header(rig.directory / rig.names()[1]).mono_ns
        assert gaps[0]["from_boot"] == gaps[0]["to_boot"] == 1


@pytest.mark.parametrize("killed", [True, False])
def test_the_gap_of_an_earlier_life_begins_with_its_last_whole_fragment(tmp_path: Path, killed: bool) -> None:
    first = Rig(tmp_path)
    first.feed(FPS + 5)
    if killed:  # as if: its file stays as it is, and its thread never closes it
        until(lambda: (first.directory / first.names()[0]).stat().st_size > 0, "written")
        first.writer._segment = None
    first.writer.stop()
    path = first.directory / first.names()[0]
    end = end_mono_ns(read_header(path), measure(path))
    second = Rig(tmp_path)
    second.began_ns = first.began_ns + 60 * SECOND_NS
    second.feed(FPS)
    second.writer.stop()
    (line,) = second.lines("gap")
    assert line["why"] == ("killed" if killed else "stopped")
    assert line["from_mono_ns"] == end
    assert line["to_mono_ns"] == second.began_ns


def test_what_the_disk_refused_is_a_gap(rig: Rig, mocker: MockerFixture) -> None:
    mocker.patch("unitd.record.writer.TRY_AGAIN_S", 0.0)
    rig.feed(FPS)
    broken = mocker.patch.object(disk, "sync_data", side_effect=OSError(errno.EIO, "Input/output error"))
    rig.writer.set_sync(0.5)
    until(lambda: rig.writer.fault()[0] == "disk_error", "the fault")
    mocker.stop(broken)
    rig.began_ns += 5 * SECOND_NS
    rig.feed(FPS)
    rig.writer.stop()
    assert [line["why"] for line in rig.lines("gap")] == ["disk"]
    assert [line["file"] for line in rig.lines("abandoned")] == ["dome/000001-00000001.mp4"]


def test_what_a_slow_disk_made_us_drop_is_a_gap_and_counted(rig: Rig, mocker: MockerFixture) -> None:
    rig.feed(FPS)
    rig.writer.backlog._limit_bytes = sum(len(unit.data) for unit in units(2 * FPS + 5))
    until(lambda: rig.writer.report.busy_since is None, "at rest")
    let_go = [False]

    def slow(descriptor: int) -> None:
        until(lambda: let_go[0], "let go", 20.0)

    held = mocker.patch.object(disk, "sync_data", side_effect=slow)
    rig.writer.set_sync(0.5)
    until(lambda: held.call_count > 0, "the disk is slow")
    rig.offer(units(6 * FPS, first=rig.next, arrival_ns=rig.began_ns))
    rig.next += 6 * FPS
    mocker.stop(held)
    let_go[0] = True
    until(lambda: len(rig.writer.backlog) == 0, "caught up")
    rig.feed(FPS)
    rig.writer.stop()
    (line,) = rig.lines("gap")
    assert line["why"] == "dropped"
    assert rig.writer.backlog.dropped > 3 * FPS
    assert line["to_mono_ns"] - line["from_mono_ns"] == rig.writer.backlog.dropped * SECOND_NS // FPS
    assert sum(pictures(rig.directory / name) for name in rig.names()) == 8 * FPS - rig.writer.backlog.dropped


def test_an_incidents_end_closes_its_segment_at_the_next_keyframe(rig: Rig) -> None:
    rig.writer.set_incident(True)
    rig.feed(FPS + 5)
    rig.writer.set_incident(False)
    rig.feed(FPS)
    until(lambda: rig.writer.report.segments == 1, "sealed")
    rig.writer.stop()
    assert [pictures(rig.directory / name) for name in rig.names()] == [2 * FPS, 5]
    assert rig.lines("gap") == []


def test_a_keyframe_from_before_an_incidents_end_does_not_close_its_segment(rig: Rig) -> None:
    """It came while the incident was on, and waited here for the end of its fragment."""
    given = list(units(3 * FPS))
    rig.writer.set_incident(True)
    rig.give(replace(unit, arrival_mono_ns=rig.began_ns + n) for n, unit in enumerate(given[:5]))
    inside_ns = time.monotonic_ns()
    rig.writer.set_incident(False)
    rig.give(replace(unit, arrival_mono_ns=inside_ns) for unit in given[5 : FPS + 5])
    assert rig.writer.report.segments == 0
    rig.give(replace(unit, arrival_mono_ns=time.monotonic_ns()) for unit in given[FPS + 5 : 2 * FPS - 5])
    rig.writer.stop()
    assert [pictures(rig.directory / name) for name in rig.names()] == [2 * FPS - 5]


def test_sound_is_written_inside_incidents_only(rig: Rig) -> None:
    def both(count: int) -> None:
        for unit in units(count, first=rig.next, arrival_ns=rig.began_ns):
            sound = AudioUnit(b"\x21\x10\x04\x60\x8c\x1c", unit.pts_90khz, TICKS, unit.arrival_mono_ns)
            rig.offer([unit, sound], info=WITH_SOUND)
        rig.next += count

    both(FPS)
    until(lambda: rig.writer.report.handled_units == rig.offered, "before")
    rig.writer.set_incident(True)
    both(FPS)
    until(lambda: rig.writer.report.handled_units == rig.offered, "inside")
    rig.writer.set_incident(False)
    both(FPS)
    until(lambda: rig.writer.report.handled_units == rig.offered, "after")
    rig.writer.stop()
    raw = [(rig.directory / name).read_bytes() for name in rig.names()]
    heard = [each.count(b"\x21\x10\x04\x60\x8c\x1c") for each in raw]
    assert heard == [FPS, 0]
    assert all(b"mp4a" in each for each in raw), "declared in each"


@pytest.mark.parametrize("jump_s", [3600, -3600, -1])
def test_a_clock_that_jumps_begins_a_segment_with_a_time_of_its_own(rig: Rig, jump_s: int) -> None:
    """In the middle of a GOP: the pictures up to the next keyframe go on with the time of their arrival."""
    rig.feed(FPS + 5)
    later = [
        replace(unit, pts_90khz=unit.pts_90khz + jump_s * 90_000, dts_90khz=unit.dts_90khz + jump_s * 90_000)
        for unit in units(2 * FPS, first=rig.next, arrival_ns=rig.began_ns)
    ]
    rig.give(later)
    rig.next += 2 * FPS
    rig.writer.stop()
    paths = [rig.directory / name for name in rig.names()]
    assert [pictures(path) for path in paths] == [2 * FPS, FPS + 5]
    assert [measure(path).duration_90khz for path in paths] == [2 * FPS * TICKS, (FPS + 5) * TICKS]
    headers = [read_header(path) for path in paths]
    assert headers[1].session != headers[0].session, "its times do not join those before"
    assert headers[1].pts_90khz == later[FPS - 5].dts_90khz
    assert rig.lines("gap") == []


def test_other_parameters_begin_another_segment(rig: Rig) -> None:
    rig.feed(FPS)
    keyframe, *rest = units(FPS, first=rig.next, arrival_ns=rig.began_ns)
    at = keyframe.data.index(b"\x00\x00\x00\x01\x68") + 5  # the PPS
    other = replace(keyframe, data=keyframe.data[:at] + bytes([keyframe.data[at] ^ 1]) + keyframe.data[at + 1 :])
    rig.give([other, *rest])
    rig.writer.stop()
    assert len(rig.names()) == 2
    assert rig.lines("gap") == []


def test_a_camera_that_sends_no_keyframe_is_cut_by_length_all_the_same(rig: Rig, mocker: MockerFixture) -> None:
    mocker.patch.object(writer_module, "LONGEST_S", 12.0)
    rig.writer.backlog._limit_bytes = 1 << 30
    first, *_ = units(1, arrival_ns=rig.began_ns)
    info = replace(INFO, extradata=first.data[: first.data.index(b"\x00\x00\x01\x65") - 1])
    rig.give([first], info=info)
    rig.give(
        (replace(unit, keyframe=False, data=plain(unit)) for unit in units(30 * FPS, first=1, arrival_ns=rig.began_ns)),
        info=info,
    )
    rig.writer.stop()
    durations = [measure(rig.directory / name).duration_90khz // 90_000 for name in rig.names()]
    assert durations == [12, 12, 6]
    assert rig.lines("gap") == []


def test_pictures_of_eight_megabytes_are_written(rig: Rig) -> None:
    rig.writer.backlog._limit_bytes = 64 * 1024 * 1024
    large = b"\x00\x00\x00\x01\x61" + b"\xaa" * (8 * 1024 * 1024 - 5)
    given = [unit if unit.keyframe else replace(unit, data=large) for unit in units(5, arrival_ns=rig.began_ns)]
    rig.give(given)
    rig.writer.stop()
    extent = measure(rig.directory / rig.names()[0])
    assert extent.torn_bytes == 0
    assert extent.duration_90khz == 5 * TICKS
    assert extent.fragments >= 4, "what is held in memory is bounded"


def test_a_segment_of_a_camera_that_fell_silent_is_closed(rig: Rig, mocker: MockerFixture) -> None:
    mocker.patch.object(writer_module, "SILENT_S", 0.2)
    mocker.patch.object(writer_module, "TAKE_S", 0.1)
    rig.feed(FPS + 5)
    until(lambda: rig.writer.report.segments == 1, "closed by itself")
    assert rig.lines("segment")[0]["units"] == FPS + 5


def test_pictures_wait_for_their_fragment_and_no_longer(tmp_path: Path) -> None:
    rig = Rig(tmp_path, gather=True)
    path = rig.directory / "000001-00000001.mp4"
    given = list(units(FPS, arrival_ns=time.monotonic_ns()))
    rig.offer(given[:1])
    until(path.exists, "the first picture opens the file")
    until(lambda: rig.writer.report.busy_since is None, "at rest")
    until(lambda: rig.writer.report.handled_units == 1, "and is in it")
    rig.offer(given[1:10])
    assert rig.writer.report.handled_units == 1, "not woken for less than a fragment"
    rig.offer(given[10:11])
    until(lambda: rig.writer.report.handled_units == 11, "woken for a whole one", 0.5)
    rig.offer(given[11:15])
    rig.writer.set_sync(1.0)
    until(lambda: rig.writer.report.handled_units == 15, "a press takes what is there", 0.5)
    until(lambda: measure(path).duration_90khz == 15 * TICKS, "and has it written")
    rig.offer(given[15:17])
    rig.writer.stop()
    assert pictures(path) == 17, "nor does the end leave anything behind"


def plain(unit: AccessUnit) -> bytes:
    """Of a keyframe the slice alone."""
    return unit.data if not unit.keyframe else unit.data[unit.data.index(b"\x00\x00\x01\x65") - 1 :]
