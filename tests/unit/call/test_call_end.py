"""The end of one incident's call is no reason for the next one's to wait."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
import structlog

from unitd.call import app
from unitd.call.app import CallWorker
from unitd.call.rtc.feedback import FEEDBACK_AT_ONCE, TransportFeedback
from unitd.call.voice.mixer import Mixer
from unitd.config import Config
from unitd.runtime.worker import Frame


def worker_of(run_dir: Path) -> CallWorker:
    bare = Config(schema=1)
    config = msgspec.structs.replace(bare, paths=msgspec.structs.replace(bare.paths, run_dir=str(run_dir)))
    rest = cast("Any", (None, SimpleNamespace(desired=None), None, None))
    return CallWorker(Frame(config, structlog.get_logger(), *rest))


async def _never_ends() -> None:
    """A call whose streams do not close."""
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.Event().wait()


def test_a_call_whose_end_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "END_WITHIN_S", 0.05)

    async def run() -> None:
        worker = worker_of(tmp_path)

        async def say_bye(_reason: str) -> None: ...

        task = asyncio.create_task(_never_ends())
        await asyncio.sleep(0)
        worker._conversation, worker._task = cast("Any", SimpleNamespace(say_bye=say_bye)), task
        began_s = time.monotonic()
        async with asyncio.timeout(5):
            await worker._hang_up("over")
        assert time.monotonic() - began_s < 2.0
        assert task in worker._ending  # still held: it goes on behind
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0)
        assert not worker._ending

    asyncio.run(run())


def test_a_goodbye_that_fails_ends_the_call_all_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        worker = worker_of(tmp_path)

        async def say_bye(_reason: str) -> None:
            raise ValueError("the far end's words")

        task = asyncio.create_task(asyncio.Event().wait())
        worker._conversation, worker._task = cast("Any", SimpleNamespace(say_bye=say_bye)), cast("Any", task)
        with pytest.raises(ValueError, match="words"):
            await worker._hang_up("over")
        await asyncio.wait({task}, timeout=1.0)
        assert task.cancelled()

    asyncio.run(run())


def test_the_end_of_an_old_session_does_not_silence_the_new_one_of_that_name() -> None:
    mixer = Mixer(lambda _name: None, lambda *_: None)
    mixer.open_voices(True)
    old, new = mixer.voice_of("peer-1"), mixer.voice_of("peer-1")
    mixer.forget("peer-1", old)
    for _ in range(50):
        new((np.ones(960) * 8000).astype("<i2").tobytes())
    assert any(np.frombuffer(mixer.frame(), "<i2").any() for _ in range(40))
    mixer.forget("peer-1", new)
    assert mixer.voice_facts()["voice.in_hand_ms"] == 0


def test_a_flood_of_feedback_does_not_reach_the_loop() -> None:
    heard: list[float] = []
    feedback = TransportFeedback(lambda _fci, at_s: heard.append(at_s))
    now_s = time.monotonic()
    for index in range(20_000):
        feedback.heard(b"", now_s + index / 10_000)
    assert len(heard) <= FEEDBACK_AT_ONCE + 2 * 100 + 1
    assert feedback.dropped_feedback == 20_000 - len(heard)
    feedback.heard(b"", now_s + 4.0)
    assert heard[-1] == now_s + 4.0
