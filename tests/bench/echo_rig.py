"""The near-end chain of a call on a simulated pole, in virtual time: two cards, each by its own clock with callbacks that
tremble, the product's gain, limiter and canceller, and the air between horn and microphone."""

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hw_sim.world.acoustics import BLOCK, RATE_HZ, Acoustics, Street, at_level
from unitd.call.voice.canceller import Canceller
from unitd.drivers.sound_echo import WebRtcModule

F32 = npt.NDArray[np.float32]
FRAME = 2 * BLOCK
HORN_PPM = -40.0
"""No card is right; the microphone's is `drift_ppm` faster than this."""

PRELUDE_FRAMES = 3000
"""The horn's card has been open since the unit started; a minute of that is enough. The microphone's is just opened."""


@dataclass
class Heard:
    """What one run gave: the operator's words, the caller's part at the microphone, the echo and all of the
    microphone's sound, and what went to the far end (all at 48 kHz, from the same instant)."""

    far: F32
    caller: F32
    echo: F32
    microphone: F32
    sent: F32


def run(
    street: Street, operator: F32, caller: F32, *, gain: object = None, canceller: Canceller | None = None
) -> Heard:
    """Play `operator` on the horn while `caller` (as the microphone hears it) speaks."""
    air, random = Acoustics(street), np.random.default_rng(street.seed + 7)
    canceller = canceller or Canceller(lambda: WebRtcModule(echo=False))
    frames = len(operator) // FRAME
    events: list[tuple[float, int, int]] = []
    for k in range(PRELUDE_FRAMES):
        late_s = abs(random.normal(0, street.jitter_ms / 1000))
        at_s = (k - PRELUDE_FRAMES) * FRAME / RATE_HZ / (1 + HORN_PPM * 1e-6) + late_s
        canceller.horn_clock.callback(FRAME, int((at_s + 100) * 1e9))
    horn_s = FRAME / RATE_HZ / (1 + HORN_PPM * 1e-6)
    mic_s = FRAME / RATE_HZ / (1 + (HORN_PPM + street.drift_ppm) * 1e-6)
    for k in range(frames):
        late = np.abs(random.normal(0, street.jitter_ms / 1000, 2))
        events.append((k * horn_s + late[0], 0, k))
        events.append(((k + 1) * mic_s + 0.007 + late[1], 1, k))
    heapq.heapify(events)
    echo, heard, sent = np.zeros_like(operator), np.zeros_like(operator), [np.zeros(0, np.float32)]
    while events:
        at_s, which, k = heapq.heappop(events)
        span = slice(k * FRAME, (k + 1) * FRAME)
        if which == 0:
            pcm = operator[span]
            if gain is not None:
                pcm = gain.frame(pcm)  # type: ignore[attr-defined]
            data = (np.clip(pcm, -1, 1) * 32767).astype("<i2").tobytes()
            for at in (0, BLOCK):
                air.play(np.frombuffer(data, "<i2")[at : at + BLOCK].astype(np.float32) / 32767)
            canceller.far(data, int((at_s + 100) * 1e9))
            continue
        for at in (0, BLOCK):
            part = slice(k * FRAME + at, k * FRAME + at + BLOCK)
            heard[part], echo[part] = air.hear(caller[part])
        data = (heard[span] * 32767).astype("<i2").tobytes()
        sent += [
            np.frombuffer(out, "<i2").astype(np.float32) / 32767
            for out in canceller.near(data, int((at_s + 100) * 1e9))
        ]
    out = np.concatenate(sent)
    whole = np.zeros_like(operator)
    whole[: min(len(out), len(whole))] = out[: len(whole)]
    return Heard(operator, caller, echo, heard, whole)


def speech_at(samples: F32, level_dba: float, seconds: float) -> F32:
    """Speech as the microphone hears it, repeated for `seconds`."""
    return np.resize(at_level(samples, level_dba), int(seconds * RATE_HZ))


def db(samples: F32) -> float:
    """Power in dB of full scale."""
    return float(10 * np.log10(np.mean(np.square(samples.astype(np.float64))) + 1e-14))
