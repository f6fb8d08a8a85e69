"""Waiting with a limit.

`asyncio.wait_for` is not used: on Python 3.11 it can swallow a cancellation that comes together with the result, and
the process then does not end at SIGTERM (https://github.com/python/cpython/issues/86296).
"""

import asyncio


async def set_within(event: asyncio.Event, limit_s: float | None) -> bool:
    """Wait until `event` is set, at most `limit_s` (None: for ever); whether it was."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
