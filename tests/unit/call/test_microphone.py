"""The gate: open gives the card's frames, shut gives silence, and nothing of before or after slips through."""

import asyncio
import threading
import time
from collections.abc import Callable

from unitd.call.voice.microphone import Microphone
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


def test_once_the_gate_is_shut_nothing_is_sent_any_more() -> None:
    async def check(microphone: Microphone, sent: list[bytes]) -> None:
        stop = threading.Event()

        def deliver() -> None:
            while not stop.is_set():
                microphone.deliver(VOICE)

        thread = threading.Thread(target=deliver)
        thread.start()
        for _ in range(200):
            microphone.gate(True)
            deadline_s = time.monotonic() + 5
            while not sent and time.monotonic() < deadline_s:
                pass  # the other thread gets its turns all the same
            assert sent
            microphone.gate(False)
            sent.clear()
            await asyncio.sleep(0)
            assert sent == []
        stop.set()
        thread.join()

    play(check)


def test_a_busy_loop_holds_no_voice_up() -> None:
    async def check(microphone: Microphone, sent: list[bytes]) -> None:
        microphone.gate(True)
        from_a_thread(microphone, 50)  # this loop does nothing meanwhile
        assert sent == [VOICE] * 50

    play(check)


def test_who_sends_may_fail_and_the_next_frame_passes() -> None:
    async def check(microphone: Microphone, sent: list[bytes]) -> None:
        def fail(_pcm: bytes) -> None:
            raise RuntimeError

        microphone.gate(True)
        works, microphone._send = microphone._send, fail
        from_a_thread(microphone, 3)
        microphone._send = works
        from_a_thread(microphone, 1)
        assert (microphone.failed_frames, sent) == (3, [VOICE])

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


def test_the_record_gets_what_the_card_gave_while_the_gate_is_open() -> None:
    async def run() -> None:
        kept: list[bytes] = []
        microphone = Microphone(lambda _pcm: None, lambda pcm, _at_ns: kept.append(pcm))
        microphone.keep(VOICE)
        assert kept == []
        microphone.gate(True)
        microphone.keep(VOICE)
        microphone.keep(VOICE[:-2])
        assert kept == [VOICE]
        microphone.gate(False)
        microphone.keep(VOICE)
        assert kept == [VOICE]

    asyncio.run(run())
