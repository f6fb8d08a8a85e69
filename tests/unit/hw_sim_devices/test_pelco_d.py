"""Pelco-D frames in a dirty byte stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hw_sim.devices.pelco_d import Frame, FrameReader

RIGHT = bytes.fromhex("ff010002200023")
STOP = bytes.fromhex("ff010000000001")
BYTE = st.integers(0, 255)


def test_ok__known_frames() -> None:
    assert FrameReader().feed(RIGHT + STOP) == [Frame(1, 0, 2, 0x20, 0), Frame(1, 0, 0, 0, 0)]
    assert Frame(1, 0, 2, 0x20, 0).pack() == RIGHT


def test_ok__checksum_wraps() -> None:
    frame = Frame(200, 0x88, 0xF0, 0x3F, 0x3F)
    assert FrameReader().feed(frame.pack()) == [frame]


def test_fail__wrong_checksum_is_counted_and_the_next_frame_found() -> None:
    reader = FrameReader()
    assert reader.feed(RIGHT[:-1] + b"\x24" + STOP) == [Frame(1, 0, 0, 0, 0)]
    assert reader.bad_frames == 1
    assert reader.skipped_bytes == 7


def test_ok__a_frame_inside_a_broken_one_is_found() -> None:
    reader = FrameReader()
    assert reader.feed(RIGHT[:3] + RIGHT + STOP) == [Frame(1, 0, 2, 0x20, 0), Frame(1, 0, 0, 0, 0)]


@given(
    garbage=st.binary(max_size=40).filter(lambda data: 0xFF not in data), frame=st.tuples(BYTE, BYTE, BYTE, BYTE, BYTE)
)
def test_ok__found_after_any_garbage_without_a_sync_byte(garbage: bytes, frame: tuple[int, int, int, int, int]) -> None:
    reader = FrameReader()
    assert reader.feed(garbage + Frame(*frame).pack()) == [Frame(*frame)]
    assert reader.skipped_bytes == len(garbage)


@given(st.lists(st.binary(max_size=20)))
def test_ok__any_bytes_in_any_pieces_give_the_same_and_never_raise(pieces: list[bytes]) -> None:
    whole, split = FrameReader(), FrameReader()
    found = [frame for piece in pieces for frame in split.feed(piece)]
    assert found == whole.feed(b"".join(pieces))
    assert split.bad_frames == whole.bad_frames
