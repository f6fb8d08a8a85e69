"""Why footage goes: age, budgets, watermarks, the reserve; and when there is too little room whatever goes."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tests.unit.store.ring_files import DAY_US, SECOND_NS, SECOND_US, RingRig, release, write_lock, write_segment
from unitd.config import RingTable
from unitd.model.retention import LEAST_RATE_BYTES_S
from unitd.store import room as room_module
from unitd.store.boot import Boot
from unitd.store.chain import Chain
from unitd.store.clock_truth import CHAIN_NAME, KIND
from unitd.store.ring import Need

NOW_US = 1_800_000_000 * SECOND_US
OLD_US, YOUNG_US = NOW_US - 40 * DAY_US, NOW_US - 20 * DAY_US
SYNCED = Need(utc_us=NOW_US, clock="synced")


@pytest.fixture(autouse=True)
def _age_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "AGE_EVERY_S", 0.0)


@pytest.fixture
def rig(tmp_path: Path, mocker: MockerFixture) -> RingRig:
    return RingRig(tmp_path, mocker)


def truth(rig: RingRig, boot: int, offset_us: int) -> None:
    """What core found out about a boot's clock."""
    chain = Chain(rig.state / CHAIN_NAME)
    chain.append(KIND, boot, true_offset_us=offset_us)
    chain.close()


def test_what_is_too_old_goes_from_every_stream_and_says_why(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 4), OLD_US, "synced")
    rig.add("dome", 1, range(4, 6), YOUNG_US, "synced")
    rig.add("gone-camera", 1, range(1, 3), OLD_US, "held")
    rig.add("audio", 1, range(1, 2), OLD_US, "synced")
    assert rig.ring.make_room(rig.boot, SYNCED).segments == 6
    assert rig.left() == ["dome/1-4", "dome/1-5"]
    assert {line["why"] for line in rig.lines("evict")} == {"age"}
    assert rig.ring.make_room(rig.boot, SYNCED).segments == 0


@pytest.mark.parametrize("clock", ["held", "unknown"])
def test_nothing_is_too_old_while_the_clock_is_not_synchronised(rig: RingRig, clock: str) -> None:
    rig.add("dome", 1, range(1, 4), OLD_US, "synced")
    assert rig.ring.make_room(rig.boot, Need(utc_us=NOW_US, clock=clock)).segments == 0


def test_nothing_is_too_old_without_a_limit(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = RingRig(tmp_path, mocker, RingTable(retain_days=None))
    rig.add("dome", 1, range(1, 4), OLD_US, "synced")
    assert rig.ring.make_room(rig.boot, SYNCED).segments == 0


def test_a_wrong_stamp_is_corrected_by_what_was_found_out_about_its_boot(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 3), OLD_US, "synced")
    truth(rig, 1, YOUNG_US)
    rig.add("door", 3, range(1, 3), YOUNG_US, "unknown")
    truth(rig, 3, OLD_US)
    rig.boot = Boot("now", 9)
    rig.ring.make_room(rig.boot, SYNCED)
    assert rig.left() == ["dome/1-1", "dome/1-2"]


def test_an_unknown_time_counts_as_old_when_a_later_one_is(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 3), 5, "unknown")
    rig.add("dome", 2, range(1, 3), OLD_US, "synced")
    rig.add("dome", 3, range(1, 3), 5, "unknown")
    rig.add("door", 1, range(1, 3), 5, "unknown")
    rig.boot = Boot("now", 4)
    rig.ring.make_room(rig.boot, SYNCED)
    assert rig.left() == ["dome/3-1", "dome/3-2", "door/1-1", "door/1-2"]


def test_within_a_boot_what_came_before_the_clock_was_known_goes_with_what_is_old(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 4), 5, "unknown")
    rig.add("dome", 1, range(4, 6), OLD_US, "synced")
    rig.add("dome", 1, range(6, 9), YOUNG_US, "synced")
    rig.ring.make_room(rig.boot, SYNCED)
    assert rig.left() == ["dome/1-6", "dome/1-7", "dome/1-8"]


