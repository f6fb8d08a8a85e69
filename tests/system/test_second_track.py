"""The second picture track and the stills' data channel of a session, against aiortc: taken, refused, or left out."""

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from tests.system.call_rig import until
from tests.system.low_bench import FPS, filmed
from unitd.call.picture.still_parts import Caption, Still, StillReader, parts_of
from unitd.call.picture.units import AccessUnit
from unitd.call.rtc.session import PeerSession
from unitd.call.voice.playout import Playout

pytestmark = pytest.mark.system


class FarEnd:
    """A session's owner and its far end in one: answers the offer, counts the pictures of each track."""

    def __init__(self, change: Callable[[str], str]) -> None:
        self.change = change
        self.frames: list[int] = []
        self.stills: list[Still] = []
        self.asked = 0
        self.pc = RTCPeerConnection()
        self.pc.on("track", self._on_track)
        self.pc.on("datachannel", self._on_channel)
        self._reader = StillReader()
        self._tasks: set[asyncio.Task[None]] = set()
        self._early: list[tuple[int, str]] = []

    def _spawn(self, work: object) -> None:
        task = asyncio.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self.frames.append(0)
            self._spawn(self._count(track, len(self.frames) - 1))

    async def _count(self, track: MediaStreamTrack, index: int) -> None:
        while True:
            await track.recv()
            self.frames[index] += 1

    def _on_channel(self, channel: object) -> None:
        def take(message: bytes) -> None:
            if (still := self._reader.take(message)) is not None:
                self.stills.append(still)

        if channel.label == "stills":  # type: ignore[attr-defined]
            channel.on("message", take)  # type: ignore[attr-defined]

    async def _answer(self, session: PeerSession, sdp: str) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        for mline, text in self._early:
            await self._add(mline, text)
        session.set_answer(self.change(self.pc.localDescription.sdp))

    async def _add(self, mline: int, text: str) -> None:
        candidate = candidate_from_sdp(text.removeprefix("candidate:"))
        candidate.sdpMLineIndex = mline
        await self.pc.addIceCandidate(candidate)

    def session_offers(self, session: PeerSession, sdp: str) -> None:
        self._spawn(self._answer(session, sdp))

    def session_candidate(self, session: PeerSession, mline: int, candidate: str) -> None:
        if self.pc.remoteDescription is None:
            self._early.append((mline, candidate))
        else:
            self._spawn(self._add(mline, candidate))

    def session_state(self, session: PeerSession, state: str, detail: str) -> None: ...

    def session_feedback(self, session: PeerSession, fci: bytes, at_s: float) -> None: ...

    def session_wants_keyframe(self, session: PeerSession) -> None:
        self.asked += 1

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pc.close()


def taken(sdp: str) -> str:
    return sdp


def refused(sdp: str) -> str:
    parts = re.split("(?=m=)", sdp)
    parts[3] = re.sub(r"m=video \d+", "m=video 0", parts[3])
    return "".join(parts)


def left_out(sdp: str) -> str:
    parts = re.split("(?=m=)", sdp)
    return "".join(parts[:3] + parts[4:])


@pytest.mark.parametrize(("change", "has_pip"), [(taken, True), (refused, False), (left_out, False)])
def test_the_first_picture_and_the_stills_come_whatever_becomes_of_the_second(
    change: Callable[[str], str], has_pip: bool
) -> None:
    async def play() -> None:
        far = FarEnd(change)
        with ThreadPoolExecutor(2) as executor:
            session = PeerSession("far", far, Playout(), executor, pip=True)
            try:
                await session.start()
                await until(lambda: session.connected, 10, "connected")
                assert session.has_pip is has_pip
                assert session.pip is not None
                for unit in filmed(2):
                    live = AccessUnit(unit.data, unit.keyframe, unit.source_ns, time.monotonic_ns())
                    session.push_picture(live)
                    session.pip.push(live)
                    await asyncio.sleep(0.5 / FPS)
                await until(lambda: far.frames[0] > 20, 5, "the first picture")
                if has_pip:
                    await until(lambda: far.frames[1] > 20, 5, "the second picture")
                else:
                    assert sum(far.frames[1:]) == 0
                await until(lambda: session.data.stills_open, 5, "the channel")
                still = Still(Caption(camera="dome", at_utc_us=1), b"\xff\xd8" + bytes(9000))
                for part in parts_of(1, still):
                    assert session.data.send_still(part)
                await until(lambda: far.stills == [still], 5, "the still")
            finally:
                await session.close()
                await far.close()

    asyncio.run(play())
