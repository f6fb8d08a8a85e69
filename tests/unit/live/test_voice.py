"""How a voice is judged: intelligibility falls with what spoils it, and gaps are found where they are."""

import numpy as np
from scipy.signal import resample_poly

from tests.live import speech
from tests.live.stoi import RATE_HZ, stoi
from tests.live.voice import judge

LOOP = speech.sentences(speech.CALLER)
CHANCE = np.random.default_rng(11)


def _heard(seconds: float, delay_s: float = 0.237, start_s: float = 3.1) -> speech.I16:
    """The loop from some place in it, after a silence."""
    begin = int(start_s * speech.RATE_HZ)
    sound = np.take(LOOP, np.arange(begin, begin + int(seconds * speech.RATE_HZ)), mode="wrap")
    return np.concatenate([np.zeros(int(delay_s * speech.RATE_HZ), np.int16), sound])


def test_stoi_is_one_for_itself_and_falls_with_noise() -> None:
    clean = resample_poly(LOOP.astype(np.float64), 5, 24)
    noise = CHANCE.normal(0, 1, len(clean))
    level = np.sqrt(np.mean(clean**2) / np.mean(noise**2))
    values = [stoi(clean, clean + noise * level * 10 ** (-snr_db / 20)) or 0.0 for snr_db in (40, 10, 0, -10)]
    assert abs((stoi(clean, clean) or 0.0) - 1.0) < 1e-6
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.95
    assert values[3] < 0.6
    assert (stoi(clean, noise) or 0.0) < 0.4


def test_stoi_of_too_little_is_none() -> None:
    assert stoi(np.zeros(100), np.zeros(100)) is None
    assert stoi(np.ones(RATE_HZ // 10), np.ones(RATE_HZ // 10)) is None


def test_a_voice_that_arrived_whole_has_no_gap() -> None:
    heard = judge(LOOP, _heard(12, 0.0))
    assert heard.stoi is not None
    assert heard.stoi > 0.97
    assert heard.gaps == []


def test_a_voice_that_comes_late_has_its_gap_at_the_beginning() -> None:
    heard = judge(LOOP, _heard(12, 0.6))
    assert [begin < 0.4 and 0.55 < end < 0.65 for begin, end in heard.gaps] == [True]


def test_a_delay_that_changes_is_followed() -> None:
    before, after = _heard(6, 0.1), _heard(6, 0.0, 9.1 - 0.15)  # 150 ms are heard again
    heard = judge(LOOP, np.concatenate([before, after]))
    assert heard.stoi is not None
    assert heard.stoi > 0.93


def test_silence_in_the_middle_of_speech_is_a_gap_of_its_length() -> None:
    sound = _heard(12, 0.0).copy()
    begin, end = 4 * speech.RATE_HZ, 5 * speech.RATE_HZ
    sound[begin:end] = 0
    heard = judge(LOOP, sound)
    assert 0.7 < heard.gap_s <= 1.0
    assert all(first >= 3.9 and last <= 5.1 for first, last in heard.gaps)


def test_nothing_at_all_is_one_long_gap_and_not_intelligible() -> None:
    heard = judge(LOOP, np.zeros(10 * speech.RATE_HZ, np.int16))
    assert (heard.stoi or 0.0) < 0.2
    assert heard.longest_s > 8


def test_lost_packets_lower_the_score() -> None:
    sound = _heard(12, 0.0).copy()
    for at in range(0, len(sound) - 960, 4800):  # a fifth
        sound[at : at + 960] = 0
    whole, broken = judge(LOOP, _heard(12, 0.0)), judge(LOOP, sound)
    assert broken.stoi is not None
    assert whole.stoi is not None
    assert broken.stoi < whole.stoi - 0.05
