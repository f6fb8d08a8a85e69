"""The machine's clock says how far it can be trusted."""

import time
from pathlib import Path
from unittest import mock

from unitd.model.clock import BUILD_UTC_S
from unitd.runtime.clock import SystemClock

HOUR_NS = 3_600 * 1_000_000_000


def at(utc_ns: int) -> object:
    return mock.patch("unitd.runtime.clock.time.time_ns", lambda: utc_ns)


def test_synced_while_the_flag_is_there_then_held_until_somebody_steps_the_clock(tmp_path: Path) -> None:
    flag = tmp_path / "synchronized"
    clock = SystemClock(flag)
    assert clock.stamp().clock == "unknown"
    flag.touch()
    assert clock.stamp().clock == "synced"
    flag.unlink()
    assert clock.stamp().clock == "held"
    with at(time.time_ns() + HOUR_NS):  # type: ignore[attr-defined]
        assert clock.stamp().clock == "unknown"
    assert clock.stamp().clock == "held", "back at what it was when it was right"


def test_1970_is_unknown_whatever_the_flag_says(tmp_path: Path) -> None:
    (tmp_path / "synchronized").touch()
    with at(60 * 1_000_000_000):  # type: ignore[attr-defined]
        assert SystemClock(tmp_path / "synchronized").stamp().clock == "unknown"


def test_the_lower_bound_rises_with_what_is_known_and_follows_a_synchronised_clock_down(tmp_path: Path) -> None:
    flag = tmp_path / "synchronized"
    clock = SystemClock(flag)
    assert BUILD_UTC_S <= clock.lower_bound_utc_s() < BUILD_UTC_S + 60
    future_s = int(time.time()) + 10 * 365 * 86_400
    clock.not_before(future_s)
    clock.not_before(BUILD_UTC_S + 5)
    assert future_s <= clock.lower_bound_utc_s() < future_s + 60
    flag.touch()
    clock.stamp()
    assert abs(clock.lower_bound_utc_s() - time.time()) < 60


def test_an_instant_of_the_past_is_stamped_with_its_own_time(tmp_path: Path) -> None:
    clock = SystemClock(tmp_path / "none")
    early, late = clock.stamp(1_000_000_000), clock.stamp(3_000_000_000)
    assert abs(late.utc_us - early.utc_us - 2_000_000) < 1000