def test_of_this_boot_the_clock_of_now_says_the_time(rig: RingRig) -> None:
    now_ns = time.monotonic_ns()
    for seq, days in enumerate((40, 35, 1), start=1):
        write_segment(rig.evidence, "dome", 2, seq, now_ns - days * DAY_US * 1000)
    rig.ring.make_room(rig.boot, SYNCED)
    assert rig.left() == ["dome/2-3"]


def test_what_is_locked_does_not_go_with_age(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 9), OLD_US, "synced")
    write_lock(rig.state, "i", (1, 4 * SECOND_NS), (1, 5 * SECOND_NS))
    rig.ring.make_room(rig.boot, SYNCED)
    assert rig.left() == ["dome/1-3", "dome/1-4", "dome/1-5"]
    release(rig.state, "i")
    rig.ring.make_room(rig.boot, SYNCED)
    assert rig.left() == []


def test_footage_of_a_stranger_says_nothing_about_ours(rig: RingRig) -> None:
    """A disk that comes from elsewhere, or outlived the boot counter, has higher boots."""
    rig.add("dome", 1, range(1, 4), 5, "unknown")
    rig.add("dome", 57, range(1, 4), OLD_US, "synced")
    rig.ring.make_room(rig.boot, SYNCED)
    assert rig.left() == ["dome/1-1", "dome/1-2", "dome/1-3"]


