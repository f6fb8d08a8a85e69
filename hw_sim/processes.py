"""Processes that the simulator starts, none of which outlives it."""

from __future__ import annotations

from collections.abc import Sequence


def bound_to_us(command: Sequence[str]) -> list[str]:
    """`command`, killed by the kernel when the thread that starts it ends, however that comes about.

    Start it from the thread that runs the loop (setpriv(1), PR_SET_PDEATHSIG); the process id stays the same.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]
