"""The pictures in a camera's session description (RFC 4566; H.264: RFC 6184, H.265: RFC 7798). Pure."""

import base64
import re
from dataclasses import dataclass

from unitd.drivers.rtsp_wire import UnsupportedStreamError

_CODECS = {"H264": "h264", "H265": "hevc", "HEVC": "hevc"}
_SPROPS = {
    "h264": re.compile(r"(?i)sprop-parameter-sets\s*=\s*([^;\s]+)"),
    "hevc": re.compile(r"(?i)sprop-[vsp]ps\s*=\s*([^;\s]+)"),
}
_ABSOLUTE = re.compile(r"(?i)rtspu?s?://")


@dataclass(frozen=True)
class Video:
    """Where the stream is asked for and how it comes; `session_control` is the whole session's, often "" or "*"."""

    control: str
    payload_type: int
    parameter_sets: tuple[bytes, ...]
    session_control: str = ""
    codec: str = "h264"


def parse_sdp(text: str) -> Video:
    """The first H.264 or H.265 stream. Raises UnsupportedStreamError when there is none that our own client reads."""
    head, *blocks = re.split(r"(?m)^\s*m=", text.replace("\r\n", "\n").replace("\r", "\n"))
    other = ""
    for block in blocks:
        if not block.lower().startswith("video"):
            continue
        attributes = attributes_of(block)
        for attribute in attributes:
            mapped = re.match(r"(?i)rtpmap:\s*(\d{1,3})\s+([\w.-]+)(?:/(\d+))?", attribute, re.ASCII)
            if mapped is None:
                continue
            codec = _CODECS.get(mapped[2].upper(), "")
            if not codec or mapped[3] not in ("90000", None):  # some leave out the only rate that there is
                other = mapped[2]
                continue
            formats = " ".join(a for a in attributes if re.match(rf"(?i)fmtp:\s*{mapped[1]}\b", a))
            if re.search(r"(?i)(packetization-mode\s*=\s*[2-9]|sprop-max-don-diff\s*=\s*[1-9])", formats):
                raise UnsupportedStreamError(f"{mapped[2]} in interleaved mode")
            return Video(
                control_of(attributes),
                int(mapped[1]),
                _parameter_sets(formats, codec),
                control_of(attributes_of(head)),
                codec,
            )
    raise UnsupportedStreamError(
        f"the video is {other[:20]}" if other else "no H.264 or H.265 video in the description"
    )


def resolve(base: str, control: str) -> str:
    """The address that a control attribute means, as cameras mean it: appended, not resolved (RFC 2326, C.1.1)."""
    if _ABSOLUTE.match(control):
        return control
    if control in ("", "*"):
        return base
    return base + ("" if base.endswith("/") else "/") + control.lstrip("/")


def is_absolute(url: str) -> bool:
    return _ABSOLUTE.match(url) is not None


def attributes_of(block: str) -> list[str]:
    return [line.strip()[2:].strip() for line in block.split("\n") if line.strip().startswith("a=")]


def control_of(attributes: list[str]) -> str:
    return next((a[8:].strip() for a in attributes if a.lower().startswith("control:")), "")


def _parameter_sets(formats: str, codec: str) -> tuple[bytes, ...]:
    """The sets, without start codes and without the padding that some cameras leave out or put in."""
    found = []
    for part in ",".join(_SPROPS[codec].findall(formats)).split(","):
        try:
            data = base64.b64decode(part.rstrip("=") + "=" * (-len(part.rstrip("=")) % 4), validate=True)
        except ValueError:
            continue
        unit = data.lstrip(b"\x00")[1:] if data[:3] == b"\x00\x00\x00" or data[:3] == b"\x00\x00\x01" else data
        if unit and _is_set(unit[0], codec):
            found.append(unit)
    return tuple(found)


def _is_set(head: int, codec: str) -> bool:
    return head & 0x1F in (7, 8) if codec == "h264" else head >> 1 & 0x3F in (32, 33, 34)
