"""The operator's voice: a sine on an aiortc track, or silence."""

from __future__ import annotations

import asyncio
import fractions
import time

import av
import numpy as np
from aiortc import MediaStreamTrack

from hw_sim.operator.hearing import RATE_HZ

FRAME_SAMPLES = RATE_HZ // 50


class VoiceTrack(MediaStreamTrack):
    """20 ms frames at their own pace; `speak(freq_hz)` makes them a tone of -6 dB, `speak(None)` silence again."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._freq_hz: float | None = None
        self._count = 0
        self._start_s = 0.0

    def speak(self, freq_hz: float | None) -> None:
        self._freq_hz = freq_hz

    async def recv(self) -> av.AudioFrame:
        if self._count == 0:
            self._start_s = time.monotonic()
        due_s = self._start_s + self._count * 0.02
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        at = self._count * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)
        if self._freq_hz is None:
            samples = np.zeros(FRAME_SAMPLES, np.int16)
        else:
            samples = (16384 * np.sin(2 * np.pi * self._freq_hz * at / RATE_HZ)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._count * FRAME_SAMPLES
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self._count += 1
        return frame
