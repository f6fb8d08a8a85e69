"""The controller on a link in virtual time: the published cases of RFC 8867 as far as they mean something for a sender
with a ladder, and the links of the live call's goals."""

import os
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.call.link_model import Bottleneck, Clock, Pole, Tcp, feedback_of, one_pole, staircase
from unitd.call.bitrate import Controller
from unitd.call.congestion.decision import Decision
from unitd.call.congestion.uncontrolled import Uncontrolled
from unitd.call.rtc.linkstats import LinkStats

STEPS = ("main", "sub", "low", "stills", "voice")
SEEDS = range(5 if os.environ.get("UNITD_TEST_LONG") else 1)
EXCESS = 0.10
"""Bytes sent above the link's capacity over any 10 s, docs/design/live-call.md."""
VOICE_LOSS = 0.01


def play(capacity: Callable[[float], float], seconds: float, **way: Any) -> Pole:
    clock, _, pole = one_pole(capacity, **way)
    clock.run(seconds)
    return pole


def several(count: int, capacity: Callable[[float], float], seconds: float, **of: Any) -> list[Pole]:
    """Poles that share one bottleneck and came 3 s after each other."""
    rng, clock = random.Random(7), Clock()
    way = Bottleneck(clock, rng, capacity, 0.05)
    poles: list[Pole] = []

    def join() -> None:
        back = Bottleneck(clock, rng, lambda _s: 1e8, 0.05)
        poles.append(Pole(clock, way, back, rng, **of))

    for number in range(count):
        clock.at(clock.now_s + 3.0 * number, join)
    clock.run(seconds)
    return poles


def changes(pole: Pole) -> list[str]:
    return [step for _, step in pole.steps()]


# --- the start --------------------------------------------------------------------------------------------------------


def test_a_good_link_has_the_main_stream_within_a_second() -> None:
    pole = play(staircase((0, 50e6)), 20)
    assert changes(pole) == ["sub", "main"]
    assert pole.steps()[1][0] < 1.0
    assert pole.longest_gap_s() < 0.3


def test_a_thin_link_is_not_flooded_in_its_first_seconds() -> None:
    for seed in SEEDS:
        pole = play(staircase((0, 250e3)), 15, delay_s=0.1, seed=seed)
        assert pole.worst_excess()[0] < EXCESS
        assert pole.steps()[1][0] < 1.0 and pole.step_at(2.0) == "low"


def test_what_was_known_of_the_link_is_where_a_call_begins() -> None:
    pole = play(staircase((0, 50e6)), 1, pole_known_bit_s=20e6)
    assert changes(pole) == ["main"]


@pytest.mark.parametrize("low_use", [0.93, 0.75, 0.6, 0.4])
def test_a_link_that_is_good_again_is_found_however_little_the_small_picture_needs(low_use: float) -> None:
    """The re-encoder of a still street takes half of what it may have: so little never shows that there is room."""
    for seed in SEEDS:
        pole = play(
            staircase((0, 1e6), (12, 0.3e6), (36, 4e6)), 115, pole_low_use=low_use, pole_main_bit_s=3e6, seed=seed
        )
        assert pole.step_at(20) == "low"
        assert pole.step_at(85) in ("sub", "main"), "the second try at the latest"
        assert pole.step_at(114) == "main"
        assert pole.worst_excess()[0] < EXCESS


# --- RFC 8867, 5 ------------------------------------------------------------------------------------------------------


def test_variable_capacity_single_flow() -> None:
    """5.1, its factors of 1 : 2.5 : 0.6 : 1 with a reference of 2 Mbit/s."""
    pole = play(staircase((0, 2e6), (40, 5e6), (60, 1.2e6), (80, 2e6)), 100, pole_main_bit_s=3e6)
    assert changes(pole) == ["sub", "main", "sub"]
    assert 40 < pole.steps()[1][0] < 60, "the room is found"
    assert 60 < pole.steps()[2][0] < 61, "and given back"
    assert pole.worst_excess()[0] < EXCESS
    assert pole.voice_lost() < VOICE_LOSS


