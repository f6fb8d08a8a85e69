"""How long a missing packet is waited for follows how late packets come."""

import random

from unitd.call.voice.jitter import LEAST_DELAY_S, LEAST_WAIT_S, MOST_WAIT_S, JitterMeter

FRAME = 960


def feed(meter: JitterMeter, seconds: float, most_late_s: float, start_s: float = 0.0, seed: int = 1) -> float:
    """A voice of which every packet is late by its own share of `most_late_s`; returns when it ended."""
    chance = random.Random(seed)
    first = int(start_s * 50)
    for index in range(first, first + int(seconds * 50)):
        meter.packet(index * FRAME % 2**32, index % 2**16, index * 0.02 + chance.uniform(0, most_late_s))
    return start_s + seconds


def test_a_clean_link_does_not_pay() -> None:
    meter = JitterMeter()
    feed(meter, 10, 0.002)
    assert meter.wait_s == LEAST_WAIT_S
    assert meter.delay_s == LEAST_DELAY_S


def test_the_wait_covers_what_comes_late() -> None:
    meter = JitterMeter()
    feed(meter, 20, 0.100)
    assert 0.090 <= meter.wait_s <= 0.110
    assert meter.delay_s >= meter.wait_s + 0.02


def test_worse_is_followed_at_once_and_better_in_time() -> None:
    meter = JitterMeter()
    now_s = feed(meter, 10, 0.002)
    now_s = feed(meter, 1, 0.100, now_s)
    assert meter.wait_s > 0.07
    now_s = feed(meter, 20, 0.100, now_s)
    feed(meter, 30, 0.002, now_s)
    assert meter.wait_s == LEAST_WAIT_S


def test_clocks_that_part_are_not_jitter() -> None:
    meter = JitterMeter()
    for index in range(50 * 600):
        meter.packet(index * FRAME, index % 2**16, index * 0.02 * 1.0002)
    assert meter.wait_s == LEAST_WAIT_S


def test_a_slow_start_is_forgotten() -> None:
    meter = JitterMeter()
    for index in range(25):
        meter.packet(index * FRAME, index, 0.5 + index * 0.001)  # all at once, when the session was there
    feed(meter, 4, 0.002, 0.5)
    assert meter.wait_s == LEAST_WAIT_S


def test_an_outage_is_not_jitter_and_the_wait_has_a_ceiling() -> None:
    meter = JitterMeter()
    now_s = feed(meter, 10, 0.002)
    for index in range(100):  # three seconds of packets arrive together
        meter.packet(int((now_s + index * 0.02) * 48_000), 500 + index, now_s + 3.0 + index * 0.0001)
    assert meter.wait_s < 0.5
    feed(meter, 5, 0.590, now_s + 5)
    assert meter.wait_s == MOST_WAIT_S


def test_a_stream_that_starts_again_and_a_counter_that_wraps() -> None:
    meter = JitterMeter()
    for index in range(200):
        meter.packet((2**32 - 100 * FRAME + index * FRAME) % 2**32, (65_500 + index) % 2**16, index * 0.02)
    assert meter.wait_s == LEAST_WAIT_S and meter.packets == 200
    meter.packet(2**31 - 5, 9, 10.0)
    assert meter.packets == 1


def test_a_link_that_loses_needs_a_frame_more_for_as_long_as_it_does() -> None:
    meter = JitterMeter()
    for index in range(1200):
        if index != 300:
            meter.packet(index * FRAME, index, index * 0.02)
        if index in (299, 1100):
            assert meter.delay_s == LEAST_DELAY_S
        if index in (301, 600):
            assert meter.delay_s == LEAST_DELAY_S + 0.02
