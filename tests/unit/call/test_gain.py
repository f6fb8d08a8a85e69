"""The horn's loudness: over the noise, under the ceiling whatever comes in."""

import numpy as np
import pytest

from unitd.call.voice.gain import HornGain, Loudness, limit_dba, wanted_dba
from unitd.call.voice.loudness import FAST_S, AmbientNoise, level_dbfs

LOUDNESS = Loudness(horn_full_dba=100.0, ceiling_dba=90.0, talk_dba=80.0, quiet_dba=55.0)
FRAME = 960


def noise(frames: int, level: float, seed: int = 1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(frames * FRAME)).clip(-1, 1).astype(np.float32)


def loudest_dba(sound: np.ndarray) -> float:
    """The greatest LAF."""
    power, most = 0.0, 0.0
    keep = float(np.exp(-0.02 / FAST_S))
    for frame in sound.reshape(-1, FRAME):
        power = keep * power + (1 - keep) * 10 ** (level_dbfs(frame) / 10)
        most = max(most, power)
    return 100.0 + 10 * np.log10(most + 1e-20)


def played(gain: HornGain, sound: np.ndarray) -> np.ndarray:
    return np.concatenate([gain.frame(frame).copy() for frame in sound.reshape(-1, FRAME)])


def test_a_full_sine_is_nought_and_the_curve_is_the_standards() -> None:
    at = np.arange(FRAME) / 48_000
    for freq_hz, weight_db in ((1000, 0.0), (100, -19.1), (4000, 1.0), (8000, -1.1)):
        assert level_dbfs(np.sin(2 * np.pi * freq_hz * at).astype(np.float32)) == pytest.approx(weight_db, abs=0.3)


def test_which_limit_holds_when() -> None:
    assert limit_dba(LOUDNESS, talk=False, quiet=False) == 90
    assert limit_dba(LOUDNESS, talk=True, quiet=False) == 80
    assert limit_dba(LOUDNESS, talk=True, quiet=True) == limit_dba(LOUDNESS, talk=False, quiet=True) == 55


def test_the_street_lifts_the_horn_as_far_as_the_limit() -> None:
    assert wanted_dba(90, 40) == 70
    assert wanted_dba(90, 65) == 80
    assert wanted_dba(90, 95) == 84
    assert wanted_dba(55, 95) == 49
    assert wanted_dba(90, None) == 75


@pytest.mark.parametrize("limit", [90.0, 80.0, 55.0])
@pytest.mark.parametrize("level", [0.003, 0.05, 1.0])
def test_the_limit_is_never_exceeded(limit: float, level: float) -> None:
    gain = HornGain(LOUDNESS)
    gain.aim(limit, 90.0)
    bursts = np.concatenate([noise(40, level), noise(10, 1.0), noise(3, 0.0), noise(40, level / 10), noise(20, 1.0)])
    assert loudest_dba(played(gain, bursts)) <= limit + 0.5


@pytest.mark.parametrize("level", [0.01, 0.1])
def test_a_faint_and_a_loud_operator_are_equally_loud(level: float) -> None:
    gain = HornGain(LOUDNESS)
    gain.aim(80.0, 55.0)
    last = played(gain, noise(400, level))[-50 * FRAME :]
    mean = np.mean([10 ** (level_dbfs(frame) / 10) for frame in last.reshape(-1, FRAME)])
    assert 100 + 10 * np.log10(mean) == pytest.approx(70, abs=1)


def test_silence_stays_silence_and_is_not_made_loud() -> None:
    gain = HornGain(LOUDNESS)
    assert not played(gain, noise(50, 0.0)).any()
    loud = played(gain, noise(200, 0.0005))  # hum of a line, -66 dB
    assert loudest_dba(loud) < 55


def test_no_step_is_heard_when_the_limit_falls() -> None:
    gain = HornGain(LOUDNESS)
    gain.aim(90.0, 90.0)
    at = np.arange(100 * FRAME) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * 500 * at)).astype(np.float32)
    before = played(gain, tone[: 50 * FRAME])
    gain.aim(55.0, 90.0)
    after = played(gain, tone[50 * FRAME :])
    steps = np.abs(np.diff(np.concatenate((before[-FRAME:], after))))
    assert steps.max() <= 1.5 * np.abs(np.diff(before[-FRAME:])).max()


def test_the_streets_noise_is_what_is_there_while_nobody_speaks() -> None:
    ambient = AmbientNoise(115.0)
    for frame in noise(300, 0.001).reshape(-1, FRAME):
        if ambient.is_due(horn_plays=False):
            ambient.frame(frame)
    quiet = ambient.dba
    assert quiet is not None and 50 < quiet < 60
    for k, frame in enumerate(noise(500, 0.1).reshape(-1, FRAME)):
        if ambient.is_due(horn_plays=k % 10 == 0):  # the horn, and the street's answer to it, do not count
            ambient.frame(frame)
    assert ambient.dba == quiet
