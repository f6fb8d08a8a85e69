"""The picture steps down for the voice's sake and probes its way up again."""

from unitd.call.bitrate import (
    BAD_FOR_S,
    FIRST_PROBE_S,
    HOLD_AFTER_STEP_S,
    LONGEST_PROBE_S,
    PictureControl,
    control_for,
    decide,
)
from unitd.call.linkstats import LinkStats

GOOD = LinkStats(0.0, 0.0, 0.05)
BAD = LinkStats(0.15, 0.02, 0.1)
TERRIBLE = LinkStats(0.5, 0.4, 0.9)
SLOW = LinkStats(0.0, 0.0, 0.9)


def run(control: PictureControl, stats: LinkStats, since_s: float, seconds: float) -> tuple[PictureControl, float]:
    """One reading a second; stops at the first step."""
    for second in range(int(seconds) + 1):
        before = control.at
        control = decide(control, stats, since_s + second)
        if control.at != before:
            return control, since_s + second
    return control, since_s + seconds


def test_a_good_link_keeps_the_main_stream() -> None:
    control, _ = run(control_for(True, 0.0), GOOD, 0.0, 600)
    assert control.step == "main"


def test_loss_that_lasts_steps_down_and_a_single_bad_reading_does_not() -> None:
    control = control_for(True, -HOLD_AFTER_STEP_S)
    control = decide(decide(control, BAD, 0.0), GOOD, 1.0)
    control = decide(control, BAD, 2.0)
    assert control.step == "main"
    control, at_s = run(control, BAD, 3.0, 10)
    assert control.step == "sub"
    assert at_s == 2.0 + BAD_FOR_S


def test_terrible_loss_steps_down_at_once_even_within_the_hold() -> None:
    assert decide(control_for(True, 0.0), TERRIBLE, 1.0).step == "sub"


def test_a_long_round_trip_is_congestion_too() -> None:
    control, _ = run(control_for(True, 0.0), SLOW, 0.0, 20)
    assert control.step == "sub"


def test_voice_alone_is_left_in_the_end() -> None:
    control, at_s = run(control_for(True, 0.0), TERRIBLE, 0.0, 5)
    control, _ = run(control, TERRIBLE, at_s + 1, 5)
    assert control.step == "off"
    assert decide(control, TERRIBLE, 100.0).step == "off"


def test_without_a_sub_stream_the_step_below_main_is_none() -> None:
    assert decide(control_for(False, 0.0), TERRIBLE, 1.0).step == "off"


def test_it_probes_up_after_a_good_while_and_waits_longer_after_a_failed_probe() -> None:
    control = decide(control_for(True, 0.0), TERRIBLE, 0.0)
    control, up_s = run(control, GOOD, 1.0, 100)
    assert control.step == "main"
    assert up_s >= FIRST_PROBE_S
    control = decide(control, TERRIBLE, up_s + 2)
    assert control.step == "sub"
    control, again_s = run(control, GOOD, up_s + 3, 200)
    assert control.step == "main"
    assert again_s - up_s >= 2 * FIRST_PROBE_S


def test_a_probe_is_ended_at_the_first_sign_for_the_voices_sake() -> None:
    for sign in (LinkStats(0.04, 0.0, 0.05), LinkStats(0.0, 0.04, 0.05), LinkStats(0.0, 0.0, 0.5)):
        control = decide(control_for(True, 0.0), TERRIBLE, 0.0)
        control, up_s = run(control, GOOD, 1.0, 100)
        assert control.step == "main"
        assert decide(control, sign, up_s + 1).step == "sub"


def test_the_wait_is_bounded() -> None:
    control, now_s = control_for(True, 0.0), 0.0
    for _ in range(12):
        control = decide(control, TERRIBLE, now_s)
        control, now_s = run(control, GOOD, now_s + 1, 3 * LONGEST_PROBE_S)
        assert control.step == "main"
        now_s += 1
    assert control.probe_after_s == LONGEST_PROBE_S


def test_readings_without_figures_change_nothing() -> None:
    control, _ = run(control_for(True, 0.0), LinkStats(), 0.0, 60)
    assert control.step == "main"
