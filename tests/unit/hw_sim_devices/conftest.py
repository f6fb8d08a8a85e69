"""What the device tests share: waiting for a condition, and a clock that stands until it is moved."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """`wait_until(condition, what)`: returns when the condition holds, fails after 5 s."""

    def wait(condition: Callable[[], object], what: str, timeout_s: float = 5.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"did not happen within {timeout_s} s: {what}")
            time.sleep(0.002)

    return wait


class FakeClock:
    """Monotonic nanoseconds, moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
