"""Transport-wide feedback off the wire: read right, and nothing that comes can hurt."""

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.call.link_model import feedback_of
from unitd.call.congestion.capacity import MOST_FEEDBACK_PER_S, Capacity
from unitd.call.congestion.packet_log import SIZE, WIRE_BYTES, PacketLog
from unitd.call.congestion.twcc import MAX_PACKETS, REFERENCE_WRAP_S, read_feedback


def test_what_is_written_is_read() -> None:
    arrivals = [10.0, None, 10.0025, 10.5, None, None, 10.49, 11.25]
    feedback = read_feedback(feedback_of(65_530, 7, arrivals))
    assert feedback is not None
    assert (feedback.base, feedback.number, len(feedback.arrivals)) == (65_530, 7, 8)
    for written, read in zip(arrivals, feedback.arrivals, strict=True):
        assert (written is None) == (read is None)
        assert written is None or (read is not None and abs(written - read) < 0.0005)


def test_run_length_and_one_bit_chunks() -> None:
    head = struct.pack(">HH", 5, 20) + (2).to_bytes(3, "big") + b"\x00"
    run = struct.pack(">H", (1 << 13) | 6)  # six that came
    bits = struct.pack(">H", 0x8000 | 0b10000000000001)  # one, twelve lost, one
    feedback = read_feedback(head + run + bits + bytes([4] * 8))
    assert feedback is not None
    assert [each is not None for each in feedback.arrivals] == [True] * 7 + [False] * 12 + [True]
    assert feedback.arrivals[0] == 0.129
    assert abs((feedback.arrivals[19] or 0.0) - 0.136) < 1e-9


def test_what_is_none_is_refused() -> None:
    whole = feedback_of(1, 0, [1.0, 1.1, 1.2])
    for size in range(len(whole)):
        assert read_feedback(whole[:size]) is None
    assert read_feedback(struct.pack(">HH", 0, MAX_PACKETS + 1) + bytes(4) + b"\x1f\xff" * 8) is None
    assert read_feedback(struct.pack(">HH", 0, 3) + bytes(4) + b"\x00\x00" * 8) is None, "a run of none, for ever"
    assert read_feedback(struct.pack(">HH", 0, 1) + bytes(4) + b"\xf0\x00\x00\x00") is None, "a reserved symbol"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise(fci: bytes) -> None:
    feedback = read_feedback(fci)
    assert feedback is None or 0 < len(feedback.arrivals) <= MAX_PACKETS


def test_each_packet_is_told_once_and_an_arrival_after_a_loss_too() -> None:
    log = PacketLog()
    for sequence in range(4):
        log.add(sequence, 100, 1.0 + sequence, "picture")
    first = read_feedback(feedback_of(0, 0, [5.0, None, 5.1]))
    assert first is not None
    told = log.read(first)
    assert [(packet.sequence, arrived is not None) for packet, arrived in told] == [(0, True), (1, False), (2, True)]
    assert told[0][0].size_bytes == 100 + WIRE_BYTES
    assert log.read(first) == [], "the same again says nothing"
    late = read_feedback(feedback_of(1, 1, [5.3]))
    assert late is not None and [packet.state for packet, _ in log.read(late)] == ["arrived"]


def test_numbers_and_the_far_clock_wrap() -> None:
    log = PacketLog()
    for sequence in range(65_000, 65_000 + 3000):
        log.add(sequence & 0xFFFF, 100, sequence / 400, "picture")
    late_s = REFERENCE_WRAP_S - 0.2
    before = read_feedback(feedback_of(65_500, 0, [late_s]))
    after = read_feedback(feedback_of(65_600, 1, [0.1]))
    assert before is not None and after is not None
    (old, old_s), (new, new_s) = log.read(before)[0], log.read(after)[0]
    assert (old.sequence, new.sequence) == (65_500, 65_600)
    assert old_s is not None and new_s is not None and abs(new_s - old_s - 0.3) < 0.001


def test_the_log_is_bounded_and_the_unknown_is_counted() -> None:
    log = PacketLog()
    for sequence in range(2 * SIZE):
        log.add(sequence & 0xFFFF, 100, sequence / 400, "picture")
    old = read_feedback(feedback_of(10, 0, [1.0, 1.1]))
    assert old is not None and log.read(old) == []
    assert log.unknown == 2


def test_a_flood_of_feedback_is_not_read() -> None:
    capacity = Capacity(None)
    rng = random.Random(1)
    for _ in range(5000):
        capacity.read(rng.randbytes(60), 50.0, is_back=False)
    assert capacity.too_much_feedback >= 5000 - MOST_FEEDBACK_PER_S
    assert capacity.bad_feedback <= MOST_FEEDBACK_PER_S
