"""The driver of WebRTC's audio processing beside the wheel's own client, and without the wheel."""

import ctypes
import importlib.util

import numpy as np
import pytest

from unitd.call.voice.canceller import Canceller
from unitd.drivers import sound_echo
from unitd.drivers.sound_echo import BLOCK_BYTES, WebRtcModule
from unitd.errors import DeviceError


def blocks(count: int, seed: int) -> list[bytes]:
    sound = np.random.default_rng(seed).standard_normal((count, BLOCK_BYTES // 2)) * 3000
    return [block.astype("<i2").tobytes() for block in sound]


def test_the_same_sound_as_by_the_wheels_own_client() -> None:
    from livekit import rtc

    theirs = rtc.AudioProcessingModule(echo_cancellation=True, noise_suppression=True, high_pass_filter=True)
    ours = WebRtcModule(echo=True)
    for far, near in zip(blocks(50, 1), blocks(50, 2), strict=True):
        frame = rtc.AudioFrame(bytearray(far), 48_000, 1, 480)
        theirs.process_reverse_stream(frame)
        theirs.set_stream_delay_ms(40)
        heard = rtc.AudioFrame(bytearray(near), 48_000, 1, 480)
        theirs.process_stream(heard)
        ours.far(far)
        ours.delay(40)
        assert ours.process(near) == bytes(heard.data.cast("b"))
    ours.close()


def test_a_steady_street_is_turned_down_by_ten_decibels_and_more() -> None:
    module = WebRtcModule(echo=False)
    heard = blocks(500, 3)
    out = [module.process(block) for block in heard]
    power = [np.mean(np.square(np.frombuffer(b"".join(each[400:]), "<i2").astype(float))) for each in (heard, out)]
    assert 10 * np.log10(power[0] / power[1]) > 10
    module.close()


def test_a_wrong_length_is_refused_before_it_reaches_the_library() -> None:
    module = WebRtcModule(echo=False)
    with pytest.raises((DeviceError, ValueError)):
        module.process(bytes(BLOCK_BYTES + 2))
    module.close()


def test_without_the_wheel_it_says_so_and_the_voice_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_echo, "_loaded", [])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(DeviceError, match="livekit is not installed"):
        WebRtcModule()
    canceller = Canceller(lambda: WebRtcModule(echo=False))
    sound = (3000 * np.random.default_rng(4).standard_normal(960)).astype("<i2").tobytes()
    out = [frame for k in range(20) for frame in canceller.near(sound, k * 20_000_000)]
    assert len(out) >= 18 and any(out[-1])
    assert "livekit" in canceller.trouble


def test_a_library_that_is_none_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_path: str) -> ctypes.CDLL:
        raise OSError("wrong ELF class")

    monkeypatch.setattr(sound_echo, "_loaded", [])
    monkeypatch.setattr(ctypes, "CDLL", none)
    with pytest.raises(DeviceError, match="wrong ELF class"):
        WebRtcModule()
