"""RTP to access units: whole at the marker, damage dropped and counted, nonsense survived."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.drivers.rtp_samples import TYPE, packets, split
from tests.unit.record.samples import HEIGHT, WIDTH, coded_second
from unitd.drivers.h264_sps import picture_size
from unitd.drivers.rtp_h264 import Depacketizer, ReorderedError
from unitd.drivers.rtsp_wire import RtspError
from unitd.drivers.sdp import Video, parse_sdp
from unitd.messages.media import AccessUnit

def stream(count: int = 20, sequence: int = 65_500, timestamp: int = 2**32 - 9000) -> list[list[bytes]]:
    found = []
    for data, _ in coded_second()[:count]:
        found.append(packets(data, sequence, timestamp))
        sequence += len(found[-1])
        timestamp += 4500
    return found


def test_each_unit_is_whole_with_its_marker_across_both_wraps() -> None:
    depacketizer = Depacketizer(TYPE, [])
    units: list[AccessUnit] = []
    for group in stream():
        for packet in group[:-1]:
            assert depacketizer.push(packet, 1) == []
        units += depacketizer.push(group[-1], 1)
    assert [split(unit.data) for unit in units] == [split(data) for data, _ in coded_second()]
    assert [unit.keyframe for unit in units] == [True] + [False] * 19
    assert [unit.pts_90khz - units[0].pts_90khz for unit in units] == [4500 * n for n in range(20)]
    assert depacketizer.lost_packets == 0


def test_a_lost_packet_costs_its_unit_only() -> None:
    depacketizer = Depacketizer(TYPE, [])
    groups = stream()
    del groups[7][len(groups[7]) // 2]
    units = [unit for group in groups for packet in group for unit in depacketizer.push(packet, 1)]
    assert len(units) == 19
    assert (depacketizer.damaged_units, depacketizer.lost_packets) == (1, 1)


def test_a_lost_marker_delays_its_unit_only() -> None:
    depacketizer = Depacketizer(TYPE, [])
    groups = stream(3)
    groups[1][-1] = bytes([groups[1][-1][0], groups[1][-1][1] & 0x7F]) + groups[1][-1][2:]
    units = [unit for group in groups for packet in group for unit in depacketizer.push(packet, 1)]
    assert len(units) == 3


def test_parameter_sets_of_the_description_go_before_each_keyframe() -> None:
    data, _ = coded_second()[0]
    sets = [unit for unit in split(data) if unit[0] & 0x1F in (7, 8)]
    bare = b"".join(b"\0\0\0\1" + unit for unit in split(data) if unit not in sets)
    depacketizer = Depacketizer(TYPE, sets)
    units = [unit for packet in packets(bare, 1, 1) for unit in depacketizer.push(packet, 1)]
    assert split(units[0].data)[:2] == sets
    assert picture_size(sets[0]) == (WIDTH, HEIGHT)


def test_several_units_in_one_packet_are_taken_apart() -> None:
    small = [b"\x67\x42\x00\x1e", b"\x68\xce", b"\x65\x88\x84"]
    payload = b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in small)
    packet = struct.pack(">BBHII", 0x80, TYPE | 0x80, 1, 1, 7) + payload
    unit = Depacketizer(TYPE, []).push(packet, 5)[0]
    assert unit.data == b"".join(b"\0\0\0\1" + one for one in small)
    assert unit.keyframe


def test_pictures_out_of_order_are_for_the_other_driver() -> None:
    depacketizer = Depacketizer(TYPE, [])
    depacketizer.push(packets(b"\0\0\0\1\x41aaaa", 1, 90_000)[0], 1)
    with pytest.raises(ReorderedError):
        depacketizer.push(packets(b"\0\0\0\1\x41bbbb", 2, 85_500)[0], 1)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_nonsense_never_raises(junk: list[bytes]) -> None:
    depacketizer = Depacketizer(TYPE, [])
    for piece in junk:
        for packet in (piece, struct.pack(">BBHII", 0xB3, TYPE | 0x80, 1, 1, 7) + piece):
            depacketizer.push(packet, 1)


@given(st.binary(max_size=40))
def test_a_damaged_parameter_set_is_a_value_error(data: bytes) -> None:
    try:
        width, height = picture_size(b"\x67" + data)
    except ValueError:
        return
    assert 0 < width <= 16_384
    assert 0 < height <= 16_384


def test_the_video_of_a_description_is_found_among_others() -> None:
    text = (
        "v=0\r\na=control:*\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000\r\na=control:trackID=1\r\n"
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IAHg==,aM4=;profile-level-id=42001e\r\n"
        "a=control:trackID=2\r\n"
    )
    assert parse_sdp(text) == Video("trackID=2", 96, (b"\x67\x42\x00\x1e", b"\x68\xce"), "*")


@given(st.text(alphabet="mva=io:96 H264/90000fmtp;,rol\r\n", max_size=200))
def test_any_description_is_understood_or_refused(text: str) -> None:
    try:
        parse_sdp(text)
    except RtspError:
        return
