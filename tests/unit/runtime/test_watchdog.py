"""systemd is fed by completed work, and told when a service hangs though the loop runs."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hw_sim.waiting import until
from unitd.runtime.watchdog import Watchdog, next_step

PERIOD_S = 0.01


class Systemd:
    """The far end of the notify socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))

    def said(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(PERIOD_S * 3e6)))
    return Systemd(tmp_path / "notify")


async def watched(watchdog: Watchdog, enough: Callable[[], bool], on_stale: Callable[[list[str]], None]) -> None:
    task = asyncio.ensure_future(watchdog.run(on_stale))
    try:
        await until(enough, 5, "what systemd is to hear", every_s=PERIOD_S)
    finally:
        task.cancel()


def test_it_is_fed_while_every_service_completes_cycles(systemd: Systemd) -> None:
    now = [0]
    watchdog = Watchdog(lambda: now[0])
    watchdog.expect("time", within_s=4)
    watchdog.expect("press", within_s=4)
    said: list[str] = []

    def enough() -> bool:
        now[0] += 1_000_000_000
        watchdog.beat("time")
        watchdog.beat("press")
        said.extend(systemd.said())
        return len(said) >= 10

    asyncio.run(watched(watchdog, enough, pytest.fail))
    assert set(said) == {"WATCHDOG=1"}


@pytest.mark.parametrize("beats", [0, 3], ids=["never began", "stopped"])
def test_a_service_that_hangs_starves_it_and_is_reported(systemd: Systemd, beats: int) -> None:
    now = [0]
    watchdog = Watchdog(lambda: now[0])
    watchdog.expect("time", within_s=4)
    watchdog.expect("press", within_s=4)
    stale: list[list[str]] = []
    said: list[str] = []
    left = [beats]

    def enough() -> bool:
        now[0] += 1_000_000_000
        watchdog.beat("time")
        if left[0] > 0:
            left[0] -= 1
            watchdog.beat("press")
        said.extend(systemd.said())
        return "WATCHDOG=trigger" in said

    asyncio.run(watched(watchdog, enough, stale.append))
    assert stale[-1] == ["press"]
    first = said.index("WATCHDOG=trigger")
    assert "WATCHDOG=1" not in said[first:]
    assert now[0] < (beats + 15) * 1_000_000_000


def test_a_pause_of_the_whole_process_is_no_hang(systemd: Systemd) -> None:
    """After a pause the watchdog's task may come before those that are to beat."""
    now = [0]
    watchdog = Watchdog(lambda: now[0])
    watchdog.expect("time", within_s=4)
    said: list[str] = []
    now[0] = 60_000_000_000

    stale: list[list[str]] = []

    def enough() -> bool:
        if stale:  # the watchdog's task came first; now the others run too
            watchdog.beat("time")
        said.extend(systemd.said())
        return len(said) >= 3

    async def run() -> None:
        task = asyncio.ensure_future(watchdog.run(stale.append))
        await asyncio.sleep(0)
        await watched(watchdog, enough, stale.append)
        task.cancel()

    asyncio.run(run())
    assert stale == [["time"]]
    assert set(said) == {"WATCHDOG=1"}


def test_one_that_ended_in_order_is_expected_no_more() -> None:
    now = [0]
    watchdog = Watchdog(lambda: now[0])
    watchdog.expect("eye", within_s=4)
    now[0] = 5_000_000_000
    assert watchdog.stale() == ["eye"]
    watchdog.forget("eye")
    assert watchdog.stale() == []


def test_each_step_of_a_start_gets_its_own_time(systemd: Systemd) -> None:
    next_step()
    assert systemd.said() == ["EXTEND_TIMEOUT_USEC=12000000"]


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    next_step()
