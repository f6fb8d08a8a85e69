"""A camera's sound: found in the description, taken out of its packets, timed beside the pictures; never a trouble."""

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.drivers.camera_sound import CameraSound
from unitd.drivers.rtcp import Bye, SenderReport, parse_rtcp
from unitd.drivers.rtp_clock import RtpClock
from unitd.drivers.sdp_sound import Sound, parse_sound, read_audio_config
from unitd.drivers.sound_clock import SoundClock

AAC = (
    "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 97\r\n"
    "a=rtpmap:97 mpeg4-generic/16000/1\r\na=control:trackID=2\r\n"
    "a=fmtp:97 streamtype=5; profile-level-id=15; mode=AAC-hbr; config=1408; SizeLength=13; IndexLength=3;"
    " IndexDeltaLength=3\r\n"
)
FRAME_NS = 50_000_000


def described(lines: str) -> Sound:
    found = parse_sound("v=0\r\nm=audio 0 RTP/AVP " + lines)
    assert found is not None
    return found


def test_sound_is_found_as_cameras_describe_it() -> None:
    aac = parse_sound(AAC)
    assert aac is not None
    assert (aac.control, aac.packing, aac.rate_hz, aac.channels, aac.config) == (
        "trackID=2",
        "generic",
        16_000,
        1,
        b"\x14\x08",
    )
    assert described("8\r\na=control:t2\r\n").decoder == "pcm_alaw"  # static, without rtpmap
    assert described("0\r\n").decoder == "pcm_mulaw"
    assert described("97\r\na=rtpmap:97 G726-32/8000\r\n").size_bits == 4
    assert described("97\r\na=rtpmap:97 opus/48000/2\r\n").channels == 1
    assert described("97\r\na=rtpmap:97 opus/48000/2\r\na=fmtp:97 stereo=1\r\n").channels == 2
    latm = described("97\r\na=rtpmap:97 MP4A-LATM/16000\r\na=fmtp:97 cpresent=0;config=400028103fc0\r\n")
    assert (latm.packing, read_audio_config(latm.config)) == ("latm", (16_000, 1))
    for unknown in ("97\r\na=rtpmap:97 SPEEX/16000\r\n", "97\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\n", "x\r\n"):
        assert parse_sound("v=0\r\nm=audio 0 RTP/AVP " + unknown) is None


@given(st.text(alphabet="m=audio 0RTP/AVP97\r\na=fmtp:rtpmap config=1408;mode=AAC-hbr", max_size=200))
def test_any_description_is_understood_or_left(text: str) -> None:
    parse_sound(text)
    parse_sound(AAC + text)


def test_reports_and_the_end_are_read_and_damage_is_not() -> None:
    report = struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, 100, 1 << 31, 9000, 1, 1)
    bye = struct.pack(">BBHI", 0x81, 203, 1, 7)
    assert parse_rtcp(report + bye) == [SenderReport(7, 100.5, 9000), Bye()]
    assert parse_rtcp(report[:-1]) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_reports_or_not(data: bytes) -> None:
    parse_rtcp(data)
    parse_rtcp(b"\x80\xc8\x00\x06" + data)


def pictures(count: int) -> RtpClock:
    clock = RtpClock()
    for number in range(count):
        clock.stamp(1000 + number * 4500, number * FRAME_NS)
    return clock


def test_sound_goes_by_both_reports_and_else_by_arrival() -> None:
    clock = pictures(21)  # the last at 1 s, RTP time 91,000
    sound = SoundClock(8000, clock)
    assert sound.stamp(500, 1_000_000_000) == clock.last_pts
    assert sound.stamp(660, 1_040_000_000) == clock.last_pts + 1800  # its own clock
    sound.picture_report = SenderReport(1, 500.0, 91_000)
    sound.sound_report = SenderReport(2, 500.0, 820)  # the sound of that picture comes 320 samples later than thought
    assert sound.stamp(820, 1_060_000_000) == clock.last_pts + 3600  # 40 ms off: nobody sees it
    sound.sound_report = SenderReport(2, 500.0, 2420)
    assert sound.stamp(980, 1_060_000_000) == clock.last_pts - 16_200
    assert sound.set_again == 1
    sound.sound_report = SenderReport(2, 9999.0, 2420)  # nonsense
    assert abs(sound.stamp(1140, 1_080_000_000) or 0) - clock.last_pts < 9000


def packet(sequence: int, timestamp: int, payload: bytes, kind: int = 8) -> bytes:
    return struct.pack(">BBHII", 0x80, 0x80 | kind, sequence & 0xFFFF, timestamp % 2**32, 9) + payload