def test_variable_capacity_several_flows() -> None:
    """5.2: two on one bottleneck."""
    poles = several(2, staircase((0, 4e6), (25, 8e6), (50, 1.2e6)), 75, main_bit_s=1.5e6, sub_bit_s=3e5)
    for pole in poles:
        assert pole.step_at(45.0) == "main"
        assert pole.step_at(70.0) in ("sub", "low")
        assert pole.voice_lost() < 2 * VOICE_LOSS
        assert len(pole.steps()) <= 6, "no flapping"
    sent = sum(pole.sent_bit_s(55, 65) for pole in poles)
    assert sent < (1 + EXCESS) * 1.2e6


def test_congested_feedback_link() -> None:
    """5.3: what comes back is late and lossy; what is sent has room."""
    rng, clock = random.Random(3), Clock()
    way = Bottleneck(clock, rng, lambda _s: 10e6, 0.05)
    back = Bottleneck(clock, rng, lambda _s: 60e3, 0.1, jitter_s=0.15, loss=0.2)
    pole = Pole(clock, way, back, rng)
    clock.run(40)
    assert pole.step_at(39.0) == "main"
    assert len(pole.steps()) <= 2, pole.steps()


def test_competing_media_flows() -> None:
    """5.4: three begin after each other on a link that holds one main stream and two small ones."""
    poles = several(3, staircase((0, 3.6e6)), 60, main_bit_s=2e6, sub_bit_s=4e5)
    for pole in poles:
        assert pole.step_at(55.0) in ("main", "sub"), "nobody is starved"
        assert pole.voice_lost() < 2 * VOICE_LOSS
    assert sum(pole.sent_bit_s(40, 50) for pole in poles) < (1 + EXCESS) * 3.6e6


def test_round_trip_fairness() -> None:
    """5.5: the same share at 10 ms and at 250 ms."""
    rng, clock = random.Random(5), Clock()
    way = Bottleneck(clock, rng, lambda _s: 8e6, 0.02)
    poles = [
        Pole(clock, way, Bottleneck(clock, rng, lambda _s: 1e8, back_s), rng, main_bit_s=2e6)
        for back_s in (0.01, 0.05, 0.25)
    ]
    clock.run(40)
    assert [pole.step_at(39.0) for pole in poles] == ["main"] * 3


def test_competing_long_tcp() -> None:
    """5.6: a transfer takes what it can; the picture keeps a share, the voice all of its."""
    rng, clock = random.Random(11), Clock()
    way = Bottleneck(clock, rng, lambda _s: 6e6, 0.02, queue_s=0.2)
    pole = Pole(clock, way, Bottleneck(clock, rng, lambda _s: 1e8, 0.02), rng, main_bit_s=3e6, sub_bit_s=4e5)
    tcp: list[Tcp] = []
    clock.at(clock.now_s + 15.0, lambda: tcp.append(Tcp(clock, way, 0.02)))
    clock.run(60)
    assert set(changes(pole)) <= {"main", "sub"}, "a transfer does not take the picture away"
    assert pole.voice_lost() < 0.03
    assert len(pole.steps()) <= 8
    assert tcp[0].arrived_bytes * 8 / 45 > 1e6, "nor is it starved"


def test_competing_short_tcp() -> None:
    """5.7: pages of 100 to 500 kB now and then."""
    rng, clock = random.Random(13), Clock()
    way = Bottleneck(clock, rng, lambda _s: 6e6, 0.02, queue_s=0.3)
    pole = Pole(clock, way, Bottleneck(clock, rng, lambda _s: 1e8, 0.02), rng, main_bit_s=2.5e6, sub_bit_s=4e5)
    for number in range(8):
        clock.at(
            clock.now_s + 8.0 + 5.0 * number, lambda: Tcp(clock, way, 0.02, total_bytes=rng.randrange(100_000, 500_000))
        )
    clock.run(60)
    assert set(changes(pole)) <= {"main", "sub"}
    assert pole.voice_lost() < 0.02


