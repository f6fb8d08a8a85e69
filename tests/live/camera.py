"""`record`'s live streams as a process of their own: `python -m tests.live.camera RUN_DIR`.

A street of noise that needs all of its bits, with the time code (hw_sim/world/timecode.py) drawn as the picture is
taken; constant bit rate, a keyframe each second. Says `ready` and runs until SIGTERM.
"""

from __future__ import annotations

import asyncio
import fractions
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import av
import cv2
import numpy as np

from hw_sim.world.timecode import draw_time_code
from tests.system.call_rig import HEADER, RecordEnd

NOISE_PICTURES = 8
NOISE_SIGMA = 3.0
NOISE_SEED = 7
STEP_PIXELS = 4


@dataclass(frozen=True)
class Stream:
    width: int
    height: int
    fps: int
    kbit_s: int


STREAMS = {"main": Stream(1280, 720, 20, 3000), "sub": Stream(640, 360, 10, 400)}
"""Main fits 4 Mbit/s with the voice and its overhead, and does not fit 2; sub does not fit 0.25."""


class StreetEncoder:
    """x264 as a camera runs it: no delay, one thread, a buffer of half a second."""

    def __init__(self, stream: Stream) -> None:
        self._codec: Any = av.CodecContext.create("libx264", "w")
        self._codec.width, self._codec.height = stream.width, stream.height
        self._codec.pix_fmt = "yuv420p"
        self._codec.framerate = stream.fps
        self._codec.time_base = fractions.Fraction(1, stream.fps)
        self._codec.gop_size = stream.fps
        self._codec.bit_rate = stream.kbit_s * 1000
        self._codec.thread_count = 1
        half = stream.kbit_s // 2
        self._codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": f"repeat-headers=1:annexb=1:scenecut=0:vbv-maxrate={stream.kbit_s}:vbv-bufsize={half}",
        }
        chance = np.random.default_rng(NOISE_SEED)
        coarse = chance.integers(40, 200, (stream.height // 40, stream.width // 40), np.uint8)
        self._street = cv2.resize(coarse, (stream.width, stream.height), interpolation=cv2.INTER_CUBIC)
        self._noise = [
            chance.normal(8, NOISE_SIGMA, (stream.height, stream.width)).clip(0, 16).astype(np.uint8)
            for _ in range(NOISE_PICTURES)
        ]
        self._grey = np.full((stream.height // 2, stream.width), 128, np.uint8)
        self._count = 0

    def next(self) -> tuple[bytes, bool]:
        """The next picture, taken now, and whether it is a keyframe."""
        rolled = np.roll(self._street, STEP_PIXELS * self._count, axis=1)
        luma = cv2.add(rolled, self._noise[self._count % NOISE_PICTURES])
        draw_time_code(np.asarray(luma, np.uint8), time.monotonic_ns())
        frame = av.VideoFrame.from_ndarray(np.vstack([luma, self._grey]), "yuv420p")
        frame.pts = self._count
        self._count += 1
        packet = self._codec.encode(frame)[0]
        return bytes(packet), packet.is_keyframe


class StreetRecord(RecordEnd):
    """`record.sock`, each stream encoded on a thread of its own."""

    SIZES: ClassVar = {name: (each.width, each.height) for name, each in STREAMS.items()}

    async def _film(self, camera: str, profile: str) -> None:
        stream, key = STREAMS[profile], f"{camera} {profile}"
        self._groups[key] = []
        encoder = StreetEncoder(stream)
        start_s, count = time.monotonic(), 0
        while True:
            taken_ns = time.monotonic_ns()
            data, keyframe = await asyncio.to_thread(encoder.next)
            message = HEADER.pack(len(data), int(keyframe), count * 90_000 // stream.fps, taken_ns) + data
            self._groups[key] = [message] if keyframe else [*self._groups[key], message]
            for writer, wanted in list(self._writers.items()):
                if wanted == key:
                    writer.write(message)
            count += 1
            await asyncio.sleep(max(0.0, start_s + count / stream.fps - time.monotonic()))


async def _run(run_dir: Path) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    record = StreetRecord(run_dir)
    await record.start()
    print("ready", flush=True)
    await ended.wait()
    await record.stop()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