def test_for_room_a_strangers_footage_goes_first(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = RingRig(tmp_path, mocker, RingTable(high_watermark_percent=50.0, low_watermark_percent=10.0), capacity=10)
    rig.add("dome", 1, range(1, 4))
    rig.add("dome", 57, range(1, 4))
    rig.ring.make_room(rig.boot)
    assert rig.left() == ["dome/1-3"]
    assert [line["file"][5:11] for line in rig.lines("evict")] == ["000057"] * 3 + ["000001"] * 2


@pytest.mark.parametrize("why", ["lock", "no word"])
def test_stills_of_an_incident_stay_while_nobody_has_released_it(rig: RingRig, why: str) -> None:
    still = still_of(rig, "i")
    if why == "lock":
        write_lock(rig.state, "i", (1, 0), (1, 1), raised_utc_us=OLD_US, clock="synced")
    rig.ring.make_room(rig.boot, SYNCED)
    assert still.exists()


@pytest.mark.parametrize(("raised_us", "clock", "goes"), [
    (OLD_US, "synced", True), (YOUNG_US, "synced", False), (OLD_US, "unknown", False),
])  # fmt: skip
def test_stills_of_a_released_incident_go_with_age(rig: RingRig, raised_us: int, clock: str, goes: bool) -> None:
    still = still_of(rig, "i")
    write_lock(rig.state, "i", (1, 0), (1, 1), raised_utc_us=raised_us, clock=clock)
    release(rig.state, "i")
    rig.ring.make_room(rig.boot, SYNCED)
    assert still.exists() is not goes
    assert still.parent.exists() is not goes
    assert [line["file"] for line in rig.lines("evict")] == ([".stills/i/dome-1.jpg"] if goes else [])


def test_stills_of_an_unknown_time_go_when_later_footage_is_too_old(rig: RingRig) -> None:
    still = still_of(rig, "i")
    write_lock(rig.state, "i", (1, 0), (1, 1), raised_utc_us=5, clock="unknown")
    release(rig.state, "i")
    rig.add("dome", 2, range(1, 3), OLD_US, "synced")
    rig.boot = Boot("now", 3)
    rig.ring.make_room(rig.boot, SYNCED)
    assert not still.exists()


def still_of(rig: RingRig, incident: str) -> Path:
    path = rig.evidence / ".stills" / incident / "dome-1.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"picture")
    return path


def test_a_camera_keeps_its_budget_of_unlocked_footage(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = RingRig(tmp_path, mocker, budgets={"dome": 0})
    rig.ring = type(rig.ring)(rig.evidence, rig.state, rig.table, 0.0, {"dome": 4 * rig.size})
    rig.add("dome", 1, range(1, 11))
    rig.add("door", 1, range(1, 11))
    write_lock(rig.state, "i", (1, 2 * SECOND_NS + 1), (1, 3 * SECOND_NS))
    rig.ring.make_room(rig.boot)
    assert [name for name in rig.left() if "dome" in name] == [
        "dome/1-2",
        "dome/1-3",
        "dome/1-8",
        "dome/1-9",
        "dome/1-10",
    ]
    assert len([name for name in rig.left() if "door" in name]) == 10
    assert {line["why"] for line in rig.lines("evict")} == {"budget"}
    assert rig.ring.make_room(rig.boot).segments == 0


def test_the_reserve_stays_free_outside_incidents_and_is_used_inside(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = RingRig(tmp_path, mocker, capacity=100)
    rate = 0.15 * 100 * rig.size / rig.table.incident_reserve_s  # a reserve of 15 segments
    need = Need(rates_bytes_s=(rate,))
    rig.add("dome", 1, range(1, 88))
    assert rig.ring.make_room(rig.boot, replace(need, incident=True)).segments == 0
    room = rig.ring.make_room(rig.boot, need)
    assert (room.segments, room.wanted) == (7, False)
    assert len(rig.left()) == 80
    assert rig.lines("evict")[0]["why"] == "room"


def test_rates_that_nobody_has_measured_count_four_megabits(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = RingRig(tmp_path, mocker, capacity=100)
    rig.table = RingTable(incident_reserve_s=15 * rig.size / LEAST_RATE_BYTES_S)
    rig.ring = type(rig.ring)(rig.evidence, rig.state, rig.table, 0.0)
    rig.add("dome", 1, range(1, 88))
    assert rig.ring.make_room(rig.boot, Need(rates_bytes_s=(None,))).segments == 7


def test_when_locks_leave_too_little_the_ring_shrinks_and_says_so(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = RingRig(tmp_path, mocker, capacity=100, keep_fresh_s=3600.0)
    now_ns = time.monotonic_ns()
    rig.add("dome", 1, range(1, 91))
    for seq in range(1, 4):
        write_segment(rig.evidence, "dome", 2, seq, now_ns - (4 - seq) * SECOND_NS)
    write_lock(rig.state, "a", (1, 0), (1, 60 * SECOND_NS), outcome="hoax", review_utc_us=OLD_US)
    write_lock(rig.state, "b", (1, 61 * SECOND_NS), (1, 88 * SECOND_NS), outcome="genuine", review_utc_us=NOW_US + 1)
    rate = 0.15 * 100 * rig.size / rig.table.incident_reserve_s
    need = replace(SYNCED, rates_bytes_s=(rate,))
    room = rig.ring.make_room(rig.boot, need)
    assert room.wanted
    assert rig.left()[-3:] == ["dome/2-1", "dome/2-2", "dome/2-3"]
    assert len(rig.left()) == 88 + 3
    standing = rig.ring.standing()
    assert standing.short
    assert (standing.incidents, standing.hoaxes, standing.due) == (2, 1, 1)
    assert standing.locked_bytes == pytest.approx(88 * rig.size, rel=0.01)
    assert standing.unlocked_bytes == pytest.approx(3 * rig.size, rel=0.01)
    release(rig.state, "a")
    assert not rig.ring.make_room(rig.boot, need).wanted
    assert not rig.ring.standing().short
    assert rig.ring.standing().incidents == 1


def test_the_fault_does_not_come_while_an_incident_is_being_recorded(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = RingRig(tmp_path, mocker, capacity=100)
    rig.add("dome", 1, range(1, 91))
    lock = write_lock(rig.state, "a", (1, 0), None)
    rate = 0.15 * 100 * rig.size / rig.table.incident_reserve_s
    rig.ring.make_room(rig.boot, Need(incident=True, rates_bytes_s=(rate,)))
    assert not rig.ring.standing().short
    rig.ring.make_room(rig.boot, Need(rates_bytes_s=(rate,)))
    assert rig.ring.standing().short
    lock.unlink()
    rig.ring.make_room(rig.boot, Need(incident=True, rates_bytes_s=(rate,)))
    assert rig.ring.standing().short


def test_an_unreadable_lock_keeps_everything_from_age_too(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 9), OLD_US, "synced")
    write_lock(rig.state, "i", (1, 0), (1, 1)).write_bytes(b"{")
    rig.ring.make_room(rig.boot, SYNCED)
    assert len(rig.left()) == 8
    assert rig.ring.standing().unreadable == 1


def test_how_far_back_the_ring_reaches(rig: RingRig) -> None:
    assert rig.ring.make_room(rig.boot, SYNCED).segments == 0
    assert rig.ring.standing().days is None
    rig.add("dome", 1, range(1, 9), YOUNG_US, "synced")
    again = type(rig.ring)(rig.evidence, rig.state, rig.table, 0.0)
    again.make_room(rig.boot, SYNCED)
    assert again.standing().days == pytest.approx(20.0, abs=0.01)


def test_what_is_too_old_goes_in_several_calls(rig: RingRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "AGE_BATCHES", 1)
    rig.add("dome", 1, range(1, 41), OLD_US, "synced")
    assert [rig.ring.make_room(rig.boot, SYNCED).segments for _ in range(4)] == [16, 16, 8, 0]


def test_a_clock_that_was_just_stepped_takes_a_few_at_a_time_until_it_is_believed(
    rig: RingRig, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "AGE_EVERY_S", 60.0)
    wrong = replace(SYNCED, utc_us=NOW_US + 3650 * DAY_US)
    began_ns, went_s = time.monotonic_ns(), 0.0
    mocker.patch.object(time, "monotonic_ns", side_effect=lambda: began_ns + int(went_s * 1e9))
    mocker.patch.object(time, "monotonic", side_effect=lambda: began_ns / 1e9 + went_s)
    rig.add("dome", 1, range(1, 401), YOUNG_US, "synced")

    def rounds(need: Need, count: int) -> int:
        nonlocal went_s
        gone = 0
        for _ in range(count):
            went_s += 5.0
            gone += rig.ring.make_room(rig.boot, replace(need, utc_us=need.utc_us + int(went_s * 1e6))).segments
        return gone

    assert rounds(SYNCED, 12) == 0
    assert rounds(wrong, 24) == 32, "16 a minute, not a month at once"
    assert rounds(SYNCED, 12) == 0
    went_s += 13 * 3600
    assert rounds(wrong, 1) == 16, "stepped again"
    went_s += 13 * 3600
    assert rounds(wrong, 4) == 4 * 64, "believed by now"


@pytest.mark.parametrize(("segment_s", "a_minute"), [(60.0, 16), (10.0, 16), (5.0, 32), (2.0, 64)])
def test_age_keeps_up_with_short_segments_before_the_clock_is_believed(
    tmp_path: Path, mocker: MockerFixture, segment_s: float, a_minute: int
) -> None:
    rig = RingRig(tmp_path, mocker, RingTable(segment_s=segment_s))
    rig.add("dome", 1, range(1, 101), OLD_US, "synced")
    assert rig.ring.make_room(rig.boot, SYNCED).segments == a_minute
    assert a_minute > 60 / segment_s


def test_more_than_one_calls_worth_is_said(
    tmp_path: Path, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "MOST_BATCHES", 1)
    rig = RingRig(tmp_path, mocker, RingTable(high_watermark_percent=50.0, low_watermark_percent=10.0), capacity=40)
    rig.add("dome", 1, range(1, 41))
    assert [(r.segments, r.more) for r in (rig.ring.make_room(rig.boot) for _ in range(3))] == [
        (16, True), (16, True), (4, False),
    ]  # fmt: skip


def test_what_is_recorded_after_a_lock_was_first_seen_falls_under_it_too(rig: RingRig) -> None:
    rig.add("dome", 1, range(1, 4))
    write_lock(rig.state, "i", (1, 2 * SECOND_NS + 1), (1, 6 * SECOND_NS))
    rig.ring.make_room(rig.boot)
    assert rig.ring.standing().locked_bytes == pytest.approx(2 * rig.size, rel=0.01)
    for seq in range(4, 9):
        path = write_segment(rig.evidence, "dome", 1, seq, seq * SECOND_NS)
        rig.ring.opened(path)
        rig.ring.closed(path)
    for _ in range(2):
        rig.ring.make_room(rig.boot)
        assert rig.ring.standing().locked_bytes == pytest.approx(5 * rig.size, rel=0.01)
