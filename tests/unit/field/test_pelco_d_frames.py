"""Pelco-D frames against vectors from the protocol manual, and for every speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.drivers.dome_pelco_d import encode, go_preset, move, stop
from unitd.model.dome import AtPreset, GoPreset, Move, Stop, Stopped


@pytest.mark.parametrize(
    ("frame", "hexadecimal"),
    [
        (move(1, 0x20 / 0x3F, 0, 0), "ff 01 00 02 20 00 23"),
        (stop(1), "ff 01 00 00 00 00 01"),
        (move(1, -1, 0, 0), "ff 01 00 04 3f 00 44"),
        (move(2, 0, 1, 0), "ff 02 00 08 00 3f 49"),
        (move(1, 0, -1, 0), "ff 01 00 10 00 3f 50"),
        (move(1, 0, 0, 1), "ff 01 00 20 00 00 21"),
        (move(1, 0, 0, -1), "ff 01 00 40 00 00 41"),
        (move(1, 1, 1, -1), "ff 01 00 4a 3f 3f c9"),
        (go_preset(1, 1), "ff 01 00 07 00 01 09"),
        (go_preset(255, 255), "ff ff 00 07 00 ff 05"),
        (move(1, 0, 0, 0), "ff 01 00 00 00 00 01"),
    ],
)
def test_known_vectors(frame: bytes, hexadecimal: str) -> None:
    assert frame.hex(" ") == hexadecimal


def test_orders() -> None:
    assert encode(3, Stop()) == stop(3)
    assert encode(3, GoPreset(9)) == go_preset(3, 9)
    assert encode(3, Move(0.1, 0.2, 0.3)) == move(3, 0.1, 0.2, 0.3)
    assert encode(3, Stopped()) == encode(3, AtPreset(1)) == b""


speeds = st.floats(-10, 10)


@given(st.integers(1, 255), speeds, speeds, speeds)
def test_any_speed_is_a_frame_within_the_range(address: int, pan: float, tilt: float, zoom: float) -> None:
    frame = move(address, pan, tilt, zoom)
    assert len(frame) == 7
    assert frame[6] == sum(frame[1:6]) % 256
    assert frame[4] <= 0x3F
    assert frame[5] <= 0x3F
    assert frame[3] & 0x06 != 0x06
    assert frame[3] & 0x18 != 0x18
    assert frame[3] & 0x60 != 0x60
    assert bool(frame[4]) == bool(frame[3] & 0x06)


def test_a_slow_move_still_moves() -> None:
    assert move(1, 0.01, 0, 0)[4] == 1
