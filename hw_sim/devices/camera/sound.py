"""The camera's microphone: a beep at each whole second of the monotonic clock, as AAC or G.711 in RTP."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np

from hw_sim.devices.camera.client import Sink

SoundCodec = Literal["none", "aac", "pcma", "pcmu", "opus"]
BEEP_HZ = 1000
BEEP_S = 0.1
_LOUD = 12_000
_REPORT_EVERY_S = 2.0

_RATES_HZ: dict[str, int] = {"aac": 16_000, "pcma": 8000, "pcmu": 8000, "opus": 48_000}
_TYPES = {"aac": 97, "pcma": 8, "pcmu": 0, "opus": 97}
_ENCODERS = {"aac": "aac", "pcma": "pcm_alaw", "pcmu": "pcm_mulaw", "opus": "libopus"}


def describe(codec: SoundCodec, track: str) -> list[str]:
    """The lines of the session description."""
    number = _TYPES[codec]
    lines = [f"m=audio 0 RTP/AVP {number}"]
    if codec == "aac":
        config = (2 << 11 | 8 << 7 | 1 << 3).to_bytes(2, "big").hex()
        lines.append(f"a=rtpmap:{number} MPEG4-GENERIC/16000/1")
        lines.append(
            f"a=fmtp:{number} streamtype=5;profile-level-id=15;mode=AAC-hbr;config={config};"
            "sizeLength=13;indexLength=3;indexDeltaLength=3"
        )
    elif codec == "opus":
        lines.append(f"a=rtpmap:{number} opus/48000/2")
    return [*lines, f"a=control:{track}"]


class SoundStream:
    """One client's sound. `run` sends until cancelled."""

    def __init__(self, codec: SoundCodec, sink: Sink) -> None:
        self.sink = sink
        self.ssrc = secrets.randbits(32)
        self._codec, self._rate_hz = codec, _RATES_HZ[codec]
        self._sequence, self._offset = secrets.randbits(16), secrets.randbits(32)
        self._samples = 960 if codec == "opus" else 1024 if codec == "aac" else 160
        encoder: Any = av.CodecContext.create(_ENCODERS[codec], "w")
        self._encoder = encoder
        self._encoder.sample_rate, self._encoder.layout = self._rate_hz, "mono"
        self._encoder.format = "fltp" if codec == "aac" else "s16"
        self._encoder.time_base = Fraction(1, self._rate_hz)

    async def run(self) -> None:
        """Ends by ConnectionError when the client is gone."""
        began_ns, sent, reported_s = time.monotonic_ns(), 0, 0.0
        while True:
            taken_ns = began_ns + sent * 1_000_000_000 // self._rate_hz
            await asyncio.sleep(max(0.0, (taken_ns - time.monotonic_ns()) / 1e9 + self._samples / self._rate_hz))
            if time.monotonic() - reported_s > _REPORT_EVERY_S:
                reported_s = time.monotonic()
                self.sink.control(self._report(time.monotonic_ns(), time.time_ns()))
            with contextlib.suppress(av.error.FFmpegError):
                await self.sink.send([self._packet(data, at_ns) for data, at_ns in self._coded(taken_ns, sent)])
            sent += self._samples

    def _coded(self, taken_ns: int, first: int) -> Iterator[tuple[bytes, int]]:
        at_s = taken_ns / 1e9 + np.arange(self._samples) / self._rate_hz
        wave = np.where(at_s % 1.0 < BEEP_S, np.sin(2 * np.pi * BEEP_HZ * at_s), 0.0)
        loud = wave * _LOUD
        samples = (loud / 32_768).astype(np.float32) if self._codec == "aac" else loud.astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format=self._encoder.format.name, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = self._rate_hz, first, Fraction(1, self._rate_hz)
        for packet in self._encoder.encode(frame):
            yield bytes(packet), taken_ns + (int(packet.pts) - first) * 1_000_000_000 // self._rate_hz

    def _timestamp(self, mono_ns: int) -> int:
        return (self._offset + mono_ns * self._rate_hz // 1_000_000_000) & 0xFFFFFFFF

    def _packet(self, data: bytes, mono_ns: int) -> bytes:
        second = 0x80 | _TYPES[self._codec]
        head = struct.pack(">BBHII", 0x80, second, self._sequence, self._timestamp(mono_ns), self.ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return head + (struct.pack(">HH", 16, len(data) << 3) if self._codec == "aac" else b"") + data

    def _report(self, mono_ns: int, unix_ns: int) -> bytes:
        ntp = (unix_ns << 32) // 1_000_000_000 + (2_208_988_800 << 32)
        return struct.pack(
            ">BBHIQIII", 0x80, 200, 6, self.ssrc, ntp & 0xFFFFFFFFFFFFFFFF, self._timestamp(mono_ns), 0, 0
        )
