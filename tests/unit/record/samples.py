"""Real H.264 for tests: a second is encoded once, then repeated with times that run on."""

import functools
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from unitd.messages.media import AccessUnit, StreamInfo

WIDTH, HEIGHT, FPS = 320, 180, 20
TICKS = 90_000 // FPS
INFO = StreamInfo("h264", WIDTH, HEIGHT, b"")


@functools.cache
def coded_second() -> tuple[tuple[bytes, bool], ...]:
    """FPS pictures, the first a keyframe with its parameter sets, as Annex B."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = WIDTH, HEIGHT
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, FPS)
    encoder.gop_size = FPS
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1"}
    noise = np.random.default_rng(7)
    packets = []
    for index in range(FPS):
        picture = noise.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        picture[:, index * 8 : index * 8 + 40] = 220
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return tuple((bytes(packet), bool(packet.is_keyframe)) for packet in packets if packet.size)


def units(count: int, *, first: int = 0, arrival_ns: int = 1_000_000_000_000) -> Iterator[AccessUnit]:
    """`count` access units from number `first` on, a keyframe each second, arriving in real time from `arrival_ns`."""
    second = coded_second()
    for number in range(first, first + count):
        data, keyframe = second[number % FPS]
        pts = 12_345 + number * TICKS
        yield AccessUnit(data, keyframe, pts, pts, arrival_ns + number * 1_000_000_000 // FPS)
