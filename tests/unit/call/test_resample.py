"""Sound at another clock's pace."""

import numpy as np
import pytest

from unitd.call.voice.resample import Line, Pace

RATE_HZ = 48_000


def sine(count: int, freq_hz: float, first: float = 0.0, step: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * freq_hz * (first + step * np.arange(count)) / RATE_HZ).astype(np.float32)


@pytest.mark.parametrize(("freq_hz", "least_db"), [(300, 55), (1000, 50), (4000, 38), (7000, 32)])
def test_a_line_is_read_at_another_pace_without_being_heard(freq_hz: float, least_db: float) -> None:
    line = Line(96_000)
    line.write(sine(48_000, freq_hz))
    read = line.read(1000.37, 1.0002, 24_000)
    wanted = sine(24_000, freq_hz, 1000.37, 1.0002)
    error = 10 * np.log10(np.mean((read - wanted) ** 2) / np.mean(wanted**2))
    assert error < -least_db


def test_what_is_not_there_is_silence() -> None:
    line = Line(4_800)
    for _ in range(4):
        line.write(np.ones(2_400, np.float32))
    assert line.read(9_360, 1.0, 480).tolist() == [1.0] * 240 + [0.0] * 240
    assert not line.read(0, 1.0, 480).any()


def test_200_ppm_are_made_into_frames_without_a_jump() -> None:
    pace, step, frames, seconds = Pace(960), 1.0002, 0, 120
    most = 0
    for _ in range(int(seconds * 50 * step)):
        made = len(pace.put(np.zeros(960, np.float32), step))
        frames, most = frames + made, max(most, made)
    assert abs(frames - seconds * 50) <= 1
    assert most <= 2


def test_at_the_same_pace_nothing_is_touched() -> None:
    pace = Pace(960)
    sound = np.random.default_rng(1).standard_normal(9_600).astype(np.float32)
    made = np.concatenate([frame.all for piece in np.split(sound, 10) for frame in pace.put(piece, 1.0)])
    assert np.array_equal(made, sound[: len(made)])
    assert len(made) >= 8 * 960
