"""The real machine's choice of a button driver, with the kernel played by a socket pair."""

from __future__ import annotations

import os
import queue
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from tests.unit.drivers.kernel_line import FALLING, FakeKernel, event
from unitd.config import Config
from unitd.core.app import RealMachine
from unitd.core.button import Felt
from unitd.core.latch import Latch
from unitd.core.panel import Panel


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    kernel = FakeKernel()
    monkeypatch.setattr("unitd.drivers.gpio_line.GpioKernel", lambda: kernel)
    return kernel


def machine(place: Path, **button: Any) -> RealMachine:
    table = {"driver": "kernel", **button}
    paths = {name: str(place / name) for name in ("run_dir", "state_dir", "evidence_dir")}
    config = msgspec.convert({"schema": 1, "button": table, "paths": paths}, Config)
    return RealMachine(config, structlog.get_logger())


def test_the_kernels_line_is_watched_and_needs_no_pin_library(
    tmp_path: Path, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "there-is-none")
    presses: queue.Queue[Felt] = queue.Queue()
    real = machine(tmp_path)
    real.check_pins()
    watch = real.watch(Panel(), Latch(tmp_path), presses.put, lambda _stuck: None)
    at_ns = time.monotonic_ns() - 20_000_000
    kernel.edges(event(at_ns, FALLING, 1))
    assert presses.get(timeout=5).latched.mono_ns == at_ns
    assert not watch.stuck
    assert kernel.requests[0][:2] == ("/dev/gpiochip0", 17)


def test_a_line_that_goes_away_ends_core_in_order_so_that_its_successor_asks_again(
    tmp_path: Path, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: queue.Queue[tuple[int, int]] = queue.Queue()
    monkeypatch.setattr("unitd.core.app.os.kill", lambda pid, number: told.put((pid, number)))
    machine(tmp_path).watch(Panel(), Latch(tmp_path), lambda _felt: None, lambda _stuck: None)
    kernel.gone = True
    kernel.far.close()
    assert told.get(timeout=5) == (os.getpid(), signal.SIGTERM)
