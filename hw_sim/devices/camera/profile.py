"""The streams a camera offers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Codec = Literal["h264", "h265"]


@dataclass(frozen=True, slots=True)
class VideoProfile:
    """One stream, served at `/<name>`."""

    name: str
    width: int
    height: int
    frame_rate: int
    bit_rate: int
    """Target, bits a second; reached with the simulated sensor's noise, about met at its peaks."""
    keyframe_every_s: int = 1
    codec: Codec = "h264"
    b_frames: int = 0
    """Pictures between two that are sent before them."""
    key_at_play: bool = True
    """Whether a client that begins gets a keyframe at once; many cameras let it wait for the next one."""

    def __post_init__(self) -> None:
        """ValueError when an encoder could not make it."""
        if self.width % 2 or self.height % 2 or not 16 <= self.width <= 4096 or not 16 <= self.height <= 4096:
            raise ValueError(f"profile {self.name}: size {self.width}x{self.height} must be even, 16 to 4096")
        if not 1 <= self.frame_rate <= 60:
            raise ValueError(f"profile {self.name}: frame rate {self.frame_rate} must be 1 to 60")


DEFAULT_PROFILES = (
    VideoProfile("main", 1280, 720, 20, 2_000_000),
    VideoProfile("sub", 640, 360, 10, 300_000),
)
"""What a demonstration shows; about a quarter of one 2020s core."""

TEST_PROFILES = (
    VideoProfile("main", 640, 360, 20, 800_000),
    VideoProfile("sub", 320, 180, 10, 150_000),
)
"""What tests use, to spare the machine."""

_SPEC = re.compile(r"(\d+)x(\d+)@(\d+)(?::(\d+))?")


def parse_profile(name: str, spec: str) -> VideoProfile:
    """A profile from `1280x720@20:2000000`; without a bit rate, 0.1 bit a pixel. ValueError when malformed."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise ValueError(f"profile {name}: {spec!r} is not WIDTHxHEIGHT@RATE[:BITS_A_SECOND]")
    width, height, rate = (int(match[index]) for index in (1, 2, 3))
    return VideoProfile(name, width, height, rate, int(match[4]) if match[4] else width * height * rate // 10)
