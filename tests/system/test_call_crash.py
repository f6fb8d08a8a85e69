"""The media engine dies in the middle of a call: the call is back with its picture and both voices within 5 s.

The process is kept as systemd keeps it (hw_sim/processes.py has the pauses of the unit files).
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hw_sim.devices.sound import VirtualSound
from hw_sim.operator.hearing import tone_db
from hw_sim.operator.peer import OperatorPeer
from hw_sim.processes import KeptProcess
from tests.system.call_rig import Rig, rig, until

pytestmark = pytest.mark.system

ENGINE_ERRORS = Path(__file__).parent / "engine_errors"
BACK_WITHIN_S = 5.0
CALLER_HZ, OPERATOR_HZ = 440.0, 700.0
HEARD_S = 0.2


class Crashed:
    """When picture and voices were there again, after `since_s`."""

    def __init__(self, made: Rig, peer: OperatorPeer, sound: VirtualSound) -> None:
        self._made, self._peer, self._sound = made, peer, sound
        self._offers = peer.offers
        self._heard = 0
        peer.forget()
        self.since_s = time.monotonic()

    async def wait(self) -> dict[str, float]:
        """Seconds from the crash until each was back. Of before the crash nothing counts: a new offer comes first."""
        limit_s = 4 * BACK_WITHIN_S
        await until(lambda: self._peer.offers > self._offers, limit_s, "a new offer")
        back = {"offer": self._after_s()}
        self._peer.forget()
        self._heard = self._peer.ear.heard_samples
        picture, caller, operator = await asyncio.gather(
            self._picture(limit_s), self._caller(limit_s), self._operator()
        )
        return back | {"picture": picture, "caller": caller, "operator": operator}

    def _after_s(self) -> float:
        return time.monotonic() - self.since_s

    async def _picture(self, limit_s: float) -> float:
        await until(lambda: self._peer.frames > 2, limit_s, "picture")
        return self._after_s()

    async def _caller(self, limit_s: float) -> float:
        def hears() -> bool:
            fresh = self._peer.ear.heard_samples - self._heard
            return fresh > HEARD_S * 48_000 and self._peer.hears_tone(CALLER_HZ, HEARD_S)

        await until(hears, limit_s, "the caller's voice")
        return self._after_s()

    async def _operator(self) -> float:
        """The horn is listened to in pieces of HEARD_S; whatever it still played is over by the new offer."""
        pieces: list[bytes] = []
        async for frame in self._sound.horn_pcm():
            pieces = [*pieces[-9:], frame]
            if len(pieces) == 10 and _is_there(b"".join(pieces), OPERATOR_HZ):
                break
        return self._after_s()


def _is_there(pcm: bytes, freq_hz: float) -> bool:
    return tone_db(np.frombuffer(pcm, np.int16), freq_hz) > -40


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "engine error"])
def test_a_call_whose_engine_dies_is_back_within_five_seconds(tmp_path: Path, how: str) -> None:
    async def play() -> dict[str, float]:
        sound = VirtualSound(tmp_path / "sound")
        await asyncio.to_thread(sound.start)
        try:
            async with rig(tmp_path) as made:
                made.write_config(sound=True)
                environment = os.environ | sound.env() | {"PYTHONPATH": str(ENGINE_ERRORS)}
                command = [sys.executable, "-m", "unitd", "call", "--config", str(made.config_file)]
                (tmp_path / "logs").mkdir()
                kept = KeptProcess("call", command, environment, Path.cwd(), tmp_path / "logs")
                await kept.start()
                try:
                    return await _crash(how, made, sound, kept)
                finally:
                    await kept.stop()
                    print((tmp_path / "logs" / "call.jsonl").read_text()[-5000:], kept.last_words())
        finally:
            await asyncio.to_thread(sound.stop)

    back = asyncio.run(play())
    print(how, {name: round(after_s, 2) for name, after_s in back.items()})
    assert max(back.values()) < BACK_WITHIN_S, back


async def _crash(how: str, made: Rig, sound: VirtualSound, kept: KeptProcess) -> dict[str, float]:
    await kept.wait_ready(15)
    sound.play_caller(CALLER_HZ)
    peer = OperatorPeer(made.relay.peer_url)
    peer.speak(OPERATOR_HZ)
    await peer.start()
    try:
        made.core.want(made.call(microphone=True, voices=True))
        await until(lambda: peer.frames > 20, 15, "picture")
        await until(lambda: peer.hears_tone(CALLER_HZ, HEARD_S), 10, "the caller's voice")
        starts = kept.starts
        crashed = Crashed(made, peer, sound)
        kept.send_signal(signal.SIGUSR1 if how == "engine error" else signal.Signals[how])
        back = await crashed.wait()
        assert kept.starts == starts + (0 if how == "engine error" else 1)
        return back
    finally:
        await peer.close()
