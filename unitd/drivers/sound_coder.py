"""G.711, G.726, G.722, Opus or bare samples made into AAC-LC, which every player of MP4 has. On the caller's thread.

Measured: see docs/adr/0011-camera-sound.md.
"""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from unitd.drivers.sdp_sound import Sound, audio_config
from unitd.messages.media import AudioInfo

BIT_RATE_A_CHANNEL = {True: 32_000, False: 64_000}
"""Of a telephone's band, and of more."""

SAMPLES = 1024
_MAX_STANDARD_HZ = 48_000


def coded_info(sound: Sound) -> AudioInfo:
    """What comes out. Raises ValueError at a rate that AAC does not have."""
    return AudioInfo("aac", sound.rate_hz, sound.channels, audio_config(sound.rate_hz, sound.channels))


class SoundCoder:
    """From one beginning of the sound on; a new one after a hole."""

    def __init__(self, sound: Sound) -> None:
        """Raises av.error.FFmpegError or ValueError when there is no such decoder."""
        layout = "stereo" if sound.channels == 2 else "mono"
        self._decoder: Any = _g726(sound) if sound.decoder.startswith("g726") else _plain(sound, layout)
        self._encoder: Any = av.CodecContext.create("aac", "w")
        self._encoder.sample_rate, self._encoder.layout, self._encoder.format = sound.rate_hz, layout, "fltp"
        self._encoder.time_base = Fraction(1, sound.rate_hz)
        self._encoder.bit_rate = BIT_RATE_A_CHANNEL[sound.rate_hz <= 16_000] * sound.channels
        self._resampler = av.AudioResampler("fltp", layout, sound.rate_hz, frame_size=SAMPLES)
        self.samples = 0

    def push(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(first sample, frame) of each frame of AAC that is whole; the first begins before sample 0: the encoder
        looks ahead. Raises av.error.FFmpegError."""
        for decoded in self._decoder.decode(av.Packet(data)):
            decoded.pts = self.samples
            decoded.time_base = self._encoder.time_base
            self.samples += decoded.samples
            yield from self._encode(decoded)

    def finish(self) -> Iterator[tuple[int, bytes]]:
        """What is still inside, filled up with silence; nothing may be pushed after it. Raises av.error.FFmpegError."""
        yield from self._encode(None)
        for packet in self._encoder.encode(None):
            yield int(packet.pts), bytes(packet)

    def _encode(self, decoded: Any) -> Iterator[tuple[int, bytes]]:
        for frame in self._resampler.resample(decoded):
            for packet in self._encoder.encode(frame) if frame is not None else ():
                yield int(packet.pts), bytes(packet)


def _plain(sound: Sound, layout: str) -> Any:
    decoder: Any = av.CodecContext.create(sound.decoder, "r")
    decoder.sample_rate, decoder.layout = sound.rate_hz, layout
    return decoder


def _g726(sound: Sound) -> Any:
    """Its decoder must know the bits a sample; PyAV tells them only by way of a file's head (AU for RFC 3551's order of
    bits, WAV for AAL2's)."""
    bits, rate_hz = sound.size_bits, sound.rate_hz
    some = bytes(64)
    if sound.decoder == "g726le":
        tag = {2: int.from_bytes(b"7262", "big"), 3: 25, 4: 23, 5: 26}[bits]
        data = struct.pack(">4s5I", b".snd", 28, 0xFFFFFFFF, tag, rate_hz, sound.channels) + bytes(4) + some
    else:
        form = struct.pack("<HHIIHH", 0x45, sound.channels, rate_hz, rate_hz * bits // 8, 1, bits)
        chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(some)) + some
        data = b"RIFF" + struct.pack("<I", len(chunks)) + chunks
    container = av.open(io.BytesIO(data), format="au" if sound.decoder == "g726le" else "wav")
    context = container.streams.audio[0].codec_context
    context.open()
    return _Held(container, context)


class _Held:
    """A decoder and the file that it belongs to."""

    def __init__(self, container: Any, context: Any) -> None:
        self._container = container
        self.decode = context.decode
