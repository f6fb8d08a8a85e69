"""Pictures that say which they are: tiny real H.264, each unit with its stream and number in an SEI message.

So a sample that is found in a file can be told from every other one that was fed, and a changed one from all of them.
"""

import functools
import re
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np

from unitd.messages.media import AccessUnit, StreamInfo

SIZE, FPS = 64, 5
TICKS = 90_000 // FPS
INFO = StreamInfo("h264", SIZE, SIZE, b"")
UNIT_NS = 1_000_000_000 // FPS
FILLER_BYTES = 2000
_MARK = b"unitd-crash-unit"
_TAG = re.compile(rb"unitd-crash-unit([a-z0-9]{1,8})#(\d{6});")


@functools.cache
def _coded_second() -> tuple[tuple[bytes, bool], ...]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width = encoder.height = SIZE
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, FPS)
    encoder.gop_size = FPS
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1"}
    packets = []
    for index in range(FPS):
        picture = np.full((SIZE, SIZE, 3), 20 * index, dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return tuple((bytes(packet), bool(packet.is_keyframe)) for packet in packets if packet.size)


def unit(stream: str, number: int, arrival_ns: int, session_first: int = 0) -> AccessUnit:
    """Picture `number` of `stream`; a keyframe each second of its session, which began with `session_first`."""
    pts = 12_345 + number * TICKS
    return AccessUnit(*_data(stream, number, (number - session_first) % FPS), pts, pts, arrival_ns)


@functools.cache
def _data(stream: str, number: int, in_second: int) -> tuple[bytes, bool]:
    data, keyframe = _coded_second()[in_second]
    text = _MARK + f"{stream}#{number:06d};".encode() + b"." * FILLER_BYTES
    size = len(text)
    sei = b"\x00\x00\x00\x01\x06\x05" + b"\xff" * (size // 255) + bytes([size % 255]) + text + b"\x80"
    return data + sei, keyframe


@functools.cache
def essence(data: bytes) -> tuple[bytes, ...]:
    """The NAL units of an Annex B unit, without the parameter sets, which a file may keep elsewhere."""
    nals = [nal.rstrip(b"\x00") for nal in re.split(rb"\x00\x00\x01", data) if nal.strip(b"\x00")]
    return tuple(nal for nal in nals if nal[0] & 0x1F not in (7, 8, 9))


def _of_sample(data: bytes) -> tuple[bytes, ...]:
    nals, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        nals.append(data[at + 4 : at + 4 + size].rstrip(b"\x00"))
        at += 4 + size
    return tuple(nal for nal in nals if nal and nal[0] & 0x1F not in (7, 8, 9))


def samples(file: BinaryIO, stream: str) -> list[tuple[int, bytes]]:
    """What a player finds in a file, in its order: each picture's number, and its bytes.

    Raises AssertionError for one that says that it is another stream's, or does not say which it is.
    """
    with av.open(file, "r") as container:
        found = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    numbered = []
    for sample in found:
        tag = _TAG.search(sample)
        assert tag is not None, "a sample that nobody fed"
        assert tag[1].decode() == stream, "a picture of another camera"
        numbered.append((int(tag[2]), sample))
    return numbered


def is_fed(stream: str, number: int, sample: bytes) -> bool:
    """Whether it is, to the last bit, what was fed."""
    return any(_of_sample(sample) == essence(unit(stream, number, 0, first).data) for first in range(FPS))


def torn_samples(file: BinaryIO) -> list[bytes]:
    """What a player finds in a file whose end is torn, as it is; nothing when it refuses the file."""
    try:
        with av.open(file, "r") as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]
    except (av.error.FFmpegError, IndexError):
        return []


def is_part_of_fed(stream: str, number: int, sample: bytes) -> bool:
    """Whether it is a beginning of what was fed, with nothing behind it but zeros."""
    got = _of_sample(sample.rstrip(b"\0"))
    for first in range(FPS):
        nals = essence(unit(stream, number, 0, first).data)
        if not got:
            return True
        if len(got) <= len(nals) and got[:-1] == nals[: len(got) - 1] and nals[len(got) - 1].startswith(got[-1]):
            return True
    return False
