"""The real `unitd call` process, a real relay, and an operator by another WebRTC implementation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hw_sim.devices.sound import VirtualSound
from hw_sim.operator.peer import OperatorPeer
from tests.system.call_rig import Rig, rig, until
from unitd.messages.workers import SoundWanted, WarningWanted

pytestmark = pytest.mark.system


@asynccontextmanager
async def operator(made: Rig) -> AsyncIterator[OperatorPeer]:
    peer = OperatorPeer(made.relay.peer_url)
    await peer.start()
    try:
        yield peer
    finally:
        await peer.close()


@asynccontextmanager
async def card(directory: Path) -> AsyncIterator[VirtualSound]:
    sound = VirtualSound(directory / "sound")
    await asyncio.to_thread(sound.start)
    try:
        yield sound
    finally:
        await asyncio.to_thread(sound.stop)


def test_the_operator_sees_and_hears_the_caller_at_once_and_is_heard_after_answering(tmp_path: Path) -> None:
    async def play() -> None:
        async with card(tmp_path) as sound, rig(tmp_path) as made, operator(made) as peer:
            await made.start_call(sound.env())
            sound.play_caller(440)
            peer.speak(700)
            made.core.want(made.call(microphone=True))
            await until(lambda: peer.frames > 20, 15, "moving picture")
            await until(lambda: peer.hears_tone(440), 10, "the operator hears the caller")
            assert made.core.names()[:2] == ["call_offered", "call_connected"]
            assert peer.picture_size == (640, 360)
            # Not answered: the horn is shut to the operator.
            assert await sound.horn_tone_db(700, 0.5) < -70
            made.core.want(made.call(microphone=True, voices=True))
            await until(lambda: True, 1, "")
            levels = [await sound.horn_tone_db(700, 0.4) for _ in range(4)]
            # 74 dB(A) of the horn's 100: `talk_dba` less what syllables stand above the mean.
            assert -30 < max(levels) < -18, levels
            # The gate: shut means silence at the operator's, and a closed input.
            made.core.want(made.call(microphone=False, voices=True))
            await until(lambda: made.core.health.facts.get("sound.input") == "closed", 5, "the input is closed")
            await until(lambda: peer.ear.tone_db(440, 0.4) < -70, 5, "silence")
            made.core.want(made.call(microphone=True, voices=True))
            await until(lambda: peer.hears_tone(440), 5, "the gate opens again")
            frames = peer.frames
            await until(lambda: peer.frames > frames + 20, 5, "the picture still moves")
            latencies = sorted(peer.latencies_ms)
            assert latencies[len(latencies) // 2] < 250, latencies
            assert made.rss_mb() <= 110, made.rss_mb()
            steps = [line["step"] for line in made.logged() if line.get("event") == "chain"]
            assert steps[:2] == ["call_offered", "call_connected"]
            print(
                "glass to glass",
                latencies[len(latencies) // 2],
                latencies[int(len(latencies) * 0.95)],
                "rss",
                made.rss_mb(),
            )
            made.core.want(None)
            await until(lambda: "call_lost" in made.core.names(), 5, "the call is put down")
            assert await made.stop_call() == 0

    asyncio.run(play())


def test_prompts_and_warnings_come_out_of_the_horn(tmp_path: Path) -> None:
    async def play() -> None:
        from hw_sim.operator.hearing import level_db

        async with card(tmp_path) as sound, rig(tmp_path, record=False, relay=False) as made:
            await made.start_call(sound.env())
            await until(lambda: made.core.health.facts.get("sound.output") == "open", 5, "the horn is open")
            assert level_db(await sound.horn_sound(0.3)) < -90
            made.core.want(sound=SoundWanted(prompt="received"))
            assert level_db(await sound.horn_sound(1.5)) > -35
            made.core.want(sound=SoundWanted(warning=WarningWanted(number=3, name="stay_back")))
            assert level_db(await sound.horn_sound(1.5)) > -35
            await until(lambda: "warning_played" in made.core.names(), 6, "the warning is reported")
            event = next(event for event in made.core.events if event.name == "warning_played")
            assert event.data == {"number": 3, "name": "stay_back"}

    asyncio.run(play())


def test_a_lost_card_is_a_fault_and_the_picture_goes_on(tmp_path: Path) -> None:
    async def play() -> None:
        async with card(tmp_path) as sound, rig(tmp_path) as made, operator(made) as peer:
            await made.start_call(sound.env())
            sound.play_caller(440)
            made.core.want(made.call(microphone=True))
            await until(lambda: peer.hears_tone(440), 15, "sound and picture")
            await asyncio.to_thread(sound.unplug)
            await until(lambda: ("sound_lost", "horn") in made.core.faults(), 10, "the fault is reported")
            await until(lambda: ("sound_lost", "mic") in made.core.faults(), 10, "the fault is reported")
            frames = peer.frames
            await until(lambda: peer.frames > frames + 20, 5, "the picture goes on")
            await asyncio.to_thread(sound.replug)
            sound.play_caller(440)
            await until(lambda: not made.core.faults(), 15, "the fault is gone")
            await until(lambda: peer.hears_tone(440), 5, "the caller is heard again")

    asyncio.run(play())
