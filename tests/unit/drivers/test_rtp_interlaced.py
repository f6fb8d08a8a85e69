"""Interlaced H.264: both fields of a picture are one unit, however a camera sends them."""

import itertools
from fractions import Fraction

import av
import pytest

from tests.unit.drivers.rtp_samples import packets, split
from unitd.drivers.h264_sps import read_sps
from unitd.drivers.rtp_h264 import SPS, Depacketizer
from unitd.messages.media import AccessUnit

WIDTH, HEIGHT = 320, 180
MARKER = 0x80


def coded(count: int) -> list[bytes]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, 25)
    options = "annexb=1:repeat-headers=1:interlaced=1:keyint=10:bframes=0"
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": options}
    found = []
    for number in range(count):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        frame.pts = number
        found += [bytes(packet) for packet in encoder.encode(frame)]
    return found


def test_the_size_is_the_whole_pictures() -> None:
    sps = next(unit for unit in split(coded(1)[0]) if unit[0] & 0x1F == SPS)
    read = read_sps(sps)
    assert (read.width, read.height, read.interlaced) == (WIDTH, HEIGHT, True)


def both_fields(data: bytes) -> bytes:
    """The picture as one in two fields: its slice twice, the second no IDR (as the second field of one is not)."""
    slices = [unit for unit in split(data) if unit[0] & 0x1F in (1, 5)]
    return data + b"".join(b"\0\0\0\1" + bytes([unit[0] & 0xE0 | 1]) + unit[1:] for unit in slices)


@pytest.mark.parametrize("fields", [1, 2])
@pytest.mark.parametrize("markers", ["at the end", "after each field"])
def test_a_picture_is_one_unit(fields: int, markers: str) -> None:
    stream, sequence, units = Depacketizer(96, []), 65_500, list[AccessUnit]()
    for number, data in enumerate(coded(30)):
        whole = both_fields(data) if fields == 2 else data
        group = packets(whole, sequence, 2**32 - 9000 + number * 3600)
        sequence += len(group)
        if markers == "after each field":
            half = len(packets(data, 0, 0)) - 1
            group[half] = group[half][:1] + bytes([group[half][1] | MARKER]) + group[half][2:]
        for packet in group:
            units += stream.push(packet, number * 40_000_000)
    assert len(units) == 29  # the last is whole when the next begins
    assert {after.pts_90khz - before.pts_90khz for before, after in itertools.pairwise(units)} == {3600}
    assert [unit.keyframe for unit in units[::10]] == [True, True, True]
    assert stream.mended_times == stream.damaged_units == 0
    assert all(sum(part[0] & 0x1F in (1, 5) for part in split(unit.data)) == fields for unit in units)
