"""What a camera can suffer from."""

from __future__ import annotations

from typing import Literal

Fault = Literal["off", "frozen", "hung"]
FAULTS: tuple[Fault, ...] = ("off", "frozen", "hung")
