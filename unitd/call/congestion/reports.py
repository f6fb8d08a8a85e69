"""The ladder for a far end without transport-wide feedback: judged by its reports alone. Pure.

A report comes about once a second and shows no headroom: going up is a probe, and one that fails makes the next wait
longer.

Two inputs: `decide` judges what the far end reports (about once a second), `collapsed` what it asks for again (within
some 100 ms). Leaving main is quick, because the next step still shows a picture; leaving sub takes two bad reports.
"""

from dataclasses import dataclass, replace

from unitd.call.rtc.linkstats import LinkStats
from unitd.messages.duplex import Step

BAD_LOSS = 0.08
TERRIBLE_LOSS = 0.15
BAD_ROUND_TRIP_S = 0.6
TERRIBLE_ROUND_TRIP_S = 1.0
BAD_REPORTS = 2
FEW_PACKETS = 8
"""A share of fewer lost packets than this is chance: on a small stream one report covers a few dozen packets."""
GOOD_LOSS = 0.02
GOOD_ROUND_TRIP_S = 0.3
GOOD_VOICE_LOSS = 0.06
GOOD_VOICE_ROUND_TRIP_S = 0.5
"""Without a picture a report covers some 50 packets of voice: two of them lost are no reason to stay blind."""
HOLD_AFTER_STEP_S = 3.0
"""Reports of before the step are still arriving."""
FIRST_PROBE_S = 30.0
LONGEST_PROBE_S = 240.0
FIRST_SIGHT_S = 8.0
LONGEST_SIGHT_S = 60.0
"""From no picture to the small one: sooner, because it is the difference between seeing and not seeing."""
PROBE_FAILED_WITHIN_S = 12.0
PROBE_BAD_LOSS = 0.03
PROBE_BAD_ROUND_TRIP_S = 0.4
"""A probe of main that does not fit costs the voice packets from its first second on, so it is ended at the first
sign."""
COLLAPSE_SHARE = 0.4
COLLAPSE_PACKETS = 30
COLLAPSE_NOT_BEFORE_S = 1.0


@dataclass(frozen=True)
class PictureControl:
    """The decision's whole memory; times are seconds of one monotonic clock."""

    steps: tuple[Step, ...]
    at: int = 0
    stepped_s: float = 0.0
    reported: tuple[int, int] | None = None
    """What the far end had of picture and voice at its last report; None before the first, which only sets it."""
    bad_reports: int = 0
    good_since_s: float | None = None
    failed_probes: int = 0
    probing: bool = False

    @property
    def step(self) -> Step:
        return self.steps[self.at]

    @property
    def probe_after_s(self) -> float:
        """How long the link has to be good before the next step up."""
        if self.step != "sub" and self.at > 0 and len(self.steps) > 2:
            return min(FIRST_SIGHT_S * 2.0**self.failed_probes, LONGEST_SIGHT_S)
        return min(FIRST_PROBE_S * 2.0**self.failed_probes, LONGEST_PROBE_S)


def control_for(steps: tuple[Step, ...], now_s: float) -> PictureControl:
    """Where a new link starts: at the best step."""
    return PictureControl(steps=steps, stepped_s=now_s)


def decide(control: PictureControl, stats: LinkStats, now_s: float) -> PictureControl:
    """The next state of the control after one reading. The same report read again changes nothing but the time."""
    reported = (stats.picture_received, stats.voice_received)
    if control.reported is None:
        return replace(control, reported=reported) if reported != (0, 0) else control
    voice_only = control.step in ("stills", "voice")  # then the picture's figures are those of before
    picture_loss = 0.0 if voice_only else stats.picture_loss or 0.0
    voice_loss = stats.voice_loss or 0.0
    loss = max(picture_loss, voice_loss)
    round_trip_s = stats.round_trip_s or 0.0
    if reported != control.reported:
        lost = picture_loss * max(0, reported[0] - control.reported[0])
        lost += voice_loss * max(0, reported[1] - control.reported[1])
        stepped = _judge_report(replace(control, reported=reported), loss, lost, round_trip_s, now_s)
        if stepped.at != control.at:
            return stepped
        control = stepped
    good = (
        loss < (GOOD_VOICE_LOSS if voice_only else GOOD_LOSS)
        and round_trip_s < (GOOD_VOICE_ROUND_TRIP_S if voice_only else GOOD_ROUND_TRIP_S)
        and control.bad_reports == 0
    )
    control = replace(
        control, good_since_s=(now_s if control.good_since_s is None else control.good_since_s) if good else None
    )
    if control.probing and now_s - control.stepped_s > PROBE_FAILED_WITHIN_S:
        control = replace(control, probing=False, failed_probes=0)
    if control.at > 0 and control.good_since_s is not None:
        since_s = max(control.good_since_s, control.stepped_s)
        if now_s - since_s >= control.probe_after_s:
            return replace(control, at=control.at - 1, stepped_s=now_s, bad_reports=0, good_since_s=None, probing=True)
    return control


def collapsed(control: PictureControl, asked_again: int, sent: int, now_s: float) -> PictureControl:
    """The next state, given how many of the `sent` packets of the last moments the far end has asked for again.

    It asks some 100 ms after a loss, where a report takes a second. Only ever leaves main for a smaller picture.
    """
    if (
        control.step != "main"
        or control.steps[1] not in ("sub", "low")
        or now_s - control.stepped_s < COLLAPSE_NOT_BEFORE_S
    ):
        return control
    if asked_again >= COLLAPSE_PACKETS and asked_again > COLLAPSE_SHARE * sent:
        return _down(control, now_s)
    return control


def _judge_report(
    control: PictureControl, loss: float, lost: float, round_trip_s: float, now_s: float
) -> PictureControl:
    """One new report: `loss` the worse share, `lost` about how many packets that is."""
    if control.at + 1 >= len(control.steps):
        return replace(control, bad_reports=0)
    many = lost >= FEW_PACKETS
    terrible = (loss > TERRIBLE_LOSS and many) or round_trip_s > TERRIBLE_ROUND_TRIP_S
    bad = terrible or (loss > BAD_LOSS and many) or round_trip_s > BAD_ROUND_TRIP_S
    held = now_s - control.stepped_s < HOLD_AFTER_STEP_S
    if control.step == "main" and control.steps[control.at + 1] in ("sub", "low"):
        strained = (loss > PROBE_BAD_LOSS and lost >= 2) or round_trip_s > PROBE_BAD_ROUND_TRIP_S
        if terrible or (control.probing and strained):
            return _down(control, now_s)
    else:
        bad = terrible and not held
    control = replace(control, bad_reports=control.bad_reports + 1 if bad else 0)
    return _down(control, now_s) if control.bad_reports >= BAD_REPORTS else control


def _down(control: PictureControl, now_s: float) -> PictureControl:
    return replace(
        control,
        at=control.at + 1,
        stepped_s=now_s,
        bad_reports=0,
        good_since_s=None,
        failed_probes=min(control.failed_probes + 1, 8) if control.probing else control.failed_probes,
        probing=False,
    )
