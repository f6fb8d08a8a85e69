"""The dome's lens: points of the street, in metres, to pixels, by a pinhole projection.

World axes: X to the right along the street, Y away from the pole across it, Z up, the origin on the
ground below the dome. Straight edges of the street stay straight at every pan, tilt and zoom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.world.pose import Pose

U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

MOUNT_HEIGHT_M = 5.0
"""How high the dome hangs."""
WIDEST_FOV_DEG = 60.0
"""Horizontal field of view at zoom 1."""
_NEAR_M = 0.3
_SHIFT = 4
_ROOMY_PX = 20_000.0
"""Beyond this a polygon is cut to the edges of the view first: fixed-point drawing would fold it over."""


class Scene:
    """Polygons in painting order, laid out for projecting all of them at once."""

    def __init__(self, polygons: Sequence[tuple[Sequence[tuple[float, float, float]], Colour]]) -> None:
        lengths = np.array([len(points) for points, _ in polygons], dtype=np.intp)
        self.points_m: F64 = np.array([point for points, _ in polygons for point in points], dtype=np.float64)
        self.ends: npt.NDArray[np.intp] = np.cumsum(lengths, dtype=np.intp)
        self.starts: npt.NDArray[np.intp] = self.ends - lengths
        self.colours = [colour for _, colour in polygons]


class Lens:
    """One view: draws polygons given in metres into a picture of `width` x `height` pixels."""

    def __init__(self, pose: Pose, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.tilt_rad = math.radians(pose.tilt_deg)
        half = math.radians(WIDEST_FOV_DEG / 2)
        self.focal_px = width / 2 / math.tan(half) * max(1.0, pose.zoom)
        pan = math.radians(pose.pan_deg)
        cos_p, sin_p, cos_t, sin_t = math.cos(pan), math.sin(pan), math.cos(self.tilt_rad), math.sin(self.tilt_rad)
        right = (cos_p, -sin_p, 0.0)
        forward = (sin_p * cos_t, cos_p * cos_t, sin_t)
        up = (-sin_p * sin_t, -cos_p * sin_t, cos_t)
        self._axes = np.array([right, up, forward]).T

    def camera_points(self, points_m: npt.ArrayLike) -> F64:
        """World points (N, 3) as (right, up, forward) metres from the lens."""
        points = np.asarray(points_m, dtype=np.float64)
        return np.asarray((points - (0.0, 0.0, MOUNT_HEIGHT_M)) @ self._axes, dtype=np.float64)

    def pixels(self, points_m: npt.ArrayLike) -> F64 | None:
        """A polygon's corners in pixels, clipped in front of the lens; None when none of it is in view."""
        camera = self.camera_points(points_m)
        ahead = camera[:, 2] > _NEAR_M
        if not ahead.any():
            return None
        if not ahead.all():
            camera = _clip(camera, camera[:, 2] - _NEAR_M)
        xy = self._to_pixels(camera)
        low, high = xy.min(axis=0), xy.max(axis=0)
        if high[0] < 0 or high[1] < 0 or low[0] > self.width or low[1] > self.height:
            return None
        if low.min() > -_ROOMY_PX and high.max() < _ROOMY_PX:
            return xy
        # 1.5 half pictures each way: the cut edges stay out of sight.
        for axis, half in ((0, 0.75 * self.width / self.focal_px), (1, 0.75 * self.height / self.focal_px)):
            for sign in (1.0, -1.0):
                if len(camera):
                    camera = _clip(camera, half * camera[:, 2] - sign * camera[:, axis])
        return self._to_pixels(camera) if len(camera) else None

    def _to_pixels(self, camera: F64) -> F64:
        scale = self.focal_px / camera[:, 2]
        xy = np.empty((len(camera), 2))
        xy[:, 0] = self.width / 2 + camera[:, 0] * scale
        xy[:, 1] = self.height / 2 - camera[:, 1] * scale
        return xy

    def polygon(self, picture: U8, points_m: npt.ArrayLike, colour: Colour) -> None:
        """Fill one convex or concave polygon, with smooth edges."""
        xy = self.pixels(points_m)
        if xy is None:
            return
        fixed = np.rint(xy * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(picture, [fixed], colour, lineType=cv2.LINE_AA, shift=_SHIFT)

    def paint(self, picture: U8, scene: Scene) -> None:
        """Fill every polygon of a scene that is in view, in order; all corners are projected at once."""
        camera = self.camera_points(scene.points_m)
        depth = np.maximum(camera[:, 2], 1e-6)
        xy = np.empty((len(camera), 2))
        xy[:, 0] = self.width / 2 + self.focal_px * camera[:, 0] / depth
        xy[:, 1] = self.height / 2 - self.focal_px * camera[:, 1] / depth
        low = np.minimum.reduceat(xy, scene.starts)
        high = np.maximum.reduceat(xy, scene.starts)
        nearest = np.minimum.reduceat(camera[:, 2], scene.starts)
        farthest = np.maximum.reduceat(camera[:, 2], scene.starts)
        simple = (nearest > _NEAR_M) & (low.min(axis=1) > -_ROOMY_PX) & (high.max(axis=1) < _ROOMY_PX)
        in_view = (high > 0).all(axis=1) & (low < (self.width, self.height)).all(axis=1)
        wanted = np.flatnonzero((farthest > _NEAR_M) & (in_view | ~simple))
        fixed = np.rint(np.clip(xy, -_ROOMY_PX, _ROOMY_PX) * (1 << _SHIFT)).astype(np.int32)
        for index in wanted.tolist():
            first, end = scene.starts[index], scene.ends[index]
            if simple[index]:
                cv2.fillPoly(picture, [fixed[first:end]], scene.colours[index], lineType=cv2.LINE_AA, shift=_SHIFT)
            else:
                self.polygon(picture, scene.points_m[first:end], scene.colours[index])

    def horizon_gradient(self, picture: U8, stops: Sequence[tuple[float, Colour]]) -> None:
        """Fill the whole picture by elevation: `stops` are (degrees above the horizon, colour), rising."""
        rows = np.arange(self.height)
        elevation = np.degrees(self.tilt_rad + np.arctan((self.height / 2 - rows) / self.focal_px))
        angles = [angle for angle, _ in stops]
        for channel in range(3):
            shades = np.interp(elevation, angles, [colour[channel] for _, colour in stops])
            picture[..., channel] = shades.astype(np.uint8)[:, np.newaxis]


def _clip(camera: F64, inside: F64) -> F64:
    """The part of a polygon where `inside`, given for each corner, is not negative (Sutherland-Hodgman)."""
    kept: list[F64] = []
    count = len(camera)
    for index in range(count):
        following = (index + 1) % count
        if inside[index] >= 0:
            kept.append(camera[index])
        if (inside[index] >= 0) != (inside[following] >= 0):
            share = inside[index] / (inside[index] - inside[following])
            kept.append(camera[index] + share * (camera[following] - camera[index]))
    return np.array(kept)
