"""What the horn plays: prompt under voice under warning, and nothing of the operator before the answer."""

import numpy as np
import pytest

from unitd.call.voice.mixer import I16, PROMPT_PERIOD_S, PROMPT_UNDER_VOICE, VOICE_UNDER_WARNING, Mixer
from unitd.call.voice.pcm import FRAME_SAMPLES, RATE_HZ

SETTLE_FRAMES = 10


def constant(level: int, seconds: float = 1.0) -> I16:
    return np.full(int(seconds * RATE_HZ), level, np.int16)


CLIPS = {"calling": constant(1000), "received": constant(2000)}


@pytest.fixture
def played() -> list[tuple[int, str]]:
    return []


@pytest.fixture
def mixer(played: list[tuple[int, str]]) -> Mixer:
    return Mixer(CLIPS.get, lambda number, name: played.append((number, name)))


def level(mixer: Mixer) -> int:
    return int(np.frombuffer(mixer.frame(), "<i2")[FRAME_SAMPLES // 2])


def after(mixer: Mixer, frames: int) -> int:
    for _ in range(frames):
        mixer.frame()
    return level(mixer)


def test_nothing_wanted_is_silence(mixer: Mixer) -> None:
    assert mixer.frame() == bytes(2 * FRAME_SAMPLES)


def test_a_prompt_is_said_and_said_again(mixer: Mixer) -> None:
    mixer.set_prompt("calling")
    heard = [level(mixer) > 0 for _ in range(int(2.5 * PROMPT_PERIOD_S * 50))]
    starts = [n for n in range(1, len(heard)) if heard[n] and not heard[n - 1]]
    assert heard[0]
    assert starts == [int(PROMPT_PERIOD_S * 50), int(2 * PROMPT_PERIOD_S * 50)]


def test_another_prompt_replaces_it_at_once_and_none_ends_it(mixer: Mixer) -> None:
    mixer.set_prompt("calling")
    after(mixer, 5)
    mixer.set_prompt("received")
    assert level(mixer) == 2000
    mixer.set_prompt(None)
    assert level(mixer) == 0


def test_the_same_prompt_wanted_again_does_not_start_over(mixer: Mixer) -> None:
    mixer.set_prompt("calling")
    after(mixer, 60)
    mixer.set_prompt("calling")
    assert level(mixer) == 0


def test_a_prompt_without_a_clip_is_silence(mixer: Mixer) -> None:
    mixer.set_prompt("no_such_words")
    assert level(mixer) == 0


def speak(hear: object, frames: int = 5, loud: int = 5000) -> None:
    hear(constant(loud, frames * 0.02).astype("<i2").tobytes())  # type: ignore[operator]


def test_the_operator_is_not_heard_before_voices_open_and_nothing_of_before_is_kept(mixer: Mixer) -> None:
    hear = mixer.voice_of("peer")
    speak(hear)
    assert after(mixer, 3) == 0
    mixer.open_voices(True)
    assert after(mixer, 3) == 0
    speak(hear)
    assert level(mixer) == 5000
    mixer.open_voices(False)
    assert level(mixer) == 0


def test_the_prompt_goes_down_under_the_operator(mixer: Mixer) -> None:
    mixer.set_prompt("calling")
    mixer.open_voices(True)
    hear = mixer.voice_of("peer")
    for _ in range(SETTLE_FRAMES):
        speak(hear, 1)
        mixer.frame()
    speak(hear, 2)
    assert level(mixer) == pytest.approx(5000 + PROMPT_UNDER_VOICE * 1000, abs=2)


def test_a_warning_goes_over_everything_once_and_is_reported(mixer: Mixer, played: list[tuple[int, str]]) -> None:
    mixer.set_prompt("calling")
    mixer.open_voices(True)
    hear = mixer.voice_of("peer")
    mixer.play_warning(7, "stay_back", constant(10_000, 1.0))
    for _ in range(SETTLE_FRAMES):
        speak(hear, 1)
        mixer.frame()
    speak(hear, 2)
    assert level(mixer) == pytest.approx(10_000 + VOICE_UNDER_WARNING * 5000, abs=2)
    assert played == []
    after(mixer, 60)
    assert played == [(7, "stay_back")]
    after(mixer, 60)
    assert played == [(7, "stay_back")]


def test_loud_on_loud_is_limited_not_wrapped(mixer: Mixer) -> None:
    mixer.open_voices(True)
    for name in ("a", "b", "c"):
        speak(mixer.voice_of(name), 5, 30_000)
    assert level(mixer) == 32767
    assert mixer.clipped_frames == 1


def test_a_peer_that_left_is_heard_no_more(mixer: Mixer) -> None:
    mixer.open_voices(True)
    speak(mixer.voice_of("peer"))
    mixer.forget("peer")
    assert level(mixer) == 0
