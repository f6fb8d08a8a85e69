"""The gate: open gives the card's frames, shut gives silence, and nothing of before or after slips through."""

import asyncio
import threading
from collections.abc import Callable

from unitd.call.voice.microphone import WAITING_FRAMES, Microphone
from unitd.call.voice.pcm import FRAME_BYTES, SILENCE

VOICE = bytes([1]) * FRAME_BYTES


def play(check: Callable[[Microphone, list[bytes]], object]) -> None:
    async def run() -> None:
        sent: list[bytes] = []
        await check(Microphone(sent.append), sent)  # type: ignore[misc]

    asyncio.run(run())


def from_a_thread(microphone: Microphone, frames: int) -> None:
    thread = threading.Thread(target=lambda: [microphone.deliver(VOICE) for _ in range(frames)])
    thread.start()
    thread.join()


def test_shut_lets_nothing_through() -> None:
    async def check(microphone: Microphone, sent: list[bytes]) -> None:
        from_a_thread(microphone, 5)
        await asyncio.sleep(0)
        assert sent == []

    play(check)


def test_open_passes_frames_on() -> None:
    async def check(microphone: Microphone, sent: list[bytes]) -> None:
        microphone.gate(True)
        from_a_thread(microphone, 5)
        await asyncio.sleep(0)
        assert sent == [VOICE] * 5

    play(check)


def test_frames_in_hand_when_the_gate_shuts_are_thrown_away() -> None:
    async def check(microphone: Microphone, sent: list[bytes]) -> None:
        microphone.gate(True)
        from_a_thread(microphone, 5)
        microphone.gate(False)
        microphone.gate(True)
        await asyncio.sleep(0)
        assert sent == []

    play(check)


def test_a_late_loop_loses_the_oldest_and_counts() -> None:
    async def check(microphone: Microphone, sent: list[bytes]) -> None:
        microphone.gate(True)
        from_a_thread(microphone, WAITING_FRAMES + 7)
        await asyncio.sleep(0)
        assert len(sent) == WAITING_FRAMES
        assert microphone.dropped_frames == 7

    play(check)


def test_silence_fills_in_while_the_card_does_not_deliver_and_stops_while_it_does() -> None:
    async def check(microphone: Microphone, sent: list[bytes]) -> None:
        enough = asyncio.Event()
        microphone._send = lambda pcm: (sent.append(pcm), enough.set() if len(sent) == 5 else None)[0]
        microphone.listen(True)
        work = asyncio.create_task(microphone.run())
        await asyncio.wait_for(enough.wait(), 2)
        assert set(sent) == {SILENCE}
        microphone.gate(True)
        microphone.deliver(VOICE)
        await asyncio.sleep(0)
        sent.clear()
        for _ in range(10):
            microphone.deliver(VOICE)
            await asyncio.sleep(0.02)
        assert set(sent) == {VOICE}
        work.cancel()

    play(check)


def test_the_record_gets_its_frames_with_the_next_one_for_the_peers() -> None:
    """And by itself before any is lost, when the canceller gives none."""

    async def run() -> None:
        kept: list[bytes] = []
        microphone = Microphone(lambda _pcm: None, lambda pcm, _at_ns: kept.append(pcm))
        microphone.gate(True)
        microphone.keep(VOICE)
        await asyncio.sleep(0)
        assert kept == []
        microphone.deliver(VOICE)
        await asyncio.sleep(0)
        assert kept == [VOICE]
        for _ in range(WAITING_FRAMES // 2):
            microphone.keep(VOICE)
        await asyncio.sleep(0)
        assert len(kept) == 1 + WAITING_FRAMES // 2

    asyncio.run(run())