def test_telephone_sound_becomes_aac_without_a_hole() -> None:
    sound = CameraSound(described("8\r\n"), pictures(1))
    units = [
        unit
        for number in range(200)
        for unit in sound.push(packet(number, 2**32 - 8000 + number * 160, b"\xd5" * 160), number * 20_000_000)
    ]
    assert (sound.info.codec, sound.info.rate_hz, sound.info.channels) == ("aac", 8000, 1)
    assert {after.pts_90khz - before.pts_90khz for before, after in itertools.pairwise(units)} == {11_520}
    assert len(units) >= 29
    assert sound.dropped == 0


def test_words_with_silence_between_keep_their_ends() -> None:
    """A camera that sends nothing while nobody speaks: 200 ms of sound, 800 ms of nothing, ten times."""
    clock, units = pictures(1), []
    sound = CameraSound(described("8\r\n"), clock)
    for number in range(500):
        clock.stamp(1000 + number * 1800, number * 20_000_000)
        if number % 50 < 10:
            units += sound.push(packet(number, number * 160, b"\xd5" * 160), number * 20_000_000)
    begins = [unit.pts_90khz for unit in units]
    assert begins == sorted(begins)
    assert sound.dropped <= 1
    for second in range(9):  # the last is not over
        spoken = clock.last_pts - 499 * 1800 + second * 90_000 + np.arange(0, 18_000, 900)
        assert all(any(at <= when < at + 11_520 for at in begins) for when in spoken)


def test_high_efficiency_aac_goes_by_the_clock_of_its_doubled_rate() -> None:
    """SBR said in the configuration (AOT 5: 24 kHz in stereo, 48 kHz out): a frame is 2,048 ticks of 48 kHz."""
    config = (5 << 27 | 6 << 23 | 2 << 19 | 3 << 15 | 2 << 10).to_bytes(4, "big").hex()
    lines = "97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\na=fmtp:97 mode=AAC-hbr; config=" + config + "\r\n"
    described_as = described(lines)
    assert (described_as.rate_hz, described_as.channels, described_as.frame_ticks) == (24_000, 2, 2048)
    sound = CameraSound(described_as, pictures(1))
    heads = struct.pack(">HHHH", 48, 4 << 3, 4 << 3, 4 << 3)  # three frames of four bytes
    units = [
        unit
        for number in range(50)
        for unit in sound.push(
            packet(number, 2**32 - 9000 + number * 6144, heads + b"abcdefghijkl", 97), number * 128_000_000
        )
    ]
    assert len(units) == 150
    assert {after.pts_90khz - before.pts_90khz for before, after in itertools.pairwise(units)} == {3840}
    assert {unit.duration_90khz for unit in units} == {3840}


def test_a_large_frame_of_stereo_comes_in_pieces() -> None:
    described_as = described("97\r\na=rtpmap:97 mpeg4-generic/44100/2\r\na=fmtp:97 mode=AAC-hbr; config=1210\r\n")
    assert (described_as.rate_hz, described_as.channels) == (44_100, 2)
    sound = CameraSound(described_as, pictures(1))
    head = struct.pack(">HH", 16, 3000 << 3)
    begun = struct.pack(">BBHII", 0x80, 97, 1, 0, 9) + head + bytes(1400)
    more = struct.pack(">BBHII", 0x80, 97, 2, 0, 9) + head + bytes(1400)
    assert sound.push(begun, 0) == sound.push(more, 0) == []
    assert [len(unit.data) for unit in sound.push(packet(3, 0, head + bytes(200), 97), 0)] == [3000]
    assert sound.push(packet(5, 1024, head + bytes(200), 97), 0) == [], "a piece without those before it"


@pytest.mark.parametrize("lines", ["8\r\n", "97\r\na=rtpmap:97 opus/48000/2\r\n", "97\r\na=rtpmap:97 G726-32/8000\r\n"])
def test_rubbish_for_sound_is_dropped(lines: str) -> None:
    described_as = described(lines)
    sound = CameraSound(described_as, pictures(1))
    for number in range(30):
        sound.push(
            packet(number, number * 160, bytes([number, 255 - number]) * number, described_as.payload_type), number
        )


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_packets_of_aac_are_taken_or_dropped(junk: list[bytes]) -> None:
    described_as = parse_sound(AAC)
    assert described_as is not None
    sound = CameraSound(described_as, pictures(1))
    last = -1
    for number, payload in enumerate(junk):
        for unit in sound.push(packet(number, number * 1024, payload, 97), number * 64_000_000):
            assert unit.data
            assert unit.pts_90khz > last
            last = unit.pts_90khz
