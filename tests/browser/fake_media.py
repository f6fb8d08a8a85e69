"""What the pretended unit sends: the simulated street as its picture, a 440 Hz tone as the caller."""

import asyncio
import fractions
import time
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack, VideoStreamTrack

RATE_HZ = 48000


class Picture(VideoStreamTrack):  # type: ignore[misc]
    def __init__(self, view: Callable[[int, int], Any]) -> None:
        super().__init__()
        self._view = view

    async def recv(self) -> av.VideoFrame:
        pts, base = await self.next_timestamp()
        view = await asyncio.to_thread(self._view, 640, 360)
        frame = av.VideoFrame.from_ndarray(view, format="rgb24")
        frame.pts, frame.time_base = pts, base
        return frame


class Nothing(VideoStreamTrack):  # type: ignore[misc]
    """A track on which no picture ever comes: the link has no room for one."""

    async def recv(self) -> av.VideoFrame:
        await asyncio.Event().wait()
        raise AssertionError


class Tone(MediaStreamTrack):  # type: ignore[misc]
    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._at = 0
        self._start_s = time.monotonic()

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(max(0.0, self._start_s + self._at / RATE_HZ - time.monotonic()))
        t = (np.arange(960) + self._at) / RATE_HZ
        samples = (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._at, fractions.Fraction(1, RATE_HZ)
        self._at += 960
        return frame
