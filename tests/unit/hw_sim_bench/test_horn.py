"""The unit's recordings are recognised in what the horn plays, and nothing else is."""

from __future__ import annotations

import wave
from importlib import resources

import numpy as np
import numpy.typing as npt
import pytest

from hw_sim.horn import ALIKE, WINDOW_S, WORDS, _Clip, _recordings, _slowed
from unitd.prompts import prompt_names, warning_names

RATE_HZ = 48_000


def as_played(kind: str, name: str) -> npt.NDArray[np.int16]:
    """The recording at the horn's rate, at a third of its level."""
    with (resources.files("unitd") / "call" / kind / "en" / f"{name}.wav").open("rb") as raw, wave.open(raw) as clip:
        samples = np.frombuffer(clip.readframes(clip.getnframes()), np.int16)
        repeat = RATE_HZ // clip.getframerate()
    return (np.repeat(samples, repeat) // 3).astype(np.int16)


CLIPS = {name: _Clip(samples) for name, samples in _recordings("en")}


def test_every_recording_has_its_words() -> None:
    assert set(CLIPS) == {*prompt_names(), *warning_names()} == set(WORDS)


@pytest.mark.parametrize("name", prompt_names())
def test_a_recording_is_told_from_the_others(name: str) -> None:
    sound = as_played("prompts", name)
    noise = np.random.default_rng(1).normal(0, 60, len(sound)).astype(np.int16)
    start = len(sound) // 3
    window = _slowed((sound + noise)[start : start + int(WINDOW_S * RATE_HZ)], RATE_HZ)
    alike = {other: clip.alike(window) for other, clip in CLIPS.items()}
    assert max(alike, key=lambda other: alike[other]) == name
    assert alike[name] > 0.85
    assert all(value < ALIKE for other, value in alike.items() if other != name), alike


def test_a_tone_and_noise_are_no_recording() -> None:
    at = np.arange(int(WINDOW_S * RATE_HZ))
    tone = (8000 * np.sin(2 * np.pi * 1000 * at / RATE_HZ)).astype(np.int16)
    noise = np.random.default_rng(2).normal(0, 3000, len(at)).astype(np.int16)
    for sound in (tone, noise):
        window = _slowed(sound, RATE_HZ)
        assert all(clip.alike(window) < ALIKE for clip in CLIPS.values())
