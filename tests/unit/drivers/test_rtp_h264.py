"""RTP to access units: whole at the marker, damage dropped and counted, nonsense survived."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.drivers.rtp_samples import TYPE, packets, split
from tests.unit.record.samples import HEIGHT, WIDTH, coded_second
from unitd.drivers.h264_sps import picture_size
from unitd.drivers.rtp_clock import ReorderedError
from unitd.drivers.rtp_h264 import Depacketizer
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


def pushed(depacketizer: Depacketizer, *groups: list[bytes], arrival_ns: int = 1) -> list[AccessUnit]:
    return [unit for group in groups for packet in group for unit in depacketizer.push(packet, arrival_ns)]


def rtp(payload: bytes, sequence: int, timestamp: int, marker: bool, first: int = 0x80) -> bytes:
    return struct.pack(">BBHII", first, TYPE | marker << 7, sequence, timestamp % 2**32, 7) + payload


def test_a_marker_on_every_slice_is_believed_once_only() -> None:
    depacketizer, groups = Depacketizer(TYPE, []), []
    for number in range(4):
        kind = b"\x65" if number == 0 else b"\x41"
        groups += [[rtp(kind + b"\x88one", 2 * number, 4500 * number, True)]]
        groups += [[rtp(kind + b"\x44two", 2 * number + 1, 4500 * number, True)]]
    units = pushed(depacketizer, *groups)
    assert depacketizer.marker_believed is False
    assert [unit.data.count(b"\0\0\0\1") for unit in units[1:]] == [1, 2, 2]  # the first was torn before it was known


def test_parameter_sets_with_a_marker_and_a_time_of_their_own_join_the_next_picture() -> None:
    depacketizer = Depacketizer(TYPE, [])
    sets = [rtp(b"\x67\x42\x00\x1e", 1, 100, True), rtp(b"\x68\xce", 2, 100, True), rtp(b"\x09\xf0", 3, 4500, True)]
    units = pushed(depacketizer, sets, [rtp(b"\x65\x88pic", 4, 4500, True)])
    assert [(unit.keyframe, split(unit.data)) for unit in units] == [
        (True, [b"\x67\x42\x00\x1e", b"\x68\xce", b"\x09\xf0", b"\x65\x88pic"])
    ]


def test_several_picture_parameter_sets_are_kept_and_a_changed_one_replaces_its_own() -> None:
    depacketizer = Depacketizer(TYPE, [b"\x67\x42\x00\x1e\xff", b"\x68\xce", b"\x68\x4e"])
    depacketizer.push(rtp(b"\x68\xcf", 1, 1, False), 1)
    assert depacketizer.parameter_sets == [b"\x67\x42\x00\x1e\xff", b"\x68\xcf", b"\x68\x4e"]
    before = depacketizer.set_changes
    depacketizer.push(rtp(b"\x67\x42\x00\x1f\xff", 2, 1, False), 1)
    assert depacketizer.set_changes == before + 1


def test_padding_and_header_extensions_are_taken_off() -> None:
    extension = b"\xab\xac\x00\x03" + bytes(12)  # ONVIF replay
    packet = rtp(extension + b"\x65\x88pic" + b"\0\0\3", 1, 1, True, first=0xB0)
    assert split(Depacketizer(TYPE, []).push(packet, 1)[0].data) == [b"\x65\x88pic"]


def test_a_fragment_without_its_end_bit_is_whole_with_the_marker_unless_one_is_lost() -> None:
    start, middle = b"\x7c\x85\x88aa", b"\x7c\x05bb"
    units = pushed(Depacketizer(TYPE, []), [rtp(start, 1, 1, False), rtp(middle, 2, 1, True)])
    assert units[0].data.endswith(b"\x65\x88aabb")
    for left in ([rtp(start, 1, 1, False), rtp(middle, 3, 1, True)], [rtp(middle, 3, 1, True)]):
        depacketizer = Depacketizer(TYPE, [])
        assert pushed(depacketizer, left) == []
        assert depacketizer.damaged_units == 1


@pytest.mark.parametrize("jump", [2**31 - 5, -(2**30), 3600 * 90_000])
def test_a_new_clock_goes_on_from_the_time_of_arrival(jump: int) -> None:
    depacketizer = Depacketizer(TYPE, [])
    first = depacketizer.push(rtp(b"\x65\x88", 1, 1000, True), 1_000_000_000)
    second = depacketizer.push(rtp(b"\x41\x88", 2, 1000 + jump, True), 1_050_000_000)
    assert second[0].pts_90khz - first[0].pts_90khz == 4500
    assert depacketizer.mended_times == 1


def test_a_clock_set_back_once_in_an_orderly_stream_is_mended() -> None:
    depacketizer = Depacketizer(TYPE, [])
    groups = [[rtp(b"\x41\x88", n, 4500 * n - (45_000 if n > 80 else 0), True)] for n in range(100)]
    units = pushed(depacketizer, *groups)
    assert len(units) == 100
    assert all(b.pts_90khz > a.pts_90khz for a, b in itertools.pairwise(units))
    reordered = [[rtp(b"\x41\x88", 100 + n, 4500 * (90 + n ^ 1), True)] for n in range(8)]
    with pytest.raises(ReorderedError):
        pushed(depacketizer, *reordered)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 3), st.integers(0, 9000), st.binary(max_size=40))))
def test_any_packets_are_taken_or_are_out_of_order(junk: list[tuple[int, int, int, bytes]]) -> None:
    depacketizer = Depacketizer(TYPE, [])
    try:
        for number, (first, step, timestamp, payload) in enumerate(junk):
            marker = bool(timestamp & 1)
            for unit in depacketizer.push(
                rtp(payload, number * step & 0xFFFF, timestamp, marker, first & 0x3F | 0x80), number
            ):
                assert unit.data
    except ReorderedError:
        return
