"""The queue between the network's pace and the card's: delay as asked for, no gap, no click, bounded."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.live.speech import OPERATOR, sentences
from tests.live.voice import Heard, judge
from unitd.call.voice.jitter import JitterMeter
from unitd.call.voice.pcm import FRAME_BYTES, FRAME_SAMPLES, RATE_HZ
from unitd.call.voice.playout import LEAST_DELAY_S, SPARE_S, Playout

SECONDS = 20
SETTLE_S = 3


def frame(level: int) -> bytes:
    return np.full(FRAME_SAMPLES, level, "<i2").tobytes()


def level(pcm: bytes | None) -> int | None:
    return None if pcm is None else int(np.frombuffer(pcm, "<i2")[-1])


def over(
    late_s: Callable[[float, np.random.Generator], float], card_ppm: float = 0.0, sound: np.ndarray | None = None
) -> tuple[Playout, np.ndarray]:
    """What a card hears of `sound` whose packets are each late by `late_s(t, chance)`: in order, as behind a jitter
    buffer that waits for ever. In virtual time."""
    chance = np.random.default_rng(3)
    words = np.tile(sentences(OPERATOR), 4) if sound is None else sound
    arrivals = sorted((n * 0.02 + 0.02 + late_s(n * 0.02, chance), n) for n in range(SECONDS * 50))
    playout, meter = Playout(), JitterMeter()
    heard: list[bytes] = []
    held: dict[int, bytes] = {}
    at = following = 0
    for tick in range(SECONDS * 50):
        now_s = 0.007 + tick * 0.02 * (1 + card_ppm * 1e-6)
        while at < len(arrivals) and arrivals[at][0] <= now_s:
            arrival_s, number = arrivals[at]
            at += 1
            meter.packet(number * FRAME_SAMPLES, number, arrival_s)
            playout.aim(meter.delay_s)
            held[number] = words[number * FRAME_SAMPLES : (number + 1) * FRAME_SAMPLES].tobytes()
            while following in held:
                playout(held.pop(following))
                following += 1
        heard.append(playout.take() or bytes(FRAME_BYTES))
    return playout, np.frombuffer(b"".join(heard), "<i2")


def judged(sound: np.ndarray) -> Heard:
    return judge(sentences(OPERATOR), sound[SETTLE_S * RATE_HZ :])


def test_a_clean_link_is_heard_as_it_was_said() -> None:
    playout, sound = over(lambda _t, chance: 0.001 * chance.random())
    assert judged(sound).stoi > 0.999
    assert (playout.gaps, playout.periods_out, playout.periods_again) == (0, 0, 0)
    assert playout.delay_s == pytest.approx(LEAST_DELAY_S)


@pytest.mark.parametrize("card_ppm", [-500, -200, 200, 500])
def test_two_clocks_that_part_tear_nothing(card_ppm: float) -> None:
    playout, sound = over(lambda _t, chance: 0.001 * chance.random(), card_ppm)
    assert judged(sound).stoi > 0.99
    assert (playout.gaps, playout.dropped_frames) == (0, 0)


def test_there_is_no_click_while_the_clocks_part() -> None:
    """Three tones without a common period: no place is quite like another, and the seams have to be soft."""
    times = np.arange(SECONDS * 50 * FRAME_SAMPLES) / RATE_HZ
    chord = sum(2500 * np.sin(2 * np.pi * hz * times) for hz in (213, 347, 479)).astype("<i2")
    playout, sound = over(lambda _t, chance: 0.001 * chance.random(), 3000, chord)
    assert playout.periods_again + playout.periods_out > 2
    most = np.abs(np.diff(chord.astype(int))).max()
    assert np.abs(np.diff(sound[RATE_HZ:].astype(int))).max() < 1.2 * most


def test_jitter_is_taken_up() -> None:
    playout, sound = over(lambda _t, chance: 0.100 * chance.random())
    figures = judged(sound)
    assert figures.stoi > 0.97 and figures.longest_s == 0
    assert 0.1 < playout.delay_s < 0.16


def test_the_delay_comes_down_again_without_a_gap() -> None:
    playout, sound = over(lambda t, chance: (0.080 if t < 4 else 0.001) * chance.random())
    assert playout.periods_out > 2
    assert playout.delay_s < 0.08
    assert judged(sound[5 * RATE_HZ :]).longest_s == 0


def test_what_is_missing_fades_and_what_follows_rises() -> None:
    playout = Playout()
    for _ in range(2):
        playout(frame(5000))
    heard = [playout.take() for _ in range(7)]
    assert [level(pcm) for pcm in heard[:2]] == [5000, 5000]
    fading = [abs(level(pcm) or 0) for pcm in heard[2:5]]
    assert fading == sorted(fading, reverse=True) and fading[0] > 3000 and fading[2] < 100
    assert heard[5:] == [None, None]
    assert (playout.gaps, playout.concealed_frames) == (1, 5)
    playout(frame(5000))
    after = np.frombuffer(playout.take() or b"", "<i2")
    assert after[0] == 0 and after[-1] == 5000


def test_after_a_long_silence_it_gathers_anew() -> None:
    playout = Playout()
    for _ in range(2):
        playout(frame(1))
    for _ in range(60):
        playout.take()
    playout(frame(1))
    assert playout.take() is None
    playout(frame(1))
    assert playout.take() is not None


def test_too_much_at_once_is_thrown_away_and_counted() -> None:
    playout = Playout()
    for value in range(100):
        playout(frame(value))
    assert playout.dropped_frames > 50
    left = 0
    while playout.take() is not None and left < 200:
        left += 1
    assert left * 0.02 < LEAST_DELAY_S + SPARE_S + 0.1


def test_while_shut_nothing_is_kept() -> None:
    playout = Playout(is_open=False)
    for _ in range(10):
        playout(frame(1))
    assert playout.take() is None
    playout.gate(True)
    assert playout.take() is None
    for _ in range(10):
        playout(frame(1))
    playout.gate(False)
    assert playout.take() is None


def test_pieces_of_any_length() -> None:
    playout = Playout()
    data = frame(1) + frame(2) + frame(3)
    for at in range(0, len(data), 701):
        playout(data[at : at + 701])
    assert [level(playout.take()) for _ in range(3)] == [1, 2, 3]
