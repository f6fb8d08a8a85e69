"""The time code in the picture: read back when scaled, compressed or damaged."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest

from hw_sim.world.timecode import CELL_H, CELL_W, age_ms, cells_of, draw_time_code, read_time_code

SIZES = [(1280, 720), (640, 360), (320, 180), (1920, 1080), (960, 540), (854, 480)]


def picture_with(value_ms: int, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(value_ms & 0xFF)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    draw_time_code(picture, value_ms * 1_000_000)
    return picture


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_ok__round_trip_at_every_size(width: int, height: int) -> None:
    rng = random.Random(5)
    for value in [0, 1, 0xFFFFFFFF, 0xAAAAAAAA, *(rng.getrandbits(32) for _ in range(20))]:
        assert read_time_code(picture_with(value, width, height)) == value


@pytest.mark.parametrize(("width", "height"), [(640, 360), (320, 180), (500, 281)])
def test_ok__read_after_scaling_down(width: int, height: int) -> None:
    picture = picture_with(123_456_789, 1280, 720)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    assert read_time_code(small) == 123_456_789


def test_ok__grey_and_rgba_pictures() -> None:
    picture = picture_with(42, 640, 360)
    assert read_time_code(picture[..., 0]) == 42
    assert read_time_code(np.dstack([picture, np.full((360, 640), 255, np.uint8)])) == 42


def test_ok__time_wraps_at_32_bits() -> None:
    picture = np.zeros((360, 640, 3), np.uint8)
    draw_time_code(picture, ((1 << 32) + 7) * 1_000_000)
    assert read_time_code(picture) == 7
    assert age_ms(0xFFFFFFFF, ((1 << 32) + 7) * 1_000_000) == 8
    assert age_ms(100, 95 * 1_000_000) == -5


def test_fail__one_wrong_cell_is_noticed() -> None:
    width, height = 640, 360
    cell_w, cell_h = round(CELL_W * width), round(CELL_H * height)
    for row in range(2):
        for col in range(2, 20):
            picture = picture_with(987_654_321, width, height)
            cell = picture[row * cell_h : (row + 1) * cell_h, col * cell_w : (col + 1) * cell_w]
            cell[...] = 235 if cell[0, 0, 0] < 128 else 16
            assert read_time_code(picture) is None, (row, col)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((360, 640, 3), np.uint8),
        np.full((360, 640, 3), 255, np.uint8),
        np.zeros((10, 10), np.uint8),
        np.zeros((5,), np.uint8),
        np.random.default_rng(3).integers(0, 256, (360, 640, 3), dtype=np.uint8),
    ],
)
def test_fail__no_code_in_the_picture(picture: np.ndarray) -> None:
    assert read_time_code(picture) is None


def test_ok__references_are_where_the_documentation_says() -> None:
    for value in (0, 0xFFFFFFFF):
        assert cells_of(value)[:, :2].tolist() == [[True, False], [True, False]]
