"""Waiting for a condition with a deadline: what the simulator and its tests do instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def until(true: Callable[[], object | None], timeout_s: float, what: str, every_s: float = 0.02) -> Any:
    """The first value of `true()` that is neither None nor False; raises TimeoutError naming `what`."""

    async def look() -> object | None:
        return true()

    return await until_async(look, timeout_s, what, every_s)


async def until_async(
    true: Callable[[], Awaitable[object | None]], timeout_s: float, what: str, every_s: float = 0.05
) -> Any:
    """As `until`, for a condition that must be awaited. It is looked at least once, whatever the time-out."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    while True:
        value = await true()
        if value is not None and value is not False:
            return value
        if loop.time() >= deadline_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        await asyncio.sleep(every_s)
