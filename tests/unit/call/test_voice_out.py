"""What the encoder is told, and what is left of the band then: the real libopus through GStreamer."""

import numpy as np
import pytest

from tests.live.speech import OPERATOR, sentences
from tests.live.voice import judge
from unitd.call.rtc.gst import Gst, buffer_of, bytes_of
from unitd.call.rtc.pipeline import FRAME_NS, PIPELINE, VOICE_RATE_HZ
from unitd.call.rtc.voice_out import LEAST_BIT_S, MOST_BIT_S, VoiceOut, opus_settings

RATES_BIT_S = (16_000, 20_000, 24_000, 28_000, 32_000)
FRAME = VOICE_RATE_HZ // 50


def test_a_rate_stays_in_its_bounds() -> None:
    assert opus_settings(1, False).bit_s == LEAST_BIT_S
    assert opus_settings(10**6, True).bit_s == MOST_BIT_S


def test_the_encoder_is_told_of_loss_where_there_is_some() -> None:
    assert opus_settings(32_000, True).loss_percent > 0
    assert opus_settings(32_000, False).loss_percent == 0


@pytest.mark.parametrize("is_lossy", [False, True])
@pytest.mark.parametrize("bit_s", RATES_BIT_S)
def test_seven_kilohertz_at_every_rate(bit_s: int, is_lossy: bool) -> None:
    """White noise in speech's rhythm through encoder and decoder: at 6.5 to 7.5 kHz no more than 6 dB are lost."""
    random = np.random.default_rng(7)
    noise = (2500 * random.standard_normal(2 * VOICE_RATE_HZ)).astype(np.int16)
    heard = _through(noise, bit_s, is_lossy)
    assert _band_db(heard, 6500, 7500) > _band_db(noise, 6500, 7500) - 6
    assert _band_db(heard, 1000, 2000) > _band_db(noise, 1000, 2000) - 6


@pytest.mark.parametrize("is_lossy", [False, True])
@pytest.mark.parametrize("bit_s", [16_000, 24_000, 32_000])
def test_words_are_clear_at_every_rate(bit_s: int, is_lossy: bool) -> None:
    words = sentences(OPERATOR[:2])
    heard = _through(words, bit_s, is_lossy)
    assert judge(words, heard[VOICE_RATE_HZ // 2 :]).stoi > 0.975


def _band_db(sound: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(sound[VOICE_RATE_HZ // 2 :].astype(float))) ** 2
    hz = np.fft.rfftfreq(len(sound[VOICE_RATE_HZ // 2 :]), 1 / VOICE_RATE_HZ)
    return float(10 * np.log10(np.mean(power[(hz >= low_hz) & (hz < high_hz)])))


def _through(sound: np.ndarray, bit_s: int, is_lossy: bool = False) -> np.ndarray:
    encoder = next(part for part in PIPELINE.split("!") if part.strip().startswith("opusenc"))
    pipeline = Gst.parse_launch(
        f"appsrc name=voice format=time caps=audio/x-raw,format=S16LE,rate={VOICE_RATE_HZ},channels=1"
        ",layout=interleaved"
        f" ! {encoder} ! valve name=voice_gate ! opusdec ! audio/x-raw,format=S16LE,rate={VOICE_RATE_HZ},channels=1"
        " ! appsink name=ear sync=false"
    )
    out = VoiceOut(lambda: 0)
    out.attach(pipeline)
    out.set_rate(bit_s, is_lossy)
    pipeline.set_state(Gst.State.PLAYING)
    source = pipeline.get_by_name("voice")
    for index in range(len(sound) // FRAME):
        piece = sound[index * FRAME : (index + 1) * FRAME].tobytes()
        source.emit("push-buffer", buffer_of(piece, index * FRAME_NS, FRAME_NS))
    source.emit("end-of-stream")
    ear, heard = pipeline.get_by_name("ear"), b""
    while (sample := ear.emit("pull-sample")) is not None:
        heard += bytes_of(sample.get_buffer())
    pipeline.set_state(Gst.State.NULL)
    return np.frombuffer(heard, np.int16)


def test_times_are_whole_frames_apart_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    times, now_s = [], [100.0]
    out = VoiceOut(lambda: 1_234_567_890)
    out._source = out._gate = _Sink(times)
    monkeypatch.setattr("unitd.call.rtc.voice_out.time.monotonic", lambda: now_s[0])
    out.open()
    for index in range(2000):
        now_s[0] += 0.0203 if index != 1000 else 1.0  # a slow card; once the process stood still
        out.push(bytes(2 * FRAME))
    steps = np.diff(times)
    assert set(steps) == {FRAME_NS, 51 * FRAME_NS}
    assert times[0] % FRAME_NS == 0


class _Sink:
    def __init__(self, times: list[int]) -> None:
        self._times = times

    def set_property(self, *_: object) -> None:
        pass

    waiting_bytes = 0

    def push(self, _data: bytes, pts_ns: int, duration_ns: int) -> None:
        assert duration_ns == FRAME_NS
        self._times.append(pts_ns)
