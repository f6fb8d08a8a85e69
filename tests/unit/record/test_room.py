"""What the ring is told, and what is said when there is too little room."""

import asyncio
import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_mock import MockerFixture

from unitd.config import CameraTable, Config, PathsTable, RingTable
from unitd.messages.control_room import Stamp
from unitd.messages.workers import Desired, Fault, OpenIncident
from unitd.model.retention import Disk
from unitd.record.room import RATE_OVER_S, Rates, RoomKeeper, budgets, short_words
from unitd.store.ring import Need, Ring, Room, Standing

MB = 1_000_000
DISK_ERROR = Fault(code="disk_error", subject="dome", text="no disk is mounted there")
LOST = Fault(code="camera_lost", subject="door", text="no picture")


def test_a_rate_is_unknown_until_it_was_measured_and_a_camera_that_is_lost_keeps_its_own() -> None:
    rates = Rates(("dome", "door"))
    rates.seen(0.0, {"dome": 0, "door": 0})
    assert rates.bytes_s() == (None, None)
    rates.seen(RATE_OVER_S, {"dome": int(RATE_OVER_S * MB), "door": 0})
    assert rates.bytes_s() == (MB, None)
    rates.seen(2 * RATE_OVER_S, {"dome": int(RATE_OVER_S * MB), "door": int(RATE_OVER_S)})
    dome, door = rates.bytes_s()
    assert dome == pytest.approx(MB, rel=0.01)
    assert door == 1.0
    for minute in range(3, 12 * 60):
        rates.seen(minute * RATE_OVER_S, {"dome": int(RATE_OVER_S * MB)})
    assert rates.bytes_s()[0] == pytest.approx(MB / 2, rel=0.05)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(short=True, unreadable=2), "2 lock files cannot be read, so nothing is deleted; see `unitd locks`"),
        (
            Standing(short=True),
            "other files leave too little room for the next incident: free the disk, or fit a bigger one",
        ),
        (
            Standing(short=True, incidents=1, locked_bytes=1_250 * MB),
            "1 incident lock 1.2 GB: too little room is left for the next one; "
            "see `unitd locks`, export, then `unitd release`",
        ),
        (
            Standing(short=True, incidents=31, hoaxes=9, due=5, locked_bytes=61_300 * MB),
            "31 incidents (9 hoaxes, 5 due for review) lock 61.3 GB: too little room is left for the next one; "
            "see `unitd locks`, export, then `unitd release`",
        ),
    ],
)  # fmt: skip
def test_the_words_say_what_fills_the_disk_and_what_to_do(standing: Standing, words: str) -> None:
    assert short_words(standing) == words


def test_budgets_are_of_the_cameras_that_have_one() -> None:
    cameras = (CameraTable(name="a", main_url="rtsp://a/"), CameraTable(name="b", main_url="rtsp://b/", budget_gb=1.5))
    assert budgets(Config(schema=1, cameras=cameras)) == {"b": 1_500 * MB}


class Rig:
    """A keeper over a ring whose answers are planted."""

    def __init__(self, base: Path, mocker: MockerFixture) -> None:
        paths = PathsTable(state_dir=str(base), run_dir=str(base), evidence_dir=str(base / "evidence"))
        config = Config(schema=1, paths=paths, ring=RingTable(must_be_mounted=True))
        self.desired: Desired | None = None
        self.needs: list[Need] = []
        self.room = Room()
        self.standing = Standing()
        self.refusal: OSError | None = None
        ring = mocker.Mock(spec=Ring)
        ring.make_room.side_effect = self._make_room
        ring.standing.side_effect = lambda: self.standing
        ring.fill.return_value = Disk(995, 5)
        clock = mocker.Mock()
        clock.stamp.return_value = Stamp(utc_us=7, clock="synced", mono_ns=1)
        frame: Any = SimpleNamespace(config=config, log=mocker.Mock(), clock=clock, core=self)
        self.keeper = RoomKeeper(frame, ring, dict)

    def _make_room(self, _: object, need: Need) -> Room:
        self.needs.append(need)
        if self.refusal is not None:
            raise self.refusal
        return self.room

    def once(self) -> bool:
        return asyncio.run(self.keeper.once())

    def codes(self, *writers: Fault) -> list[str]:
        return [fault.code for fault in self.keeper.faults(writers)]


@pytest.fixture
def rig(tmp_path: Path, mocker: MockerFixture) -> Rig:
    return Rig(tmp_path, mocker)


def incident() -> Desired:
    return Desired(
        session=1, number=1, incident=OpenIncident(incident_id="i", kind="panic", stage="raised", raised_mono_ns=1)
    )


def test_the_ring_is_told_of_the_incident_and_the_time(rig: Rig) -> None:
    rig.once()
    rig.desired = incident()
    rig.once()
    assert [(need.incident, need.utc_us, need.clock) for need in rig.needs] == [
        (False, 7, "synced"),
        (True, 7, "synced"),
    ]


def test_a_missing_disk_takes_the_place_of_what_it_brings_about_and_goes_when_it_is_back(rig: Rig) -> None:
    rig.refusal = OSError(errno.ENODEV, "no disk is mounted there")
    rig.once()
    assert rig.codes(DISK_ERROR, LOST) == ["camera_lost", "evidence_missing"]
    rig.refusal = OSError(errno.EIO, "Input/output error")
    rig.once()
    assert rig.codes(DISK_ERROR) == ["disk_error"], "that is the writers' to say"
    rig.refusal = None
    rig.once()
    assert rig.codes() == []


def test_too_little_room_is_said_with_words_that_stay_inside_an_incident(rig: Rig) -> None:
    rig.standing = Standing(short=True, incidents=2, locked_bytes=5_000 * MB)
    rig.once()
    before = rig.keeper.faults(())
    assert [(fault.code, fault.subject) for fault in before] == [("evidence_full", "evidence")]
    rig.desired = incident()
    rig.standing = Standing(short=True, incidents=3, locked_bytes=5_100 * MB)
    rig.once()
    assert rig.keeper.faults(()) == before
    rig.desired, rig.standing = None, Standing()
    rig.once()
    assert rig.codes() == []


def test_a_disk_that_is_full_of_what_is_not_ours_is_full(rig: Rig) -> None:
    rig.room = Room(wanted=True)
    rig.once()
    assert rig.codes() == ["disk_full"]
    assert rig.codes(Fault(code="disk_full", subject="dome")) == ["disk_full"], "once is enough"


def test_facts_are_those_that_are_known(rig: Rig) -> None:
    assert rig.keeper.facts() == {"ring.locked_gb": 0.0}
    rig.standing = Standing(locked_bytes=1_260 * MB, days=12.34)
    rig.once()
    assert rig.keeper.facts() == {"ring.locked_gb": 1.3, "ring.days": 12.3, "ring.used_percent": 99.5}


def test_more_to_do_is_said(rig: Rig) -> None:
    assert not rig.once()
    rig.room = Room(segments=1, more=True)
    assert rig.once()
