"""Waiting with a limit.

`asyncio.wait_for` is not used: on Python 3.11 it can swallow a cancellation that comes together with the result, and
the process then does not end at SIGTERM (https://github.com/python/cpython/issues/86296).
"""

import asyncio


class Wake:
    """An `asyncio.Event` that is waited for with a limit, for what core does day and night: a wait costs two thirds of
    `set_within`'s (7.5 µs of CPU against 11, Python 3.11 on a virtual machine). Belongs to the loop."""

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[bool]] = []

    def set(self) -> None:
        """Wake whoever waits, and whoever comes before `clear`."""
        self._set = True
        for waiter in self._waiters:
            _settle(waiter, True)

    def clear(self) -> None:
        """Who comes from now on waits for the next `set`."""
        self._set = False

    async def within(self, limit_s: float | None) -> bool:
        """Wait until it is set, at most `limit_s` (None: for ever); whether it was. Never swallows a cancellation."""
        if self._set:
            return True
        if limit_s is not None and limit_s <= 0:  # a `set` in every turn of the loop must not get in before it for ever
            await asyncio.sleep(0)
            return False
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        timer = None if limit_s is None else loop.call_later(limit_s, _settle, waiter, False)
        self._waiters.append(waiter)
        try:
            return await waiter
        finally:
            if timer is not None:
                timer.cancel()
            self._waiters.remove(waiter)


def _settle(waiter: "asyncio.Future[bool]", was_set: bool) -> None:
    if not waiter.done():
        waiter.set_result(was_set)


async def set_within(event: asyncio.Event, limit_s: float | None) -> bool:
    """Wait until `event` is set, at most `limit_s` (None: for ever); whether it was."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
