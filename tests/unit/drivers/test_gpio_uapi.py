"""The bytes of the GPIO character device: recorded ones, and any others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.drivers.kernel_line import FALLING, RISING, event
from unitd.drivers import gpio_uapi as uapi


def test_edges_of_one_read() -> None:
    data = event(123, FALLING, 7) + event(456, RISING, 8)
    assert uapi.edges(data) == ([uapi.Edge(123, False, 7), uapi.Edge(456, True, 8)], 0)


def test_strange_events_are_counted_and_the_others_kept() -> None:
    data = event(1, 3, 1) + event(2, RISING, 2) + event(1 << 63, FALLING, 3) + b"\1\2\3"
    assert uapi.edges(data) == ([uapi.Edge(2, True, 2)], 3)


@given(st.binary(max_size=1000))
def test_any_bytes_are_edges_or_counted(data: bytes) -> None:
    found, strange = uapi.edges(data)
    assert len(found) + strange == -(-len(data) // uapi.EVENT.size)


@given(st.text(max_size=200))
def test_any_fdinfo_is_a_line_or_none(text: str) -> None:
    for held in (uapi.held(text), uapi.held("gpio-chip:\t" + text), uapi.held("gpio-chip: c\ngpio-line:" + text)):
        assert held is None or (held.chip and held.offsets)


def test_fdinfo_of_linux_6_1() -> None:
    said = "pos:\t0\nflags:\t02000000\nmnt_id:\t15\nino:\t1057\ngpio-chip:\tgpiochip0\ngpio-line:\t17\n"
    assert uapi.held(said) == uapi.Held("gpiochip0", (17,))
    assert uapi.held("pos:\t0\nflags:\t02\n") is None


def test_a_gap_is_counted_across_the_wrap() -> None:
    assert uapi.missed(None, 9) == 0
    assert uapi.missed(8, 9) == 0
    assert uapi.missed(8, 12) == 3
    assert uapi.missed((1 << 32) - 1, 0) == 0
    assert uapi.missed((1 << 32) - 1, 2) == 2
