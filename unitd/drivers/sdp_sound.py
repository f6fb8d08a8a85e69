"""The sound in a camera's session description (RFC 4566; AAC: RFC 3640 and 6416; G.711, G.726: RFC 3551). Pure."""

import re
from dataclasses import dataclass

from unitd.drivers.sdp import attributes_of, control_of

_STATIC = {
    0: ("PCMU", 8000, 1),
    8: ("PCMA", 8000, 1),
    9: ("G722", 8000, 1),
    10: ("L16", 44_100, 2),
    11: ("L16", 44_100, 1),
}
_DECODERS = {
    "PCMU": "pcm_mulaw",
    "PCMA": "pcm_alaw",
    "G722": "g722",
    "L16": "pcm_s16be",
    "OPUS": "libopus",
    "G726-16": "g726le",
    "G726-24": "g726le",
    "G726-32": "g726le",
    "G726-40": "g726le",
    "AAL2-G726-16": "g726",
    "AAL2-G726-24": "g726",
    "AAL2-G726-32": "g726",
    "AAL2-G726-40": "g726",
}
_MAX_CONFIG_BYTES = 64
AAC_SAMPLES = 1024


@dataclass(frozen=True)
class Sound:
    """Where the sound is asked for and how it comes.

    `packing`: "generic" (RFC 3640), "latm" (RFC 6416) or "plain". `decoder` is FFmpeg's name, "" for AAC, which is
    copied. `clock_hz` is RTP's, `rate_hz` the samples'. `config` is the AudioSpecificConfig of AAC.
    """

    control: str
    payload_type: int
    packing: str
    decoder: str
    clock_hz: int
    rate_hz: int
    channels: int
    config: bytes = b""
    size_bits: int = 13
    index_bits: int = 3
    delta_bits: int = 3

    @property
    def frame_ticks(self) -> int:
        """RTP time of a frame of AAC: with SBR the clock may be that of the doubled rate (RFC 3640, 3.3.6)."""
        return round(AAC_SAMPLES * self.clock_hz / self.rate_hz)


def parse_sound(text: str) -> Sound | None:
    """The first sound that can be kept, or None. Never raises."""
    _, *blocks = re.split(r"(?m)^\s*m=", text.replace("\r\n", "\n").replace("\r", "\n"))
    for block in blocks:
        media = re.match(r"(?i)audio\s+\S+\s+\S+\s+(\d{1,3})\b", block, re.ASCII)
        if media is None:
            continue
        attributes, number = attributes_of(block), int(media[1])
        name, clock_hz, channels = _STATIC.get(number, ("", 0, 1))
        for attribute in attributes:
            mapped = re.match(rf"(?i)rtpmap:\s*{number}\s+([\w.-]+)/(\d{{4,6}})(?:/(\d))?", attribute, re.ASCII)
            if mapped is not None:
                name, clock_hz, channels = mapped[1].upper(), int(mapped[2]), int(mapped[3] or 1)
        formats = " ".join(a for a in attributes if re.match(rf"(?i)fmtp:\s*{number}\b", a))
        sound = _understood(name, clock_hz, channels, formats, control_of(attributes), number)
        if sound is not None:
            return sound
    return None


def _understood(name: str, clock_hz: int, channels: int, formats: str, control: str, number: int) -> Sound | None:
    if not 4000 <= clock_hz <= 96_000 or channels not in (1, 2):
        return None
    if name in _DECODERS:
        if name == "OPUS":  # always announced as two channels (RFC 7587, 7)
            channels = 2 if re.search(r"(?i)\bstereo\s*=\s*1\b", formats) else 1
        rate_hz = 16_000 if name == "G722" else clock_hz  # RFC 3551, 4.5.2
        return Sound(control, number, "plain", _DECODERS[name], clock_hz, rate_hz, channels, size_bits=_bits(name))
    if name == "MPEG4-GENERIC":
        return _generic(clock_hz, formats, control, number)
    if name == "MP4A-LATM" and re.search(r"(?i)cpresent\s*=\s*0", formats):
        config = _latm_config(_hex(formats))
        described = read_audio_config(config)
        if described is not None:
            return Sound(control, number, "latm", "", clock_hz, described[0], described[1], config)
    return None


def _bits(name: str) -> int:
    """Bits a sample of G.726, which its decoder must be told."""
    rate = re.search(r"-(\d\d)$", name)
    return int(rate[1]) // 8 if rate else 0


def _generic(clock_hz: int, formats: str, control: str, number: int) -> Sound | None:
    mode = re.search(r"(?i)\bmode\s*=\s*AAC-([hl])br", formats)
    config = _hex(formats)
    described = read_audio_config(config)
    if described is None:
        return None
    low = mode is not None and mode[1].lower() == "l"
    defaults = {"sizelength": 6 if low else 13, "indexlength": 2 if low else 3, "indexdeltalength": 2 if low else 3}
    widths = []
    for field, default in defaults.items():
        found = re.search(rf"(?i)\b{field}\s*=\s*(\d{{1,2}})\b", formats, re.ASCII)
        widths.append(int(found[1]) if found else default)
    if not 1 <= widths[0] <= 16 or max(widths[1:]) > 16:
        return None
    return Sound(control, number, "generic", "", clock_hz, described[0], described[1], config, *widths)


def _hex(formats: str) -> bytes:
    found = re.search(r"(?i)\bconfig\s*=\s*\"?([0-9a-f]+)", formats)
    text = found[1] if found else ""
    return bytes.fromhex(text[: len(text) // 2 * 2])[:_MAX_CONFIG_BYTES]


_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350)


def read_audio_config(config: bytes) -> tuple[int, int] | None:
    """(samples a second, channels) of an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1); None when it is none of AAC's
    with one or two channels."""
    if len(config) < 2:
        return None
    value, width = int.from_bytes(config, "big"), 8 * len(config)

    def take(at: int, count: int) -> int:
        return value >> (width - at - count) & ((1 << count) - 1) if at + count <= width else 0

    kind, index, at = take(0, 5), take(5, 4), 9
    if kind not in (2, 5, 29):
        return None
    if index == 15:
        rate_hz, at = take(9, 24), 33
    elif index < len(_RATES_HZ):
        rate_hz = _RATES_HZ[index]
    else:
        return None
    channels = take(at, 4)
    return (rate_hz, channels) if channels in (1, 2) and 4000 <= rate_hz <= 96_000 else None


def audio_config(rate_hz: int, channels: int) -> bytes:
    """The AudioSpecificConfig of AAC-LC at one of the standard rates. Raises ValueError at another."""
    return (2 << 11 | _RATES_HZ.index(rate_hz) << 7 | channels << 3).to_bytes(2, "big")


def _latm_config(mux: bytes) -> bytes:
    """The AudioSpecificConfig in a StreamMuxConfig of one program and layer, frames one by one (1.7.3.1); b"" else."""
    value, width = int.from_bytes(mux, "big"), 8 * len(mux)
    if width < 31 or value >> (width - 15) != 0b0_1_000000_0000_000:
        return b""
    rest = value & ((1 << (width - 15)) - 1)
    left = width - 15
    return (rest << (-left % 8)).to_bytes((left + 7) // 8, "big")[:2]
