"""Where the dome looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pose:
    """One position of a pan/tilt/zoom dome.

    `pan_deg` is 0 straight across the street and positive clockwise (to the right), `tilt_deg` is 0
    at the horizon and negative downwards, `zoom` is the optical factor (1 = widest, 60 degrees across).
    """

    pan_deg: float
    tilt_deg: float
    zoom: float


HOME = Pose(pan_deg=0.0, tilt_deg=-8.0, zoom=1.0)
"""The whole scene in front of the pole: road, houses and the help point's panel."""
