"""The street really pans, tilts and zooms, and shows who is there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hw_sim.devices.dome import PRESET_PANEL, PRESETS
from hw_sim.world.actors import PANEL_X_M, PANEL_Y_M
from hw_sim.world.lens import Lens
from hw_sim.world.pose import HOME, Pose
from hw_sim.world.street import Street
from hw_sim.world.timecode import read_time_code

NOW_NS = 50_000_000_000
RED_BUTTON = (206, 32, 40)
PANEL_BUTTON_M = (PANEL_X_M, PANEL_Y_M, 1.12)


def see(street: Street, pose: Pose, width: int = 640, height: int = 360, now_ns: int = NOW_NS) -> np.ndarray:
    return street.view(pose.pan_deg, pose.tilt_deg, pose.zoom, width, height, now_ns)


def button_at(picture: np.ndarray) -> tuple[float, float, int]:
    """Where the panel's red button is (x, y) and how many pixels it has."""
    near = (np.abs(picture.astype(int) - RED_BUTTON) < 12).all(axis=2)
    ys, xs = np.nonzero(near)
    assert len(xs), "no red button in the picture"
    return float(np.median(xs)), float(np.median(ys)), len(xs)


def test_ok__shape_kind_and_own_copy() -> None:
    street = Street(1)
    picture = see(street, HOME)
    assert picture.shape == (360, 640, 3)
    assert picture.dtype == np.uint8
    untouched = picture.copy()
    picture[...] = 0
    assert np.array_equal(see(street, HOME)[:300], untouched[:300])


def test_ok__seed_makes_the_street() -> None:
    assert np.array_equal(see(Street(3), HOME)[:300], see(Street(3), HOME)[:300])
    assert not np.array_equal(see(Street(3), HOME)[:300], see(Street(4), HOME)[:300])


@pytest.mark.parametrize(
    "pose", [Pose(0, -19, 1), Pose(10, -19, 1), Pose(-8, -25, 1), Pose(5, -18, 3), Pose(5, -21.5, 6)]
)
def test_ok__the_panel_is_where_the_lens_puts_it(pose: Pose) -> None:
    picture = see(Street(1), pose)
    expected = Lens(pose, 640, 360).pixels([PANEL_BUTTON_M] * 3)
    assert expected is not None
    x, y, _ = button_at(picture)
    assert (x, y) == pytest.approx(tuple(expected[0]), abs=2.0)


def test_ok__panning_right_moves_the_scene_left_and_tilting_up_moves_it_down() -> None:
    street = Street(1)
    x0, y0, _ = button_at(see(street, Pose(4, -20, 2)))
    x1, _, _ = button_at(see(street, Pose(8, -20, 2)))
    _, y1, _ = button_at(see(street, Pose(4, -17, 2)))
    assert x1 < x0 - 20
    assert y1 > y0 + 20


def test_ok__zoom_enlarges_by_its_square() -> None:
    street = Street(1)
    aim = Pose(math.degrees(math.atan2(PANEL_X_M, PANEL_Y_M)), -22, 2)
    small = button_at(see(street, aim, 1280, 720))[2]
    large = button_at(see(street, Pose(aim.pan_deg, aim.tilt_deg, 6), 1280, 720))[2]
    assert large / small == pytest.approx(9.0, rel=0.25)


def test_ok__the_panel_preset_shows_panel_and_caller() -> None:
    street = Street(1)
    pose = PRESETS[PRESET_PANEL]
    empty = see(street, pose)
    x, y, _ = button_at(empty)
    assert 0.1 < x / 640 < 0.9
    assert 0.1 < y / 360 < 0.9
    assert not street.caller_present
    street.set_caller(True, NOW_NS - 2_000_000_000)
    assert street.caller_present
    changed = (np.abs(see(street, pose).astype(int) - empty) > 24).any(axis=2)[40:330]
    assert 0.03 < changed.mean() < 0.4
    street.set_caller(False)
    assert np.array_equal(see(street, pose)[:330], empty[:330])


def test_ok__a_caller_walks_in() -> None:
    street = Street(1)
    pose = PRESETS[PRESET_PANEL]
    street.set_caller(True, NOW_NS)
    at_once, arrived = see(street, pose, now_ns=NOW_NS + 100_000_000), see(street, pose, now_ns=NOW_NS + 900_000_000)
    assert not np.array_equal(at_once[60:330], arrived[60:330])


@pytest.mark.parametrize(("lamp", "colour"), [("yellow", (255, 216, 48)), ("green", (72, 240, 110))])
def test_ok__lamps_are_seen(lamp: str, colour: tuple[int, int, int]) -> None:
    street = Street(1)
    pose = PRESETS[PRESET_PANEL]

    def pixels() -> int:
        return int((np.abs(see(street, pose).astype(int) - colour) < 6).all(axis=2).sum())

    dark = pixels()
    street.set_lamps(**{lamp: True})
    assert pixels() > dark + 100
    street.set_lamps(**{lamp: False})
    assert pixels() == dark


def test_ok__something_always_moves_in_the_wide_view() -> None:
    street = Street(1)
    previous = see(street, HOME)
    for second in range(1, 30):
        now = see(street, HOME, now_ns=NOW_NS + second * 1_000_000_000)
        assert (np.abs(now.astype(int) - previous) > 30).any(axis=2)[40:330].sum() > 40
        previous = now


@pytest.mark.parametrize("pan_deg", range(-180, 181, 30))
@pytest.mark.parametrize("tilt_deg", [-90, -45, 0, 20])
def test_ok__every_pose_gives_a_picture_with_its_time(pan_deg: int, tilt_deg: int) -> None:
    street = Street(2)
    for zoom in (1.0, 20.0):
        assert read_time_code(see(street, Pose(pan_deg, tilt_deg, zoom), 320, 180)) == NOW_NS // 1_000_000


def test_ok__caption_is_there_at_every_size() -> None:
    for width, height in ((320, 180), (1280, 720)):
        picture = see(Street(1, camera_name="pole 7"), HOME, width, height)
        strip = picture[-height // 20 :, : width // 2]
        assert (strip == 240).all(axis=2).sum() > 100
