"""The sound driver against the virtual card: PyAudio, PortAudio and ALSA are the real ones."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hw_sim.devices.sound import VirtualSound
from hw_sim.operator.hearing import tone_db
from hw_sim.world.acoustics import Street
from unitd.drivers import sound as sound_driver
from unitd.drivers.sound import FRAME_BYTES, FRAME_SAMPLES, RATE_HZ, SoundCard

ALSA_OF_THE_MICROPHONE = """
pcm.usbmic {
  type pulse
  device mic
  hint { show on description "usbmic" }
}
"""


def wait(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


@pytest.fixture
def card(tmp_path: Path) -> Iterator[VirtualSound]:
    sound = VirtualSound(tmp_path)
    sound.start()
    before = {name: os.environ.get(name) for name in sound.env()}
    os.environ.update(sound.env())
    try:
        yield sound
    finally:
        sound.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Sound:
    """A driver with a tone of 700 Hz to play and a list of what it hears."""

    def __init__(self, microphone: str = "mic", horn: str = "horn") -> None:
        self.heard: list[bytes] = []
        self._count = 0
        self.card = SoundCard(microphone, horn, self.heard.append, self._tone)
        self.card.start()

    def _tone(self) -> bytes:
        at = self._count * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)
        self._count += 1
        return (16_384 * np.sin(2 * np.pi * 700 * at / RATE_HZ)).astype("<i2").tobytes()

    def states(self) -> tuple[str, str]:
        microphone, horn = self.card.states()
        return microphone.state, horn.state


@pytest.fixture
def sound(card: VirtualSound) -> Iterator[Sound]:
    made = Sound()
    try:
        yield made
    finally:
        made.card.close()


def test_nothing_is_opened_until_it_is_wanted(sound: Sound) -> None:
    assert sound.states() == ("closed", "closed")
    assert sound.heard == []


def test_both_ways_at_pace_and_undistorted(sound: Sound, card: VirtualSound) -> None:
    card.play_caller(440)
    sound.card.want(microphone=True, horn=True)
    wait(lambda: sound.states() == ("open", "open"), 5, "open")
    wait(lambda: len(sound.heard) > 0, 3, "a first frame")
    started_s, had = time.monotonic(), len(sound.heard)
    wait(lambda: len(sound.heard) >= had + 100, 4, "two seconds of sound")
    assert time.monotonic() - started_s == pytest.approx(2.0, abs=0.25)
    assert {len(frame) for frame in sound.heard} == {FRAME_BYTES}
    heard = np.frombuffer(b"".join(sound.heard[-50:]), np.int16)
    assert tone_db(heard, 440) == pytest.approx(-6, abs=1)
    assert asyncio.run(card.horn_tone_db(700)) == pytest.approx(-6, abs=1)
    assert sound.card.errors == 0


def test_a_microphone_that_is_not_wanted_is_closed_at_the_system(sound: Sound, card: VirtualSound) -> None:
    sound.card.want(microphone=True, horn=True)
    wait(lambda: len(sound.heard) > 5, 5, "frames")
    assert card.listeners() == 1
    sound.card.want(microphone=False, horn=True)
    wait(lambda: card.listeners() == 0, 3, "nobody listens")
    had = len(sound.heard)
    sound.card.want(microphone=True, horn=True)
    wait(lambda: len(sound.heard) > had, 3, "frames again")


def test_a_card_pulled_out_is_lost_and_found_again(sound: Sound, card: VirtualSound) -> None:
    sound.card.want(microphone=True, horn=True)
    wait(lambda: len(sound.heard) > 5, 5, "frames")
    card.unplug()
    wait(lambda: sound.states() == ("lost", "lost"), 5, "lost")
    wait(lambda: "no such device" in sound.card.states()[1].error, 5, "it says what is wrong")
    card.replug()
    wait(lambda: sound.states() == ("open", "open"), 10, "found again")
    had = len(sound.heard)
    wait(lambda: len(sound.heard) > had + 5, 3, "frames again")


def test_a_missing_device_is_named_with_those_there_are_and_hurts_not_the_other(card: VirtualSound) -> None:
    made = Sound(microphone="USB Microphone")
    try:
        made.card.want(microphone=True, horn=True)
        wait(lambda: made.states() == ("lost", "open"), 5, "one lost, one open")
        error = made.card.states()[0].error
        assert "'USB Microphone'" in error
        assert "'mic'" in error
        assert asyncio.run(card.horn_tone_db(700)) > -10
    finally:
        made.card.close()


def test_a_card_that_comes_back_while_the_other_one_plays_is_found(
    card: VirtualSound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "cards"
    listed.write_text("0 [horn]\n")
    monkeypatch.setattr(sound_driver, "CARDS", listed)
    made = Sound(microphone="usbmic")
    opened: list[bool] = []
    made.card._on_open = opened.append
    try:
        made.card.want(microphone=True, horn=True)
        wait(lambda: made.states() == ("lost", "open"), 5, "one lost, one open")
        conf = Path(os.environ["ALSA_CONFIG_PATH"])
        conf.write_text(conf.read_text() + ALSA_OF_THE_MICROPHONE)
        opened.clear()
        listed.write_text("0 [horn]\n1 [microphone]\n")
        wait(lambda: made.states() == ("open", "open"), 10, "found by name, and the horn plays again")
        assert set(opened) == {True, False}, "the canceller is told of both"
    finally:
        made.card.close()


def test_a_caller_who_speaks_live_is_heard(sound: Sound, card: VirtualSound) -> None:
    sound.card.want(microphone=True, horn=False)
    wait(lambda: len(sound.heard) > 5, 5, "frames")
    at = np.arange(FRAME_SAMPLES)
    loud = (16_384 * np.sin(2 * np.pi * 500 * at / RATE_HZ)).astype("<i2").tobytes()
    deadline = time.monotonic() + 4
    while tone_db(np.frombuffer(b"".join(sound.heard[-10:]), np.int16), 500) < -12:
        assert time.monotonic() < deadline, "not heard"
        card.write_caller_pcm(loud)
        time.sleep(0.018)


def test_the_microphone_hears_the_horn_when_there_is_air_between_them(sound: Sound, card: VirtualSound) -> None:
    def hears() -> bool:
        return tone_db(np.frombuffer(b"".join(sound.heard[-10:]), np.int16), 700) > -45

    sound.card.want(microphone=True, horn=True)
    wait(lambda: len(sound.heard) > 25, 5, "frames")
    assert not hears()
    card.start_air(Street(noise_dba=40.0, delay_ms=0.0))
    wait(hears, 8, "the horn at the microphone")
    card.stop_air()
    wait(lambda: not hears(), 5, "silence")


def test_a_listing_that_would_kill_the_process_is_a_lost_card(
    card: VirtualSound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PortAudio 19 aborts when every device can be opened and none is called `default`."""
    conf = tmp_path / "no-default.conf"
    text = Path(card.env()["ALSA_CONFIG_PATH"]).read_text()
    conf.write_text("".join("pcm." + part for part in text.split("pcm.")[1:] if not part.startswith("default")))
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(conf))
    made = Sound()
    try:
        made.card.want(microphone=True, horn=True)
        wait(lambda: made.states() == ("lost", "lost"), 5, "lost, and still alive")
        assert "crashes PortAudio" in made.card.states()[1].error
        monkeypatch.setenv("ALSA_CONFIG_PATH", card.env()["ALSA_CONFIG_PATH"])
        wait(lambda: made.states() == ("open", "open"), 10, "found when the configuration is mended")
    finally:
        made.card.close()
