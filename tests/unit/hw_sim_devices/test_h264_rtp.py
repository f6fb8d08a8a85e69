"""Access units into RTP packets and back."""

from __future__ import annotations

import base64
import random
import struct

import pytest

from hw_sim.devices.camera.h264 import MAX_PAYLOAD_BYTES, AccessUnit, RtpSender, fmtp, split_annex_b


def depacketize(packets: list[bytes]) -> list[bytes]:
    """A plain reading of RFC 6184: single NAL units, STAP-A and FU-A."""
    nals: list[bytes] = []
    for packet in packets:
        payload = packet[12:]
        kind = payload[0] & 0x1F
        if kind == 24:
            rest = payload[1:]
            while rest:
                size = struct.unpack(">H", rest[:2])[0]
                nals.append(rest[2 : 2 + size])
                rest = rest[2 + size :]
        elif kind == 28:
            if payload[1] & 0x80:
                nals.append(bytes((payload[0] & 0xE0 | payload[1] & 0x1F,)))
            nals[-1] += payload[2:]
        else:
            nals.append(payload)
    return nals


def unit_of(sizes: list[int], capture_mono_ns: int = 0) -> AccessUnit:
    rng = random.Random(1)
    return AccessUnit(tuple(bytes((0x65,)) + rng.randbytes(size - 1) for size in sizes), True, capture_mono_ns, 1)


@pytest.mark.parametrize(
    "sizes",
    [
        [1],
        [20, 5, 300],
        [20, 5, MAX_PAYLOAD_BYTES],
        [MAX_PAYLOAD_BYTES + 1],
        [2 * MAX_PAYLOAD_BYTES - 3],
        [20, 5, 60_000, 9],
        [700, 700, 700],
    ],
)
def test_ok__packets_carry_the_unit_and_fit(sizes: list[int]) -> None:
    unit = unit_of(sizes)
    packets = RtpSender(7, 0, 0).packets_of(unit)
    assert depacketize(packets) == list(unit.nals)
    assert max(len(packet) for packet in packets) <= MAX_PAYLOAD_BYTES + 12
    assert [packet[1] >> 7 for packet in packets] == [0] * (len(packets) - 1) + [1]


def test_ok__sequence_runs_on_and_wraps_and_time_counts_90_khz() -> None:
    sender = RtpSender(0x11223344, 65_530, 1000)
    first = sender.packets_of(unit_of([20_000], 0))
    second = sender.packets_of(unit_of([10], 1_000_000_000))
    numbers = [struct.unpack(">H", packet[2:4])[0] for packet in first + second]
    assert numbers == [(65_530 + index) % 65_536 for index in range(len(numbers))]
    assert {packet[4:8] for packet in first} == {struct.pack(">I", 1000)}
    assert struct.unpack(">I", second[0][4:8])[0] == 91_000
    assert sender.packets == len(numbers)


def test_ok__sender_report_ties_rtp_time_to_the_wall_clock() -> None:
    sender = RtpSender(5, 0, 0)
    sender.packets_of(unit_of([100]))
    report = sender.sender_report(2_000_000_000, 1_500_000_000)
    version, kind, words, ssrc, ntp, rtp, packets, size = struct.unpack(">BBHIQIII", report[:28])
    assert (version, kind, words, ssrc) == (0x80, 200, 6, 5)
    assert ntp == (2_208_988_800 << 32) + (3 << 31)
    assert (rtp, packets, size) == (180_000, 1, 100)
    assert report[29] == 202
    assert len(report) == 28 + 4 * (1 + struct.unpack(">H", report[30:32])[0])


def test_ok__start_codes_of_both_lengths() -> None:
    assert split_annex_b(b"\x00\x00\x00\x01\x67ab\x00\x00\x01\x68c\x00\x00\x00\x01\x65\x00\x01\x02") == [
        b"\x67ab",
        b"\x68c",
        b"\x65\x00\x01\x02",
    ]
    assert split_annex_b(b"") == []
    assert split_annex_b(b"no start code") == []


def test_ok__sdp_parameters() -> None:
    sps, pps = bytes.fromhex("6742c01e1122"), bytes.fromhex("68ce")
    text = fmtp(sps, pps)
    assert text.startswith("packetization-mode=1;profile-level-id=42C01E;sprop-parameter-sets=")
    assert [base64.b64decode(part) for part in text.rpartition("sets=")[2].split(",")] == [sps, pps]
