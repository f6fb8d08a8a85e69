"""The state outside core: never an older one over a newer, never one that a successor must not believe."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unitd.core import snapshot as module
from unitd.core.snapshot import Snapshot
from unitd.model.incident import State


class Log:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, event: str, **_: Any) -> None:
        self.errors.append(event)


class Disk:
    """Refuses the first `refusals` calls; holds every later one until `release` is set."""

    hung = False

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.refused, self.held, self.release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self, call: Callable[[], Any], timeout_s: float | None = None) -> Any:
        if self.refusals:
            self.refusals -= 1
            self.refused.set()
            raise OSError("no")
        self.held.set()
        await self.release.wait()
        return call()

    def close(self) -> None: ...


def made(directory: Path, disk: Disk) -> Snapshot:
    return Snapshot(directory / "run", directory / "state", disk, Log())  # type: ignore[arg-type]


def test_what_the_disk_refused_does_not_come_over_a_newer_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)

    async def story() -> None:
        disk = Disk(refusals=1)
        snapshot = made(tmp_path, disk)
        await snapshot.save_durable(State(suppressed=1))
        newer = asyncio.create_task(snapshot.save_durable(State(suppressed=2)))
        await disk.held.wait()
        again = asyncio.create_task(snapshot.run())
        for _ in range(20):
            await asyncio.sleep(0)
        disk.release.set()
        await newer
        again.cancel()

    asyncio.run(story())
    assert made(tmp_path, None).load_durable() == State(suppressed=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", [b"", b"\xff", b'{"incidents": [{}]}', b'{"isolation": "x"}'])
def test_a_state_that_cannot_be_read_is_told_of(tmp_path: Path, damage: bytes) -> None:
    log = Log()
    snapshot = Snapshot(tmp_path, tmp_path, None, log)  # type: ignore[arg-type]
    assert snapshot.load_volatile() is None
    assert log.errors == [], "there is none"
    (tmp_path / "core-state.json").write_bytes(damage)
    assert snapshot.load_volatile() is None
    assert len(log.errors) == 1


def test_a_tmpfs_that_refuses_leaves_no_old_state_to_believe(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    snapshot = made(tmp_path, None)  # type: ignore[arg-type]
    snapshot.save_volatile(State(suppressed=1))
    assert snapshot.load_volatile() == State(suppressed=1)
    (tmp_path / "run" / "core-state.tmp").mkdir()  # as a full tmpfs: the new copy cannot be written, the old removed
    snapshot.save_volatile(State(suppressed=2))
    assert snapshot.load_volatile() is None


def test_a_disk_that_is_read_late_still_tells_what_lay_there_before_ours(tmp_path: Path) -> None:
    async def story() -> None:
        disk = Disk()
        disk.release.set()
        await made(tmp_path, disk).save_durable(State(suppressed=1))
        late = made(tmp_path, disk)
        await late.save_durable(State(suppressed=2))
        assert late.load_durable() == State(suppressed=1)
        assert made(tmp_path, disk).load_durable() == State(suppressed=2)

    asyncio.run(story())
