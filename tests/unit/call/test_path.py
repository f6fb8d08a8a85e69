"""When the way to the network counts as another one."""

import asyncio
from typing import Any

import structlog

from unitd.call.link import path
from unitd.call.link.path import PathWatch, changed, kept, targets_in


def test_another_address_is_a_change_and_none_is_not() -> None:
    assert changed(("192.0.2.1", None), ("192.0.2.9", None))
    assert not changed(("192.0.2.1", None), (None, None))
    assert not changed((None, None), ("192.0.2.1", None))
    assert not changed(("192.0.2.1", "2001:db8::2"), ("192.0.2.1", "2001:db8::2"))
    assert changed(("192.0.2.1", "2001:db8::2"), ("192.0.2.1", "2001:db8::3"))


def test_the_last_address_is_remembered_over_an_outage() -> None:
    remembered = kept(("192.0.2.1", None), (None, "2001:db8::2"))
    assert remembered == ("192.0.2.1", "2001:db8::2")
    assert changed(remembered, ("192.0.2.9", "2001:db8::2"))
    assert not changed(remembered, ("192.0.2.1", "2001:db8::2"))


def test_the_targets_are_the_world_and_the_addresses_that_are_written() -> None:
    found = targets_in(
        ["wss://10.1.2.3:8443/x", "https://media.example/", "wss://[2001:db8::5]/", "wss://10.1.2.3/y", "::"]
    )
    assert found == (*path.WORLD, "10.1.2.3", "2001:db8::5")


def test_the_watch_tells_each_change_once(monkeypatch: Any) -> None:
    async def play() -> None:
        told: list[int] = []
        seen = iter([("a",), ("a",), (None,), ("b",), ("b",), (None,), ("b",)])
        looks = 0
        done = asyncio.Event()

        def look(_: Any) -> Any:
            nonlocal looks
            looks += 1
            try:
                return next(seen)
            except StopIteration:
                done.set()
                return ("b",)

        monkeypatch.setattr(path, "sources", look)
        monkeypatch.setattr(path, "LOOK_EVERY_S", 0.01)
        monkeypatch.setattr(path, "SETTLE_S", 0.0)
        watch = asyncio.create_task(PathWatch(("x",), lambda: told.append(looks), structlog.get_logger()).run())
        async with asyncio.timeout(5):
            await done.wait()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        assert told == [4]

    asyncio.run(play())
