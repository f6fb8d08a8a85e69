"""A card's true rate out of trembling callbacks."""

import random

import numpy as np
import pytest

from unitd.call.voice.card_clock import CardClock
from unitd.call.voice.drift import DriftWatch
from unitd.call.voice.echo_filter import BINS, PARTS

FRAME = 960


def play(clock: CardClock, ppm: float, seconds: float, tremble_ms: float, start_s: float = 5.0) -> None:
    chance = random.Random(7)
    step_s = FRAME / 48_000 / (1 + ppm * 1e-6)
    for k in range(int(seconds * 50)):
        clock.callback(FRAME, int((start_s + k * step_s + chance.expovariate(1000 / tremble_ms)) * 1e9))


@pytest.mark.parametrize("ppm", [-210.0, -40.0, 60.0, 500.0])
def test_the_rate_is_known_to_two_ppm_after_a_minute(ppm: float) -> None:
    clock = CardClock()
    play(clock, ppm, 60, tremble_ms=2)
    assert clock.ppm == pytest.approx(ppm, abs=2)


def test_it_is_known_to_twenty_ppm_within_ten_seconds() -> None:
    clock = CardClock()
    play(clock, 200, 10, tremble_ms=2)
    assert clock.ppm == pytest.approx(200, abs=20)


def test_a_right_card_is_left_alone() -> None:
    clock = CardClock()
    play(clock, 0, 60, tremble_ms=5)
    assert abs(clock.ppm) < 3


def test_nonsense_is_not_believed() -> None:
    clock = CardClock()
    play(clock, 9_000, 30, tremble_ms=1)
    assert clock.ppm == 0


def test_lost_frames_begin_a_new_line_and_keep_the_rate() -> None:
    clock = CardClock()
    play(clock, 100, 30, tremble_ms=1)
    play(clock, 100, 3, tremble_ms=1, start_s=5 + 30 + 0.4)
    assert clock.jumps == 1
    assert clock.ppm == pytest.approx(100, abs=3)


def test_a_card_that_is_opened_again_keeps_its_rate() -> None:
    clock = CardClock()
    play(clock, 100, 30, tremble_ms=1)
    clock.restart()
    play(clock, 100, 1, tremble_ms=1, start_s=500)
    assert clock.ppm == pytest.approx(100, abs=3)
    assert clock.jumps == 0


def test_the_echo_itself_tells_the_last_ppm() -> None:
    watch, turned = DriftWatch(), 0.0
    watch.callbacks_say(200.0)
    chance = np.random.default_rng(3)
    way = (chance.standard_normal((PARTS, BINS)) + 1j * chance.standard_normal((PARTS, BINS))).astype(np.complex64)
    for _ in range(500):
        turned += (watch.ppm - 215.0) * 1e-6 * 0.02  # seconds that the echo comes later
        if watch.is_due(True):
            watch.look(way * np.exp(-2j * np.pi * np.arange(BINS) * 25 * turned).astype(np.complex64))
    assert watch.ppm == pytest.approx(215, abs=0.5)
    assert not watch.callbacks_say(230.0), "by now the echo knows better"
    assert watch.ppm == pytest.approx(215, abs=0.5)
