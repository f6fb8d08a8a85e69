"""H.265 out of RTP: single units, aggregates and fragments, keyframes and parameter sets; nonsense survived."""

import functools
import itertools
import struct
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_sim.devices.camera.h265 import payloads
from tests.unit.drivers.rtp_samples import TYPE, split
from unitd.drivers.h265_sps import read_sps
from unitd.drivers.rtp_clock import ReorderedError
from unitd.drivers.rtp_h265 import H265Depacketizer
from unitd.messages.media import AccessUnit

WIDTH, HEIGHT = 322, 182
"""No multiples of the coding block: the size is cropped."""


@functools.cache
def coded(between: int) -> tuple[tuple[bytes, int], ...]:
    """(Annex B, number of the picture) as coded, with so many B-frames between two others."""
    encoder = av.CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, 20)
    words = f"log-level=none:pools=1:frame-threads=1:repeat-headers=1:keyint=20:b-adapt=0:bframes={between}"
    encoder.options = {"preset": "ultrafast", "x265-params": words}
    packets = []
    for number in range(40):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return tuple((bytes(packet), int(packet.pts or 0)) for packet in packets)


def rtp(payload: bytes, sequence: int, timestamp: int, marker: bool) -> bytes:
    return struct.pack(">BBHII", 0x80, TYPE | marker << 7, sequence & 0xFFFF, timestamp % 2**32, 7) + payload


def packets(between: int, limit_bytes: int) -> list[list[bytes]]:
    groups, sequence = [], 65_500
    for data, number in coded(between):
        parts = payloads(tuple(split(data)), limit_bytes)
        groups.append([
            rtp(part, sequence + n, 2**32 - 9000 + number * 4500, n == len(parts) - 1) for n, part in enumerate(parts)
        ])  # fmt: skip
        sequence += len(parts)
    return groups


def pushed(depacketizer: H265Depacketizer, groups: list[list[bytes]]) -> list[AccessUnit]:
    return [
        unit for n, group in enumerate(groups) for packet in group for unit in depacketizer.push(packet, n * 50_000_000)
    ]


@pytest.mark.parametrize("between", [0, 2])
@pytest.mark.parametrize("limit_bytes", [60, 1400])
def test_pictures_come_whole_in_order_of_decoding_with_their_times(between: int, limit_bytes: int) -> None:
    depacketizer = H265Depacketizer(TYPE, [])
    units = pushed(depacketizer, packets(between, limit_bytes))
    assert [split(unit.data) for unit in units] == [split(data) for data, _ in coded(between)]
    numbers = [number for _, number in coded(between)]
    assert [unit.pts_90khz - units[0].pts_90khz for unit in units] == [4500 * (n - numbers[0]) for n in numbers]
    assert all(after.dts_90khz > before.dts_90khz for before, after in itertools.pairwise(units))
    assert all(unit.dts_90khz <= unit.pts_90khz for unit in units)
    assert units[0].keyframe
    assert sum(unit.keyframe for unit in units) == 2
    assert (depacketizer.damaged_units, depacketizer.mended_times) == (0, 0)


def test_the_size_is_cropped_and_the_reordering_is_said() -> None:
    for between in (0, 2):
        sps = next(unit for unit in split(coded(between)[0][0]) if unit[0] >> 1 == 33)
        read = read_sps(sps)
        assert (read.width, read.height) == (WIDTH, HEIGHT)
        assert bool(read.reorder) == bool(between)


def test_sets_of_the_description_go_before_a_bare_keyframe() -> None:
    data, _ = coded(0)[0]
    sets = [unit for unit in split(data) if unit[0] >> 1 in (32, 33, 34)]
    bare = tuple(unit for unit in split(data) if unit not in sets)
    depacketizer = H265Depacketizer(TYPE, list(reversed(sets)))
    parts = payloads(bare, 1400)
    found = [
        unit for n, part in enumerate(parts) for unit in depacketizer.push(rtp(part, n, 1, n == len(parts) - 1), 1)
    ]
    assert split(found[0].data)[:3] == sets


def test_a_lost_fragment_costs_its_picture_only() -> None:
    depacketizer, groups = H265Depacketizer(TYPE, []), packets(0, 60)
    large = next(n for n, group in enumerate(groups[25:], 25) if len(group) > 0)
    del groups[large][0]
    assert len(pushed(depacketizer, groups)) == 39
    assert depacketizer.lost_packets == 1


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 9000), st.binary(max_size=60)), max_size=20))
def test_nonsense_never_raises_anything_else(junk: list[tuple[int, int, bytes]]) -> None:
    depacketizer = H265Depacketizer(TYPE, [])
    try:
        for number, (head, timestamp, payload) in enumerate(junk):
            depacketizer.push(rtp(bytes([head, 1]) + payload, number, timestamp, bool(timestamp & 1)), number)
    except ReorderedError:
        return


@given(st.binary(max_size=80))
def test_a_damaged_parameter_set_is_a_value_error(data: bytes) -> None:
    try:
        read = read_sps(b"\x42\x01" + data)
    except ValueError:
        return
    assert 0 < read.width <= 16_384
    assert 0 < read.height <= 16_384
