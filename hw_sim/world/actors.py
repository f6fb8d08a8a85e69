"""What moves or lights up in the street: the panel's lamps, walkers, a car, the caller."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hw_sim.world.lens import Colour
from hw_sim.world.scenery import Point, Polygon, disc, flat, rectangle

PANEL_X_M, PANEL_Y_M = 0.9, 9.5
"""Where the help point's panel stands."""
CALLER_WALK_IN_S = 0.6
CAR_SPEED_M_S = 8.0
WALK_SPEED_M_S = 1.3

_HELP_STROKES = (
    # H
    (-0.18, 1.71, -0.163, 1.83),
    (-0.128, 1.71, -0.111, 1.83),
    (-0.163, 1.763, -0.128, 1.78),
    # E
    (-0.082, 1.71, -0.065, 1.83),
    (-0.065, 1.71, -0.018, 1.727),
    (-0.065, 1.763, -0.026, 1.78),
    (-0.065, 1.813, -0.018, 1.83),
    # L
    (0.018, 1.71, 0.035, 1.83),
    (0.035, 1.71, 0.08, 1.727),
    # P
    (0.112, 1.71, 0.129, 1.83),
    (0.129, 1.813, 0.178, 1.83),
    (0.129, 1.758, 0.178, 1.775),
    (0.161, 1.775, 0.178, 1.813),
)
"""The word on the panel, as rectangles: left, bottom, right, top in metres."""

Place = Callable[[float, float], Point]


@dataclass(frozen=True, slots=True)
class Lamps:
    """What the panel's lamps show; flashing is the caller's business."""

    yellow: bool = False
    green: bool = False
    locator: bool = True


@dataclass(frozen=True, slots=True)
class Clothes:
    """Colours of a walker."""

    coat: Colour
    trousers: Colour
    skin: Colour
    hair: Colour


_CALLER = Clothes((188, 60, 66), (44, 50, 74), (226, 182, 152), (72, 48, 36))
_WALKER = Clothes((58, 92, 128), (56, 54, 58), (168, 122, 92), (30, 26, 26))
_PASSER_BY = Clothes((92, 104, 72), (64, 62, 80), (232, 196, 170), (190, 160, 100))


def actors(now_s: float, lamps: Lamps, caller_for_s: float | None) -> list[Polygon]:
    """Everything that moves at a monotonic time; `caller_for_s` is how long the caller stands there."""
    scene: list[Polygon] = []
    _car(scene, _loop(now_s * CAR_SPEED_M_S, 150.0), 23.0, 1.0, (52, 92, 150))
    _car(scene, -_loop(now_s * CAR_SPEED_M_S * 0.8 + 60.0, 170.0), 17.0, -1.0, (170, 172, 176))
    far_x = -_loop(now_s * WALK_SPEED_M_S + 12.0, 44.0)
    _person(scene, far_x, 28.0, now_s, -1.0, _PASSER_BY, walking=True)
    near_x = _loop(now_s * WALK_SPEED_M_S, 30.0)
    _person(scene, near_x, 12.8, now_s, 1.0, _WALKER, walking=True)
    _panel(scene, lamps)
    if caller_for_s is not None:
        share = min(1.0, max(0.0, caller_for_s / CALLER_WALK_IN_S))
        x = PANEL_X_M - 0.62 - (1.0 - share) * 1.4
        _person(scene, x, PANEL_Y_M - 0.2, now_s, 1.0, _CALLER, walking=share < 1.0, raised_arm=share >= 1.0)
    return scene


def _loop(travelled_m: float, length_m: float) -> float:
    """A position that runs from -length/2 to length/2 and starts again."""
    return travelled_m % length_m - length_m / 2


def _at(x: float, y: float) -> Place:
    return lambda along, height: (x + along, y, height)


def _panel(scene: list[Polygon], lamps: Lamps) -> None:
    place = _at(PANEL_X_M, PANEL_Y_M)
    scene.append((flat(PANEL_X_M - 0.4, PANEL_Y_M - 0.1, PANEL_X_M + 0.4, PANEL_Y_M + 0.3), (84, 82, 80)))
    scene.append((rectangle(place, -0.09, 0.0, 0.09, 2.5), (60, 64, 70)))
    scene.append((rectangle(place, -0.3, 0.75, 0.3, 1.95), (18, 60, 128)))
    scene.append((rectangle(place, -0.26, 0.79, 0.26, 1.91), (28, 84, 168)))
    scene.append((rectangle(place, -0.22, 1.68, 0.22, 1.86), (240, 240, 236)))
    for left, bottom, right, top in _HELP_STROKES:
        scene.append((rectangle(place, left, bottom, right, top), (18, 60, 128)))
    for row in range(4):
        scene.append((rectangle(place, -0.14, 1.56 - row * 0.04, 0.14, 1.575 - row * 0.04), (12, 36, 74)))
    scene.append((disc(place, 0.0, 1.12, 0.125), (232, 232, 226)))
    scene.append((disc(place, 0.0, 1.12, 0.1), (206, 32, 40)))
    scene.append((disc(place, -0.13, 1.335, 0.045), (255, 216, 48) if lamps.yellow else (84, 76, 40)))
    scene.append((disc(place, 0.13, 1.335, 0.045), (72, 240, 110) if lamps.green else (36, 72, 48)))
    if lamps.locator:
        scene.append((rectangle(place, -0.2, 2.5, 0.2, 2.78), (120, 176, 255)))
        scene.append((rectangle(place, -0.14, 2.54, 0.14, 2.74), (214, 234, 255)))
    else:
        scene.append((rectangle(place, -0.2, 2.5, 0.2, 2.78), (48, 58, 78)))


