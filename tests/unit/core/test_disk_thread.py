"""A call to the disk that never returns costs its caller, and nobody behind it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hw_sim.waiting import until
from unitd.core import disk_thread
from unitd.core.disk_thread import MAX_LEFT_BEHIND, PENDING, DiskBusyError, DiskHungError, DiskThread
from unitd.store import disk as store_disk


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_thread, "HUNG_S", 0.5)
    monkeypatch.setattr(disk_thread, "GIVE_UP_S", 0.8)
    monkeypatch.setattr(disk_thread, "LOOK_EVERY_S", 0.01)


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """What a hanging call waits for; it comes at the end, so that no thread is left."""
    event = threading.Event()
    yield event
    event.set()


def hang(on: threading.Event) -> Callable[[], None]:
    def call() -> None:
        on.wait(30)

    return call


def _names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def play(test: Callable[[DiskThread], object]) -> None:
    async def run() -> None:
        disk = DiskThread()
        try:
            await test(disk)  # type: ignore[misc]
        finally:
            disk.close()

    asyncio.run(run())


def test_calls_come_in_order_and_raise_what_they_raise() -> None:
    async def test(disk: DiskThread) -> None:
        order: list[int] = []
        await asyncio.gather(*(disk.run(lambda n=n: order.append(n)) for n in range(100)))  # type: ignore[misc]
        assert order == list(range(100))
        with pytest.raises(FileNotFoundError):
            await disk.run(lambda: Path("/nowhere/at/all").read_bytes())
        assert not disk.hung

    play(test)


def test_a_hung_call_is_given_up_and_those_behind_it_go_on(stuck: threading.Event) -> None:
    async def test(disk: DiskThread) -> None:
        first = asyncio.ensure_future(disk.run(hang(stuck)))
        behind = [asyncio.ensure_future(disk.run(lambda n=n: n)) for n in range(3)]  # type: ignore[misc]
        await until(lambda: disk.hung, 5, "the hang is seen")
        assert not first.done()
        with pytest.raises(DiskHungError):
            await first
        assert [await each for each in behind] == [0, 1, 2]
        assert disk.given_up == 1
        assert disk.hung  # as long as the thread that was left behind hangs
        stuck.set()
        await until(lambda: not disk.hung, 5, "healed")

    play(test)


def test_what_was_given_up_changes_nothing_when_it_comes_back(stuck: threading.Event, tmp_path: Path) -> None:
    async def test(disk: DiskThread) -> None:
        file, gone = tmp_path / "state.json", tmp_path / "gone.json"
        gone.touch()
        came_back = threading.Event()

        def late() -> None:
            stuck.wait(30)
            try:
                with pytest.raises(OSError, match="given up"):
                    store_disk.atomic_write(file, b"old")
                with pytest.raises(OSError, match="given up"):
                    store_disk.remove(gone)
            finally:
                came_back.set()

        with pytest.raises(DiskHungError):
            await disk.run(late)
        await disk.run(lambda: store_disk.atomic_write(file, b"new"))
        stuck.set()
        await asyncio.to_thread(came_back.wait, 10)
        await until(lambda: not disk.hung, 5, "the thread has ended")
        assert file.read_bytes() == b"new"
        assert gone.exists()
        assert _names(tmp_path) == ["gone.json", "state.json"]

    play(test)


def test_a_disk_that_hangs_for_good_takes_a_few_threads_and_then_fails_at_once(stuck: threading.Event) -> None:
    async def test(disk: DiskThread) -> None:
        before = threading.active_count()
        calls = [asyncio.ensure_future(disk.run(hang(stuck))) for _ in range(MAX_LEFT_BEHIND + 4)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in outcomes] == [DiskHungError] * len(calls)
        assert disk.given_up == MAX_LEFT_BEHIND
        for _ in range(50):
            with pytest.raises(DiskHungError):
                await disk.run(lambda: None)
        assert threading.active_count() <= before + MAX_LEFT_BEHIND
        assert disk.hung
        stuck.set()
        await until(lambda: not disk.hung, 5, "the threads are back")
        assert await disk.run(lambda: "healed") == "healed"

    play(test)


def test_many_slow_calls_in_a_row_are_no_hang(stuck: threading.Event) -> None:
    async def test(disk: DiskThread) -> None:
        def slow() -> None:
            stuck.wait(0.05)

        calls = [asyncio.ensure_future(disk.run(slow)) for _ in range(20)]
        while not all(each.done() for each in calls):
            assert not disk.hung
            await asyncio.wait(calls, timeout=0.01)
        assert disk.given_up == 0

    play(test)


def test_the_queue_is_bounded_and_drops_are_counted(stuck: threading.Event) -> None:
    async def test(disk: DiskThread) -> None:
        calls = [asyncio.ensure_future(disk.run(hang(stuck))) for _ in range(PENDING)]
        await asyncio.sleep(0)
        with pytest.raises(DiskBusyError):
            await disk.run(lambda: None)
        assert disk.dropped == 1
        stuck.set()
        await asyncio.gather(*calls)

    play(test)


def test_what_is_queued_at_the_end_is_still_done(tmp_path: Path) -> None:
    async def run() -> None:
        disk = DiskThread()
        for number in range(20):
            task = asyncio.ensure_future(disk.run(lambda n=number: (tmp_path / str(n)).touch()))  # type: ignore[misc]
            await asyncio.sleep(0)
            task.cancel()
        disk.close()
        await until(lambda: len(_names(tmp_path)) == 20, 5, "all of it")

    asyncio.run(run())


def test_a_caller_that_waits_no_longer_does_not_end_the_call(stuck: threading.Event) -> None:
    async def test(disk: DiskThread) -> None:
        done = threading.Event()

        def call() -> None:
            stuck.wait(30)
            done.set()

        with pytest.raises(TimeoutError):
            await disk.run(call, timeout_s=0.01)
        stuck.set()
        assert await asyncio.to_thread(done.wait, 5)

    play(test)
