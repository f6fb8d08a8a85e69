"""The card's own thread says when a driver does not come back to it."""

import asyncio
import threading

import pytest

from hw_sim.waiting import until
from unitd.drivers.sound import SILENCE, SoundCard


def test_a_driver_that_hangs_is_seen_and_one_that_comes_back_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    hang, free = threading.Event(), threading.Event()

    def reconcile(_card: SoundCard, _direction: object) -> None:
        if hang.is_set():
            free.wait(30)

    monkeypatch.setattr(SoundCard, "_reconcile", reconcile)
    card = SoundCard("mic", "horn", lambda _pcm: None, lambda: SILENCE)
    assert card.stuck_s() == 0

    async def run() -> None:
        card.start()
        hang.set()
        await until(lambda: card.stuck_s() > 0.5, 10, "the hang")
        hang.clear()
        free.set()
        await until(lambda: card.stuck_s() == 0, 10, "well again")

    try:
        asyncio.run(run())
    finally:
        free.set()
        card.close()
    assert card.stuck_s() == 0
