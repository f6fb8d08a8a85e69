"""`Wake`: what core waits with, day and night."""

import asyncio

import pytest

from unitd.runtime.waiting import Wake


def test_it_wakes_who_waits_and_who_comes_before_clear() -> None:
    async def run() -> None:
        wake = Wake()
        waiting = [asyncio.create_task(wake.within(limit_s)) for limit_s in (None, 60.0)]
        await asyncio.sleep(0)
        wake.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await wake.within(0.0)
        wake.clear()
        assert not await wake.within(0.0)

    asyncio.run(run())


def test_the_limit_ends_the_wait_and_leaves_nothing_behind() -> None:
    async def run() -> None:
        wake = Wake()
        assert not await wake.within(0.001)
        assert wake._waiters == []
        wake.set()
        assert await wake.within(0.001)

    asyncio.run(run())


@pytest.mark.parametrize("also_set", [False, True])
def test_a_cancellation_is_never_swallowed(also_set: bool) -> None:
    """Not even one that comes together with `set`."""

    async def run() -> None:
        wake = Wake()
        task = asyncio.create_task(wake.within(60.0))
        await asyncio.sleep(0)
        if also_set:
            wake.set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert wake._waiters == []

    asyncio.run(run())


def test_a_limit_that_is_over_comes_before_a_later_set() -> None:
    """Or what is due would never be done where every turn of the loop brings something new."""

    async def run() -> None:
        wake = Wake()
        task = asyncio.create_task(wake.within(0.0))
        await asyncio.sleep(0)
        wake.set()
        assert not await task

    asyncio.run(run())
