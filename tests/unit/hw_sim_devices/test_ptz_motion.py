"""How the dome's head moves, by time alone."""

from __future__ import annotations

import pytest

from hw_sim.devices.ptz_motion import STOPPED, Mechanics, PtzMotion, Rates
from hw_sim.world.pose import HOME, Pose

S = 1_000_000_000


def test_ok__stands_still_until_driven() -> None:
    motion = PtzMotion(0)
    assert motion.pose(100 * S) == HOME
    assert not motion.moving(100 * S)


def test_ok__speed_times_time() -> None:
    motion = PtzMotion(0)
    motion.drive(Rates(pan_deg_s=10.0, tilt_deg_s=-4.0), 0)
    pose = motion.pose(3 * S)
    assert pose.pan_deg == pytest.approx(30.0)
    assert pose.tilt_deg == pytest.approx(HOME.tilt_deg - 12.0)
    assert pose.zoom == 1.0


def test_ok__asking_often_or_seldom_gives_the_same_place() -> None:
    often, seldom = PtzMotion(0), PtzMotion(0)
    for motion in (often, seldom):
        motion.drive(Rates(pan_deg_s=-7.0, tilt_deg_s=1.0, zoom=0.5), 0)
    for tick in range(1, 301):
        often.pose(tick * S // 100)
    left, right = often.pose(3 * S), seldom.pose(3 * S)
    assert (left.pan_deg, left.tilt_deg, left.zoom) == pytest.approx((right.pan_deg, right.tilt_deg, right.zoom))


def test_ok__a_lost_stop_is_a_runaway_to_the_limit() -> None:
    motion = PtzMotion(0)
    motion.drive(Rates(pan_deg_s=60.0), 0)
    assert motion.pose(84 * S).pan_deg == 170.0
    assert motion.moving(84 * S)
    motion.drive(STOPPED, 84 * S)
    assert not motion.moving(84 * S)


@pytest.mark.parametrize(("tilt_deg_s", "end_deg"), [(40.0, 20.0), (-40.0, -90.0)])
def test_ok__tilt_limits(tilt_deg_s: float, end_deg: float) -> None:
    motion = PtzMotion(0)
    motion.drive(Rates(tilt_deg_s=tilt_deg_s), 0)
    assert motion.pose(60 * S).tilt_deg == end_deg


def test_ok__zoom_takes_its_time_and_stops_at_its_ends() -> None:
    motion = PtzMotion(0)
    motion.drive(Rates(zoom=1.0), 0)
    assert motion.pose(2 * S).zoom == pytest.approx(20.0**0.5)
    assert motion.pose(9 * S).zoom == pytest.approx(20.0)
    motion.drive(Rates(zoom=-1.0), 9 * S)
    assert motion.pose(30 * S).zoom == pytest.approx(1.0)


def test_ok__goes_to_a_place_and_stays() -> None:
    motion = PtzMotion(0)
    target = Pose(60.0, -30.0, 4.0)
    motion.go(target, 0)
    assert motion.pose(S // 4).pan_deg == pytest.approx(30.0)
    assert motion.moving(S // 4)
    assert motion.pose(2 * S) == target
    assert not motion.moving(2 * S)
    assert motion.pose(50 * S) == target


def test_ok__driving_leaves_the_approach() -> None:
    motion = PtzMotion(0)
    motion.go(Pose(100.0, -8.0, 1.0), 0)
    motion.drive(STOPPED, S // 2)
    assert motion.pose(9 * S).pan_deg == pytest.approx(60.0)


def test_ok__a_place_beyond_the_limits_ends_at_the_limit() -> None:
    motion = PtzMotion(0, Mechanics(pan_max_deg=90.0))
    motion.go(Pose(120.0, -8.0, 1.0), 0)
    assert motion.pose(9 * S).pan_deg == 90.0
    assert not motion.moving(9 * S)


def test_ok__time_running_backwards_moves_nothing() -> None:
    motion = PtzMotion(10 * S)
    motion.drive(Rates(pan_deg_s=5.0), 10 * S)
    assert motion.pose(5 * S) == HOME
    assert motion.pose(12 * S).pan_deg == pytest.approx(10.0)
