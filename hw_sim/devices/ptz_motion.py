"""How a dome's head moves: pure, driven by the monotonic times it is given.

Like the real thing it keeps moving until it is told to stop or meets a mechanical limit; a lost stop
command is a runaway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hw_sim.world.pose import HOME, Pose

MAX_SPEED_STEP = 0x3F
PAN_TURBO_STEP = 0x40


@dataclass(frozen=True, slots=True)
class Mechanics:
    """Limits and speeds; figures in the range of small commercial domes."""

    pan_min_deg: float = -170.0
    pan_max_deg: float = 170.0
    tilt_min_deg: float = -90.0
    tilt_max_deg: float = 20.0
    zoom_min: float = 1.0
    zoom_max: float = 20.0
    pan_max_deg_s: float = 60.0
    """At speed step 3Fh; lower steps are proportional."""
    pan_turbo_deg_s: float = 100.0
    """At pan speed 40h ("turbo")."""
    tilt_max_deg_s: float = 40.0
    zoom_full_range_s: float = 4.0
    preset_deg_s: float = 120.0
    """Pan and tilt towards a preset."""
    preset_zoom_full_range_s: float = 1.5


@dataclass(frozen=True, slots=True)
class Rates:
    """What the motors do: -1..1 of full speed for zoom, degrees a second for pan and tilt."""

    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    zoom: float = 0.0


STOPPED = Rates()


class PtzMotion:
    """Position by time. Not thread-safe: the owner keeps a lock."""

    def __init__(self, now_ns: int, mechanics: Mechanics | None = None, pose: Pose = HOME) -> None:
        self.mechanics = mechanics if mechanics is not None else Mechanics()
        self._pose = pose
        self._rates = STOPPED
        self._target: Pose | None = None
        self._at_ns = now_ns

    def pose(self, now_ns: int) -> Pose:
        """Where the head is at `now_ns`; times that run backwards do not move it."""
        elapsed_s = (now_ns - self._at_ns) / 1e9
        if elapsed_s > 0:
            self._at_ns = now_ns
            if self._target is not None:
                self._towards(self._target, elapsed_s)
            elif self._rates != STOPPED:
                self._run(elapsed_s)
        return self._pose

    def moving(self, now_ns: int) -> bool:
        """Whether a motor is on (even against a limit) or a preset is still being approached."""
        self.pose(now_ns)
        return self._target is not None or self._rates != STOPPED

    def drive(self, rates: Rates, now_ns: int) -> None:
        """Turn the motors on, or off with `STOPPED`; leaves an approach to a preset."""
        self.pose(now_ns)
        self._target = None
        self._rates = rates

    def go(self, target: Pose, now_ns: int) -> None:
        """Approach a position, or as near as the limits allow, and stop there."""
        self.pose(now_ns)
        m = self.mechanics
        self._rates = STOPPED
        self._target = Pose(
            _limit(target.pan_deg, m.pan_min_deg, m.pan_max_deg),
            _limit(target.tilt_deg, m.tilt_min_deg, m.tilt_max_deg),
            _limit(target.zoom, m.zoom_min, m.zoom_max),
        )

    def speed_deg_s(self, step: int, max_deg_s: float) -> float:
        """Degrees a second of a Pelco-D speed step 00h..3Fh."""
        return max_deg_s * min(step, MAX_SPEED_STEP) / MAX_SPEED_STEP

    def _run(self, elapsed_s: float) -> None:
        m, pose, rates = self.mechanics, self._pose, self._rates
        zoom_share = rates.zoom * elapsed_s / m.zoom_full_range_s
        self._pose = Pose(
            _limit(pose.pan_deg + rates.pan_deg_s * elapsed_s, m.pan_min_deg, m.pan_max_deg),
            _limit(pose.tilt_deg + rates.tilt_deg_s * elapsed_s, m.tilt_min_deg, m.tilt_max_deg),
            _limit(pose.zoom * (m.zoom_max / m.zoom_min) ** zoom_share, m.zoom_min, m.zoom_max),
        )

    def _towards(self, target: Pose, elapsed_s: float) -> None:
        m, pose = self.mechanics, self._pose
        step_deg = m.preset_deg_s * elapsed_s
        step_log = math.log(m.zoom_max / m.zoom_min) * elapsed_s / m.preset_zoom_full_range_s
        log_zoom = _approach(math.log(pose.zoom), math.log(target.zoom), step_log)
        reached = Pose(
            _approach(pose.pan_deg, target.pan_deg, step_deg),
            _approach(pose.tilt_deg, target.tilt_deg, step_deg),
            target.zoom if log_zoom == math.log(target.zoom) else math.exp(log_zoom),
        )
        self._pose = reached
        if reached == target:
            self._target = None


def _limit(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))


def _approach(value: float, target: float, step: float) -> float:
    return target if abs(target - value) <= step else value + math.copysign(step, target - value)