def _person(
    scene: list[Polygon],
    x: float,
    y: float,
    now_s: float,
    facing: float,
    clothes: Clothes,
    *,
    walking: bool,
    raised_arm: bool = False,
) -> None:
    place = _at(x, y)
    swing = 0.3 * math.sin(now_s * 7.0) if walking else 0.06
    sway = 0.0 if walking else 0.015 * math.sin(now_s * 2.1)
    scene.append(([(x + 0.32 * math.cos(a), y + 0.16 * math.sin(a), 0.0) for a in _circle(12)], (92, 90, 88)))
    for step in (swing, -swing):
        leg = [place(-0.1, 0.86), place(0.1, 0.86), place(step + 0.08, 0.06), place(step - 0.08, 0.06)]
        scene.append((leg, clothes.trousers))
        scene.append((rectangle(place, step - 0.09, 0.0, step + 0.12 * facing + 0.06, 0.09), (34, 32, 34)))
    scene.append(
        (
            [
                place(-0.19, 0.8),
                place(0.19, 0.8),
                place(0.21 + sway, 1.38),
                place(0.13 + sway, 1.46),
                place(-0.13 + sway, 1.46),
                place(-0.21 + sway, 1.38),
            ],
            clothes.coat,
        )
    )
    dark = (int(clothes.coat[0] * 0.8), int(clothes.coat[1] * 0.8), int(clothes.coat[2] * 0.8))
    if raised_arm:
        scene.append(([place(0.14, 1.4), place(0.2, 1.28), place(0.5, 1.12), place(0.5, 1.2)], dark))
        scene.append((disc(place, 0.53, 1.16, 0.045, 10), clothes.skin))
        scene.append(([place(-0.2, 1.38), place(-0.12, 1.38), place(-0.2, 0.85), place(-0.28, 0.85)], dark))
    else:
        for side in (-swing, swing):
            scene.append(
                ([place(-0.06, 1.4), place(0.06, 1.4), place(side + 0.05, 0.85), place(side - 0.05, 0.85)], dark)
            )
    scene.append((rectangle(place, -0.05 + sway, 1.42, 0.05 + sway, 1.54), clothes.skin))
    scene.append((disc(place, sway, 1.66, 0.125), clothes.hair))
    scene.append((disc(place, sway + 0.025 * facing, 1.635, 0.105), clothes.skin))
    for eye in (-0.035, 0.045):
        scene.append((disc(place, sway + eye + 0.02 * facing, 1.655, 0.013, 8), (40, 34, 34)))
    mouth = 0.008 + (0.014 * abs(math.sin(now_s * 5.0)) if raised_arm else 0.0)
    centre = sway + 0.028 * facing
    scene.append((rectangle(place, centre - 0.03, 1.58 - mouth, centre + 0.03, 1.58 + mouth), (138, 62, 62)))


def _circle(corners: int) -> list[float]:
    return [2 * math.pi * index / corners for index in range(corners)]


def _car(scene: list[Polygon], x: float, y: float, facing: float, paint: Colour) -> None:
    place: Place = lambda along, height: (x + along * facing, y, height)  # noqa: E731
    scene.append((flat(x - 2.1, y - 0.8, x + 2.1, y + 0.8), (52, 54, 58)))
    body = [place(-2.1, 0.35), place(2.1, 0.35), place(2.15, 0.75), place(1.3, 0.9), place(-2.0, 0.95)]
    cabin = [place(-1.7, 0.9), place(1.2, 0.9), place(0.5, 1.45), place(-1.2, 1.45)]
    scene.append((cabin, (int(paint[0] * 0.8), int(paint[1] * 0.8), int(paint[2] * 0.8))))
    scene.append(([place(-1.5, 0.93), place(-0.35, 0.93), place(-0.35, 1.38), place(-1.12, 1.38)], (66, 82, 98)))
    scene.append(([place(-0.25, 0.93), place(1.0, 0.93), place(0.45, 1.38), place(-0.25, 1.38)], (66, 82, 98)))
    scene.append((body, paint))
    for wheel in (-1.3, 1.35):
        scene.append((disc(place, wheel, 0.34, 0.34), (26, 26, 28)))
        scene.append((disc(place, wheel, 0.34, 0.18), (150, 152, 156)))
    scene.append((rectangle(place, 1.98, 0.6, 2.14, 0.74), (255, 244, 206)))
    scene.append((rectangle(place, -2.1, 0.64, -1.96, 0.8), (206, 38, 38)))