def test_media_pause_and_resume() -> None:
    """5.8: a camera that stands still for 10 s says nothing about the link."""
    clock, _, pole = one_pole(staircase((0, 8e6)))
    clock.run(15)
    pole.paused = True
    clock.run(10)
    pole.paused = False
    clock.run(20)
    assert changes(pole) == ["sub", "main"]
    assert pole.worst_excess()[0] == 0.0


# --- the live call's links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_four_to_two(seed: int) -> None:
    pole = play(staircase((0, 4e6), (20, 2e6)), 50, seed=seed, delay_s=0.02, pole_main_bit_s=3e6, pole_sub_bit_s=4e5)
    assert changes(pole) == ["sub", "main", "sub"]
    assert 20.0 < pole.steps()[2][0] < 20.6
    assert pole.worst_excess()[0] < EXCESS
    assert pole.longest_gap_s(21.0) < 0.5, "no frozen second after the first"
    assert pole.voice_lost() < VOICE_LOSS


@pytest.mark.parametrize("seed", SEEDS)
def test_the_staircase(seed: int) -> None:
    capacity = staircase((0, 4e6), (20, 1e6), (40, 0.3e6), (60, 1e6), (85, 4e6))
    pole = play(capacity, 120, seed=seed, delay_s=0.02, pole_main_bit_s=3e6, pole_sub_bit_s=4e5)
    assert changes(pole) == ["sub", "main", "sub", "low", "sub", "main"]
    assert pole.worst_excess()[0] < EXCESS
    assert pole.voice_lost() < 2 * VOICE_LOSS
    assert pole.longest_gap_s(3.0) < 1.5


def test_loss_without_congestion_is_no_reason_to_step_down() -> None:
    for seed in SEEDS:
        pole = play(staircase((0, 10e6)), 60, loss=0.05, seed=seed)
        assert changes(pole) == ["sub", "main"]


def test_what_a_link_with_room_to_spare_loses_goes_again_unasked_and_nothing_else_does() -> None:
    for bit_s, loss in ((10e6, 0.05), (0.8e6, 0.03)):
        pole = play(staircase((0, bit_s)), 30, loss=loss, delay_s=0.08, pole_sub_bit_s=4e5)
        said = [decision.resends_unasked for at_s, decision in pole.history if at_s > 10]
        assert sum(said) > 0.8 * len(said)
    for bit_s, loss in ((10e6, 0.0), (0.25e6, 0.03)):
        pole = play(staircase((0, bit_s)), 30, loss=loss, delay_s=0.08, pole_sub_bit_s=4e5)
        assert not any(decision.resends_unasked for _, decision in pole.history)


