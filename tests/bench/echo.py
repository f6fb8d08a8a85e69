"""The echo canceller's proof: `python -m tests.bench.echo` prints one line for each street; a part of `make bench`.

Offline, in virtual time, seeded. The operator's voice goes the product's way (level, limit, canceller) through a
simulated horn, street and microphone. TALK_S in which the operator speaks alone, then both at once without a pause: no
conversation is as hard. Judged are the last JUDGED_S of the first, and all of the second.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import itertools
import json
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw_sim.world.acoustics import RATE_HZ, Street, at_level
from tests.bench.echo_rig import F32, AsItIs, Figures, Heard, judged, run
from tests.bench.figures import Row
from tests.bench.progress import Progress
from tests.live.speech import CALLER, OPERATOR, sentences
from unitd.call.voice.canceller import Canceller
from unitd.call.voice.gain import HornGain, Loudness
from unitd.drivers.sound_echo import BLOCK_BYTES, WebRtcModule

ERLE_DB, STOI_LOST, ATTENUATION_DB = 35.0, 0.10, 3.0
TALK_S, DOUBLE_S, JUDGED_S = 24.0, 12.0, 10.0
CALLER_DBA = 72.0
"""At the microphone: a raised voice at arm's length (ISO 9921: 66 dB(A) at 1 m)."""
LOUDNESS = Loudness(horn_full_dba=100.0, ceiling_dba=90.0, talk_dba=80.0, quiet_dba=55.0)
STREET_DBA = 45.0
"""So quiet that an echo 35 dB down can be told from it."""
LOUD_STREET_DBA = 70.0
QUIET_STREET_DBA = 50.0
"""Above, the echo that is left drowns in the street, and less than the goal can be measured."""
OUTPUT = Path(__file__).resolve().parents[2] / "build" / "echo.json"


@dataclass(frozen=True)
class Case:
    name: str
    street: Street
    limit_dba: float = LOUDNESS.talk_dba
    is_judged: bool = True
    """The others show where it ends."""


def cases() -> list[Case]:
    """Every street of the proof. The horn is as loud as it may be in a talk; `bends` is an amplifier that clips
    6 dB below what it is given at most: the limit of a talk keeps clear of that. One that clips at 14 dB below is set
    wrong (docs/installer.md), and shows where it ends."""
    made = [
        Case(
            f"{delay:.0f} ms, {drift:.0f} ppm{', bends' if bends else ''}",
            Street(delay_ms=delay, drift_ppm=drift, saturates_at=bends, noise_dba=STREET_DBA),
        )
        for delay, drift, bends in itertools.product((20.0, 80.0, 250.0), (0.0, 200.0), (None, 0.5))
    ]
    base = Street(noise_dba=STREET_DBA)
    replaced = dataclasses.replace
    made.append(Case("callbacks 5 ms apart, -200 ppm", replaced(base, jitter_ms=5.0, drift_ppm=-200.0)))
    made.append(Case("street 60 dB(A)", replaced(base, noise_dba=60.0)))
    made.append(Case("street 70 dB(A)", replaced(base, noise_dba=LOUD_STREET_DBA)))
    made.append(Case("microphone 6 dB nearer to the horn", replaced(base, coupling_db=6.0)))
    made.append(Case("bends 14 dB below", replaced(base, saturates_at=0.2), is_judged=False))
    made.append(Case("no talk limit: 90 dB(A)", base, limit_dba=LOUDNESS.ceiling_dba, is_judged=False))
    made.append(
        Case("no talk limit, bends", replaced(base, saturates_at=0.5), limit_dba=LOUDNESS.ceiling_dba, is_judged=False)
    )
    return made


@functools.cache
def voices(talk_s: float, double_s: float) -> tuple[F32, F32]:
    """The operator's voice, and the caller's as the microphone hears it."""
    operator = sentences(OPERATOR).astype(np.float32) / np.float32(32767)
    caller = at_level(sentences(CALLER).astype(np.float32), CALLER_DBA)
    begins, ends = int(talk_s * RATE_HZ), int((talk_s + double_s) * RATE_HZ)
    spoken = np.zeros(ends, np.float32)
    spoken[begins:] = np.resize(caller, ends - begins)
    return np.resize(operator, ends), spoken


