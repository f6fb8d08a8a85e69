"""The simulated street, seen through a pan/tilt/zoom dome.

The still scenery is painted once a pose and picture size and kept; each picture then costs a copy, the
moving actors, the time code and the caption (about 4 ms at 1280x720 on one 2020s core).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hw_sim.world.actors import Lamps, actors
from hw_sim.world.font import GLYPH_H, draw_text
from hw_sim.world.lens import Lens, Scene
from hw_sim.world.pose import Pose
from hw_sim.world.scenery import SKY_AND_GROUND, build_street
from hw_sim.world.timecode import draw_time_code

U8 = npt.NDArray[np.uint8]

_KEPT_VIEWS = 4


class Street:
    """A street, the same for the same seed. Safe to use from several threads at once."""

    def __init__(self, seed: int = 0, camera_name: str = "dome") -> None:
        self.camera_name = camera_name
        self._scenery = Scene(build_street(seed))
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Pose, int, int], tuple[Lens, U8]] = OrderedDict()
        self._caller_since_ns: int | None = None
        self._lamps = Lamps()

    @property
    def caller_present(self) -> bool:
        """Whether somebody stands in front of the panel."""
        return self._caller_since_ns is not None

    def set_caller(self, present: bool, mono_ns: int | None = None) -> None:
        """Let a caller walk up to the panel (0.6 s) or leave it; `mono_ns` defaults to now."""
        if not present:
            self._caller_since_ns = None
        elif self._caller_since_ns is None:
            self._caller_since_ns = time.monotonic_ns() if mono_ns is None else mono_ns

    def set_lamps(self, *, yellow: bool | None = None, green: bool | None = None, locator: bool | None = None) -> None:
        """Show the panel's lamps as they are now; None leaves one as it was."""
        asked = {"yellow": yellow, "green": green, "locator": locator}
        self._lamps = replace(self._lamps, **{name: lit for name, lit in asked.items() if lit is not None})

    def view(self, pan_deg: float, tilt_deg: float, zoom: float, width: int, height: int, mono_ns: int) -> U8:
        """The picture at a monotonic time: RGB, (height, width, 3), the caller's own copy.

        Carries the time code of `mono_ns` (hw_sim.world.timecode) at the top left and a caption with
        the camera's name and wall clock at the bottom left.
        """
        lens, background = self._background(Pose(pan_deg, tilt_deg, zoom), width, height)
        picture = background.copy()
        since_ns = self._caller_since_ns
        caller_for_s = None if since_ns is None else (mono_ns - since_ns) / 1e9
        lens.paint(picture, Scene(actors(mono_ns / 1e9, self._lamps, caller_for_s)))
        self._caption(picture, pan_deg, tilt_deg, zoom)
        draw_time_code(picture, mono_ns)
        return picture

    def _background(self, pose: Pose, width: int, height: int) -> tuple[Lens, U8]:
        key = (pose, width, height)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
        lens = Lens(pose, width, height)
        picture = np.empty((height, width, 3), dtype=np.uint8)
        lens.horizon_gradient(picture, SKY_AND_GROUND)
        lens.paint(picture, self._scenery)
        with self._lock:
            self._kept[key] = (lens, picture)
            while len(self._kept) > _KEPT_VIEWS:
                self._kept.popitem(last=False)
        return lens, picture

    def _caption(self, picture: U8, pan_deg: float, tilt_deg: float, zoom: float) -> None:
        height = picture.shape[0]
        scale = max(1, height // 240)
        # The wall clock here is for the eye only, like a camera's own caption: whatever the machine believes.
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        text = f"{self.camera_name}  {clock}Z  P{pan_deg:+.0f} T{tilt_deg:+.0f} Z{zoom:.1f}"
        draw_text(picture, text, 4 * scale, height - (GLYPH_H + 4) * scale, scale)