def test_a_slow_lossy_link_keeps_its_small_picture() -> None:
    pole = play(staircase((0, 0.8e6)), 60, loss=0.03, delay_s=0.08, pole_sub_bit_s=4e5)
    resends = sorted(decision.resend_bit_s for at_s, decision in pole.history if at_s > 10)
    assert 100e3 < resends[len(resends) // 2] < 0.5 * 4.3e5, "half of what is to spare: the losses of a keyframe"
    assert changes(pole) == ["sub"]
    assert pole.worst_excess()[0] < EXCESS
    assert pole.voice_delay_p95_s(3) < 0.2


def test_a_thin_link_has_voice_and_a_picture_all_the_time() -> None:
    pole = play(staircase((0, 0.25e6)), 60, delay_s=0.1)
    assert changes(pole) == ["sub", "low"]
    assert pole.longest_gap_s(3.0) < 2.0
    assert pole.voice_lost() < VOICE_LOSS
    assert pole.voice_delay_p95_s(5) < 0.3


@pytest.mark.parametrize("low_use", [0.72, 0.85, 0.93])
def test_on_a_thin_link_the_voice_hardly_waits_behind_the_picture(low_use: float) -> None:
    """Neither behind the first packets, nor behind a rate that tries its limit again and again."""
    for seed in SEEDS:
        pole = play(staircase((0, 0.25e6)), 120, delay_s=0.1, queue_s=0.4, seed=seed, pole_low_use=low_use)
        assert pole.voice_delay_p95_s(1.5, 8) < 0.2, "the first seconds"
        assert pole.voice_delay_p95_s(8) < 0.24
        assert pole.voice_later_than(0.3, 2.0) < 0.015


@pytest.mark.parametrize("low_use", [0.6, 0.85])
def test_a_way_that_becomes_longer_costs_rate_and_no_step(low_use: float) -> None:
    """As a queue does that has come slowly, it lifts the least delay: the voice would wait in one for good."""
    for seed in SEEDS:
        clock, way, pole = one_pole(staircase((0, 0.25e6)), delay_s=0.1, queue_s=0.4, seed=seed, pole_low_use=low_use)
        clock.run(40)
        way.delay_s = 0.22
        clock.run(80)
        assert changes(pole) == ["sub", "low"]
        assert pole.voice_delay_p95_s(50) < 0.3
        assert all((decision.capacity_bit_s or 0.0) > 100e3 for at_s, decision in pole.history if at_s > 40)


def test_below_every_picture_there_is_the_voice() -> None:
    pole = play(staircase((0, 0.06e6)), 60, delay_s=0.1)
    assert pole.step_at(10.0) in ("voice", "stills")
    assert pole.voice_lost(5.0) < VOICE_LOSS
    assert sum(decision.step == "voice" for _, decision in pole.history) > 0.9 * len(pole.history)


@pytest.mark.parametrize("length_s", [3, 20])
def test_an_outage_says_nothing_about_the_link(length_s: int) -> None:
    pole = play(staircase((0, 6e6)), 60, outages=((20.0, 20.0 + length_s),), pole_main_bit_s=3e6)
    assert pole.step_at(59.0) == "main"
    held = [at_s for at_s, decision in pole.history if decision.holds]
    assert 20.5 < held[0] < 21.5 and held[-1] < 20.6 + length_s, "nothing but the voice is sent into the void"
    assert pole.longest_gap_s(20.0) < length_s + 1.0, "the picture is back within a second"
    assert pole.worst_excess()[0] == 0.0


@pytest.mark.parametrize("capacity_bit_s", [6e6, 20e6])
def test_jitter_is_not_a_queue(capacity_bit_s: float) -> None:
    for seed in SEEDS:
        pole = play(staircase((0, capacity_bit_s)), 60, jitter_s=0.1, seed=seed, pole_main_bit_s=3e6)
        assert changes(pole) == ["sub", "main"]


def test_a_step_up_that_fails_waits_longer_each_time() -> None:
    """A link that carries a train and not the stream: a token bucket."""
    pole = play(lambda at_s: 20e6 if at_s % 1.0 < 0.1 else 1.2e6, 180, pole_main_bit_s=3e6)
    tries = [at_s for at_s, step in pole.steps() if step == "main"]
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert len(tries) <= 5, "wide hysteresis"
    assert all(wait > 25 for wait in waits)


def test_without_control_the_same_link_collapses() -> None:
    """What the tests above would see of a sender that does not listen."""
    pole = play(staircase((0, 4e6), (20, 2e6)), 40, pole_main_bit_s=3e6, pole_make=Uncontrolled)
    assert pole.worst_excess()[0] > 0.4
    assert pole.voice_delay_p95_s(22.0) > 0.25


# --- reports alone ----------------------------------------------------------------------------------------------------


def reports(loss: float, count: int, controller: Controller, begin_s: float) -> Decision:
    for number in range(count):
        now_s = begin_s + number
        stats = LinkStats(loss, loss, 0.05, number + 1, 100 * (number + 1), 50 * (number + 1))
        controller.report(stats, now_s)
        decision = controller.decide(now_s)
    return decision


def test_a_far_end_without_feedback_is_judged_by_its_reports() -> None:
    controller = Controller(STEPS, 0.0, has_feedback=False)
    assert controller.decide(0.0).step == "main"
    assert reports(0.0, 5, controller, 1.0).step == "main"
    controller = Controller(STEPS, 0.0, has_feedback=False)
    assert reports(0.4, 3, controller, 1.0).step == "sub"


def test_feedback_that_was_agreed_on_and_never_comes_is_not_waited_for() -> None:
    controller = Controller(STEPS, 0.0, has_feedback=True)
    assert controller.decide(0.1).step == "sub"
    assert reports(0.0, 8, controller, 1.0).holds is False
    assert controller.decide(9.0).step == "sub", "what was seen before stays"
    assert reports(0.0, 60, controller, 10.0).step == "main", "its reports are good"


def test_a_way_out_that_is_dead_is_silence_though_voices_come_in() -> None:
    clock, way, pole = one_pole(staircase((0, 8e6)))
    clock.run(10)
    way.outages = ((0.0, 1e9),)
    for number in range(100):
        clock.run(0.1)
        pole.controller.report(LinkStats(None, None, 0.1, 1000 + number, 7, 7), clock.now_s)
    assert pole.decision.holds
    assert pole.sent_bit_s(15, 20) < 100e3


# --- whatever comes in ------------------------------------------------------------------------------------------------

acts = st.one_of(
    st.tuples(st.just("feedback"), st.binary(max_size=60)),
    st.tuples(st.just("told"), st.integers(0, 300), st.lists(st.none() | st.floats(0, 1e6), min_size=1, max_size=60)),
    st.tuples(st.just("sent"), st.integers(0, 300), st.integers(0, 3000)),
    st.tuples(st.just("many"), st.integers(0, 300), st.integers(1, 80)),
    st.tuples(
        st.just("report"),
        st.floats(0, 1) | st.none(),
        st.floats(0, 5) | st.none(),
        st.integers(0, 1000),
        st.integers(0, 2000),
    ),
    st.tuples(st.just("asked"), st.integers(-5, 500), st.integers(-5, 500)),
    st.tuples(st.just("needs"), st.floats(0, 1e8), st.floats(0, 1e7)),
    st.tuples(st.just("wait"), st.floats(-0.5, 40.0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(acts, max_size=60), st.booleans(), st.sampled_from([STEPS, ("main", "voice"), ("voice",)]))
def test_nothing_that_comes_in_raises_or_takes_the_voices_share(
    inputs: list[Any], has_feedback: bool, steps: Any
) -> None:
    now_s = 10.0
    controller = Controller(steps, now_s, has_feedback=has_feedback)
    for kind, *values in inputs:
        match kind:
            case "feedback":
                controller.feedback(values[0], now_s)
            case "told":
                controller.feedback(feedback_of(values[0], 0, values[1]), now_s)
            case "many":
                controller.sent([(values[0] + each, 1200, now_s + each / 400, "picture") for each in range(values[1])])
            case "sent":
                controller.sent([(values[0], values[1], now_s, "picture")])
            case "report":
                loss, trip_s, heard, received = values
                controller.report(LinkStats(loss, loss, trip_s, heard, received, received // 2), now_s)
            case "asked":
                controller.asked_again(values[0], values[1], now_s)
            case "needs":
                controller.needs({"main": values[0], "sub": values[1]}, values[1] / 2)
            case "wait":
                now_s += values[0]
        decision = controller.decide(now_s)
        assert decision.step in steps
        assert 16_000 <= decision.voice_bit_s <= 32_000
        assert decision.target_bit_s >= 0 and decision.pace_bit_s > 0 and decision.resend_bit_s >= 0
        if decision.capacity_bit_s is not None and decision.step in ("main", "sub"):
            assert decision.target_bit_s <= max(0.0, decision.capacity_bit_s - decision.voice_bit_s)
