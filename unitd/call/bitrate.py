"""How much picture a link gets: a pure decision, once a second. Voice is protected before picture, always.

The picture is passed through, so there are three steps: the camera's main stream, its sub stream, none. A passthrough
sender cannot see headroom above what it sends: going up is a probe, and one that fails makes the next wait longer.
"""

from dataclasses import dataclass, replace
from typing import Literal

from unitd.call.linkstats import LinkStats

Step = Literal["main", "sub", "off"]

BAD_LOSS = 0.08
TERRIBLE_LOSS = 0.15
BAD_ROUND_TRIP_S = 0.6
GOOD_LOSS = 0.02
GOOD_ROUND_TRIP_S = 0.3
BAD_FOR_S = 1.0
HOLD_AFTER_STEP_S = 3.0
"""Reports of before the step are still arriving."""
FIRST_PROBE_S = 30.0
LONGEST_PROBE_S = 240.0
PROBE_FAILED_WITHIN_S = 12.0
PROBE_BAD_LOSS = 0.03
PROBE_BAD_ROUND_TRIP_S = 0.4
"""A probe that does not fit costs the voice packets from its first second on, so it is ended at the first sign."""


@dataclass(frozen=True)
class PictureControl:
    """The decision's whole memory; times are seconds of one monotonic clock."""

    steps: tuple[Step, ...]
    at: int = 0
    stepped_s: float = 0.0
    bad_since_s: float | None = None
    good_since_s: float | None = None
    probe_after_s: float = FIRST_PROBE_S
    probing: bool = False

    @property
    def step(self) -> Step:
        return self.steps[self.at]


def control_for(has_sub: bool, now_s: float) -> PictureControl:
    """Where a new link starts: at the main stream."""
    return PictureControl(steps=("main", "sub", "off") if has_sub else ("main", "off"), stepped_s=now_s)


def decide(control: PictureControl, stats: LinkStats, now_s: float) -> PictureControl:
    """The next state of the control after one reading."""
    loss = max(stats.picture_loss or 0.0, stats.voice_loss or 0.0)
    round_trip_s = stats.round_trip_s or 0.0
    bad = loss > BAD_LOSS or round_trip_s > BAD_ROUND_TRIP_S
    good = loss < GOOD_LOSS and round_trip_s < GOOD_ROUND_TRIP_S
    control = replace(
        control,
        bad_since_s=(now_s if control.bad_since_s is None else control.bad_since_s) if bad else None,
        good_since_s=(now_s if control.good_since_s is None else control.good_since_s) if good else None,
    )
    if control.probing and now_s - control.stepped_s > PROBE_FAILED_WITHIN_S:
        control = replace(control, probing=False, probe_after_s=FIRST_PROBE_S)
    if control.probing and (loss > PROBE_BAD_LOSS or round_trip_s > PROBE_BAD_ROUND_TRIP_S):
        return _down(control, now_s)
    if now_s - control.stepped_s < HOLD_AFTER_STEP_S and (loss <= TERRIBLE_LOSS or control.at > 0):
        return control
    if bad and control.at + 1 < len(control.steps):
        long_enough = control.bad_since_s is not None and now_s - control.bad_since_s >= BAD_FOR_S
        if loss > TERRIBLE_LOSS or long_enough:
            return _down(control, now_s)
    if good and control.at > 0 and control.good_since_s is not None:
        since_s = max(control.good_since_s, control.stepped_s)
        if now_s - since_s >= control.probe_after_s:
            return replace(
                control, at=control.at - 1, stepped_s=now_s, bad_since_s=None, good_since_s=None, probing=True
            )
    return control


def _down(control: PictureControl, now_s: float) -> PictureControl:
    wait_s = min(2 * control.probe_after_s, LONGEST_PROBE_S) if control.probing else control.probe_after_s
    return replace(
        control,
        at=control.at + 1,
        stepped_s=now_s,
        bad_since_s=None,
        good_since_s=None,
        probe_after_s=wait_s,
        probing=False,
    )