@functools.cache
def _alone(street: Street, talk_s: float, double_s: float) -> Heard:
    operator, caller = voices(talk_s, double_s)
    return run(street, np.zeros_like(operator), caller, AsItIs(), _canceller())


def _canceller() -> Canceller:
    return Canceller(lambda: WebRtcModule(echo=False))


class WebRtcAlone(Canceller):
    """For comparison: WebRTC's own canceller (AEC3) with its noise suppressor, told the true delay, and nothing of
    ours."""

    def __init__(self, delay_ms: float) -> None:
        super().__init__(None)
        self._apm = WebRtcModule(echo=True)
        self._delay_ms = int(delay_ms)
        self._played: deque[bytes] = deque()

    def far(self, pcm: bytes, at_ns: int) -> None:
        self._played.append(pcm)

    def near(self, pcm: bytes, at_ns: int) -> list[bytes]:
        out = b""
        played = self._played.popleft() if self._played else bytes(len(pcm))
        for at in (0, BLOCK_BYTES):
            self._apm.far(played[at : at + BLOCK_BYTES])
            self._apm.delay(self._delay_ms)
            out += self._apm.process(pcm[at : at + BLOCK_BYTES])
        return [out]


def measured(case: Case, talk_s: float = TALK_S, double_s: float = DOUBLE_S, *, webrtc: bool = False) -> Figures:
    """One street, about 4 s of CPU for the default lengths; `webrtc`: by WebRTC's canceller instead of ours."""
    operator, caller = voices(talk_s, double_s)
    gain = HornGain(LOUDNESS)
    gain.aim(case.limit_dba, LOUD_STREET_DBA)  # whatever the street: the horn is at its loudest
    heard = run(case.street, operator, caller, gain, WebRtcAlone(case.street.delay_ms) if webrtc else _canceller())
    # The microphone of a silent horn hears the same, however long the way from the horn is.
    plain = dataclasses.replace(case.street, delay_ms=80.0, saturates_at=None, coupling_db=0.0)
    alone = _alone(plain, talk_s, double_s)
    begins, ends = int(talk_s * RATE_HZ), int((talk_s + double_s) * RATE_HZ)
    judged_from = begins - int(min(JUDGED_S, talk_s / 2) * RATE_HZ)
    return judged(heard, alone, slice(judged_from, begins), slice(begins, ends))


def in_one_line(name: str, figures: Figures) -> str:
    return (
        f"{name:36} ERLE {figures.erle_db:5.1f} dB, left {figures.residual_db:6.1f} dBFS, 20 dB after "
        f"{figures.converged_s:4.1f} s; echo {figures.over_db:4.1f} dB over the caller: STOI {figures.stoi_alone:.3f} "
        f"alone, {figures.stoi:.3f} in double talk (lost {figures.stoi_lost:.3f}; uncancelled {figures.raw_stoi:.3f}), "
        f"caller turned down {figures.attenuation_db:.1f} dB"
    )


async def measure(progress: Progress) -> list[Row]:
    """The worst of all judged streets."""
    found = {}
    for case in cases():
        if case.is_judged:
            progress.step(case.name)
            found[case.name] = await asyncio.to_thread(measured, case)
    quiet = [case.name for case in cases() if case.name in found and case.street.noise_dba <= QUIET_STREET_DBA]
    worst = min(quiet, key=lambda name: found[name].erle_db)
    lost = max(found, key=lambda name: found[name].stoi_lost)
    down = max(found, key=lambda name: found[name].attenuation_db)
    return [
        Row("echo: what is left of it, worst street", -found[worst].erle_db, "dB", -ERLE_DB, worst, 1),
        Row("echo: STOI lost in double talk, worst", found[lost].stoi_lost, "", STOI_LOST, lost, 3),
        Row("echo: caller turned down, worst", found[down].attenuation_db, "dB", ATTENUATION_DB, down, 1),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.echo", description=__doc__)
    parser.add_argument("--only", default="", help="streets whose name contains this")
    parser.add_argument("--webrtc", action="store_true", help="WebRTC's canceller instead of ours")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes (default build/echo.json)")
    arguments = parser.parse_args()
    found = {}
    for case in cases():
        if arguments.only in case.name:
            figures = found[case.name] = measured(case, webrtc=arguments.webrtc)
            print(in_one_line(case.name, figures), flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({name: dataclasses.asdict(each) for name, each in found.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
