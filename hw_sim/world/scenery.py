"""What stands still in the simulated street: a list of coloured polygons, farthest first."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from hw_sim.world.lens import Colour

Point = tuple[float, float, float]
Polygon = tuple[list[Point], Colour]

ROAD_NEAR_M, ROAD_FAR_M = 14.0, 26.0
FACADES_M = 30.0
FACADES_BEHIND_M = -16.0
HALF_STREET_M = 120.0

SKY_AND_GROUND: list[tuple[float, Colour]] = [
    (-90.0, (112, 108, 104)),
    (-12.0, (134, 130, 126)),
    (-0.5, (150, 146, 142)),
    (0.0, (243, 205, 170)),
    (7.0, (226, 196, 186)),
    (20.0, (150, 170, 205)),
    (60.0, (84, 118, 178)),
]
"""Colours by elevation in degrees: paving below the horizon, an evening sky above it."""

_BRICKS: list[Colour] = [
    (150, 92, 76),
    (168, 112, 88),
    (126, 84, 78),
    (176, 152, 128),
    (140, 120, 112),
    (190, 174, 150),
]
_ROOFS: list[Colour] = [(74, 70, 78), (92, 74, 70), (66, 76, 84)]
_DOORS: list[Colour] = [(38, 66, 98), (110, 34, 38), (34, 78, 56), (52, 48, 52), (150, 122, 50)]
_AWNINGS: list[Colour] = [(40, 96, 84), (156, 46, 52), (42, 66, 122), (196, 148, 58)]
_LIT: Colour = (255, 218, 150)
_DARK: Colour = (70, 82, 100)
_WHITE: Colour = (228, 224, 216)


def build_street(seed: int) -> list[Polygon]:
    """The street for a seed, in painting order. The same seed gives the same street."""
    rng = random.Random(seed)
    scene: list[Polygon] = []
    _ground(scene)
    _row_of_houses(scene, rng, lambda x, z: (x, FACADES_M, z))
    _row_of_houses(scene, rng, lambda x, z: (-x, FACADES_BEHIND_M, z))
    for x in range(-105, 106, 21):
        _tree(scene, rng, x + rng.uniform(-3, 3), FACADES_M - 2.2)
    for x in range(-100, 101, 25):
        _lamp_post(scene, float(x) + 9.0, ROAD_FAR_M + 0.8)
    for x in range(-96, 97, 32):
        _lamp_post(scene, float(x) + 12.0, ROAD_NEAR_M - 0.8)
    _bench(scene, -5.5, 11.5)
    _bin(scene, 6.2, 12.3)
    return scene


def rectangle(
    place: Callable[[float, float], Point], left: float, bottom: float, right: float, top: float
) -> list[Point]:
    """An upright rectangle; `place` puts (along, height) into the street."""
    return [place(left, bottom), place(right, bottom), place(right, top), place(left, top)]


def flat(x0: float, y0: float, x1: float, y1: float, z: float = 0.0) -> list[Point]:
    """A rectangle lying on the ground."""
    return [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]


def disc(
    place: Callable[[float, float], Point], along: float, height: float, radius: float, corners: int = 18
) -> list[Point]:
    """An upright disc."""
    angles = [2 * math.pi * index / corners for index in range(corners)]
    return [place(along + radius * math.cos(angle), height + radius * math.sin(angle)) for angle in angles]


def _ground(scene: list[Polygon]) -> None:
    far, near = ROAD_FAR_M, ROAD_NEAR_M
    # Paving joints of the square below the dome; widths in metres so that near ones are wider in the picture.
    for row in range(-14, 14, 2):
        scene.append((flat(-60, row, 60, row + 0.05), (98, 94, 90)))
    for col in range(-60, 61, 2):
        scene.append((flat(col, -15.5, col + 0.05, near), (98, 94, 90)))
    scene.append((flat(-300, near, 300, far), (72, 74, 80)))
    scene.append((flat(-300, far, 300, FACADES_M), (158, 152, 146)))
    for kerb in (near, far):
        scene.append((flat(-300, kerb - 0.18, 300, kerb + 0.18), (196, 192, 186)))
    middle = (near + far) / 2
    for x in range(-120, 120, 6):
        scene.append((flat(x, middle - 0.08, x + 3, middle + 0.08), (226, 224, 214)))
    for edge in (near + 0.5, far - 0.5):
        scene.append((flat(-300, edge - 0.06, 300, edge + 0.06), (206, 184, 84)))
    for stripe in range(8):
        y = near + 0.7 + stripe * 1.4
        scene.append((flat(-17, y, -13, y + 0.7), (222, 222, 218)))


def _row_of_houses(scene: list[Polygon], rng: random.Random, place: Callable[[float, float], Point]) -> None:
    x = -HALF_STREET_M
    while x < HALF_STREET_M:
        width = rng.uniform(6.5, 10.5)
        _house(scene, rng, place, x, width)
        x += width


def _house(
    scene: list[Polygon], rng: random.Random, place: Callable[[float, float], Point], x: float, width: float
) -> None:
    floors = rng.choice((2, 2, 3, 3, 4))
    height = 3.4 + floors * 2.8 - 2.0
    right = x + width
    roof = rng.choice(_ROOFS)
    if rng.random() < 0.6:
        scene.append(
            (
                [
                    place(x, height),
                    place(right, height),
                    place(right - 1.2, height + 2.0),
                    place(x + 1.2, height + 2.0),
                ],
                roof,
            )
        )
        chimney = x + rng.uniform(1.5, width - 2.2)
        scene.append((rectangle(place, chimney, height + 0.9, chimney + 0.9, height + 3.1), (118, 82, 70)))
    scene.append((rectangle(place, x, 0.0, right, height), rng.choice(_BRICKS)))
    scene.append((rectangle(place, x, height - 0.25, right, height), _WHITE))
    scene.append((rectangle(place, x, 0.0, x + 0.12, height), (96, 84, 78)))
    is_shop = rng.random() < 0.4
    for floor in range(1 if is_shop else 0, floors):
        sill = 1.0 + floor * 2.8
        for slot in range(int(width // 2.4)):
            left = x + 0.8 + slot * 2.4
            if floor == 0 and slot == 0:
                continue
            scene.append((rectangle(place, left - 0.1, sill - 0.1, left + 1.3, sill + 1.6), _WHITE))
            glass = _LIT if rng.random() < 0.45 else _DARK
            scene.append((rectangle(place, left, sill, left + 1.2, sill + 1.5), glass))
            scene.append((rectangle(place, left + 0.57, sill, left + 0.63, sill + 1.5), _WHITE))
    if is_shop:
        scene.append((rectangle(place, x + 0.4, 0.5, right - 1.8, 2.5), rng.choice((_LIT, (214, 232, 236)))))
        scene.append((rectangle(place, x + 0.3, 2.6, right - 0.4, 3.1), rng.choice(_AWNINGS)))
        scene.append((rectangle(place, right - 1.5, 0.0, right - 0.5, 2.4), rng.choice(_DOORS)))
    else:
        scene.append((rectangle(place, x + 0.7, 0.0, x + 1.9, 2.4), _WHITE))
        scene.append((rectangle(place, x + 0.8, 0.0, x + 1.8, 2.2), rng.choice(_DOORS)))


def _tree(scene: list[Polygon], rng: random.Random, x: float, y: float) -> None:
    def place(along: float, height: float) -> Point:
        return (x + along, y, height)

    scene.append((rectangle(place, -0.15, 0.0, 0.15, 2.6), (84, 64, 52)))
    for _ in range(7):
        green = rng.choice([(62, 92, 58), (76, 106, 62), (54, 82, 56)])
        scene.append((disc(place, rng.uniform(-0.9, 0.9), rng.uniform(2.8, 4.8), rng.uniform(0.6, 1.1)), green))


def _lamp_post(scene: list[Polygon], x: float, y: float) -> None:
    def place(along: float, height: float) -> Point:
        return (x + along, y, height)

    scene.append((rectangle(place, -0.07, 0.0, 0.07, 6.0), (58, 60, 66)))
    scene.append((rectangle(place, -0.07, 5.9, 1.0, 6.05), (58, 60, 66)))
    scene.append((disc(place, 0.9, 5.85, 0.34), (255, 238, 190)))
    scene.append((disc(place, 0.9, 5.85, 0.2), (255, 252, 236)))


def _bench(scene: list[Polygon], x: float, y: float) -> None:
    def place(along: float, height: float) -> Point:
        return (x + along, y, height)

    for leg in (-0.7, 0.6):
        scene.append((rectangle(place, leg, 0.0, leg + 0.1, 0.5), (52, 54, 60)))
    scene.append((rectangle(place, -0.9, 0.45, 0.9, 0.55), (128, 92, 60)))
    scene.append((rectangle(place, -0.9, 0.65, 0.9, 0.78), (128, 92, 60)))
    scene.append((rectangle(place, -0.9, 0.86, 0.9, 1.0), (128, 92, 60)))


def _bin(scene: list[Polygon], x: float, y: float) -> None:
    def place(along: float, height: float) -> Point:
        return (x + along, y, height)

    scene.append((rectangle(place, -0.28, 0.0, 0.28, 0.95), (48, 62, 58)))
    scene.append((rectangle(place, -0.32, 0.95, 0.32, 1.08), (36, 46, 44)))
    scene.append((rectangle(place, -0.18, 0.72, 0.18, 0.84), (18, 20, 20)))
