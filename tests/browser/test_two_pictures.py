"""A unit's session with two picture tracks against a real browser: both are shown, the second when it is sent, in the
sizes of the low step too, and a still comes by its data channel."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.chromium import chromium
from tests.system.low_bench import FPS, decoded, filmed
from unitd.call.picture.low_encoder import LowEncoder, encoders
from unitd.call.picture.still_parts import Caption, Still, parts_of
from unitd.call.picture.units import AccessUnit
from unitd.call.rtc.session import PeerSession
from unitd.call.voice.playout import Playout

pytestmark = pytest.mark.browser

ANSWER = """async (sdp) => {
  const pc = window.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  window.bytes = 0;
  pc.ondatachannel = ({ channel }) => {
    channel.binaryType = "arraybuffer";
    if (channel.label === "stills") channel.onmessage = ({ data }) => { window.bytes += data.byteLength; };
  };
  pc.ontrack = ({ track }) => {
    const element = document.createElement(track.kind);
    element.srcObject = new MediaStream([track]);
    element.muted = element.autoplay = true;
    document.body.append(element);
  };
  await pc.setRemoteDescription({ type: "offer", sdp });
  for (const each of pc.getTransceivers()) each.direction = "recvonly";
  await pc.setLocalDescription(await pc.createAnswer());
  await new Promise((done) => {
    if (pc.iceGatheringState === "complete") done();
    pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done();
  });
  return pc.localDescription.sdp;
}"""
SHOWN = """() => [...document.querySelectorAll("video")].map((each) =>
  [each.videoWidth, each.videoHeight, each.getVideoPlaybackQuality().totalVideoFrames])"""


class Owner:
    """A session's owner that hands everything to the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.offer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.candidates: list[tuple[int, str]] = []

    def session_offers(self, session: PeerSession, sdp: str) -> None:
        self.offer.set_result(sdp)

    def session_candidate(self, session: PeerSession, mline: int, candidate: str) -> None:
        self.candidates.append((mline, candidate))

    def session_state(self, session: PeerSession, state: str, detail: str) -> None: ...

    def session_feedback(self, session: PeerSession, fci: bytes, at_s: float) -> None: ...

    def session_wants_keyframe(self, session: PeerSession) -> None: ...


async def shown(page: Page, least: list[tuple[int, int]]) -> None:
    """Wait until each track shows pictures of this size, and more of them."""
    deadline_s, counts = time.monotonic() + 10, None
    while True:
        now: list[Any] = await page.evaluate(SHOWN)
        sizes = [(width, height) for width, height, _ in now if width > 0]
        if sizes == least and counts is not None and all(b[2] > a[2] + 3 for a, b in zip(counts, now, strict=True)):
            return
        counts = counts or (now if sizes == least else None)
        assert time.monotonic() < deadline_s, f"{least} not shown: {now}"
        await asyncio.sleep(0.1)


def test_both_pictures_are_shown_and_a_still_comes() -> None:
    async def play() -> None:
        small: list[AccessUnit] = []
        encoder = LowEncoder(encoders()[0], 80_000, small.append)
        encoder.start()
        for picture in decoded(filmed(3)):
            encoder.show(picture)
            await asyncio.sleep(0.01)
        encoder.stop()
        async with chromium() as browser:
            page = await browser.new_page()
            owner = Owner(page)
            with ThreadPoolExecutor(2) as executor:
                session = PeerSession("page", owner, Playout(), executor, pip=True)
                try:
                    await session.start()
                    session.set_answer(await page.evaluate(ANSWER, await owner.offer))
                    for mline, candidate in owner.candidates:
                        ice = json.dumps({"candidate": candidate, "sdpMLineIndex": mline})
                        await page.evaluate(f"window.pc.addIceCandidate({ice})")
                    deadline_s = time.monotonic() + 10
                    while not (session.connected and session.data.stills_open):
                        assert time.monotonic() < deadline_s, session.state
                        await asyncio.sleep(0.02)
                    assert session.pip is not None
                    assert session.has_pip
                    tasks = [asyncio.create_task(_film(session.picture, filmed(3)))]
                    await asyncio.sleep(0.5)
                    tasks.append(asyncio.create_task(_film(session.pip, tuple(small))))
                    await shown(page, [(640, 360), (320, 180)])
                    still = Still(Caption(camera="dome", at_utc_us=1), b"\xff\xd8" + bytes(9000))
                    parts = parts_of(1, still)
                    assert all(session.data.send_still(part) for part in parts)
                    deadline_s = time.monotonic() + 5
                    while await page.evaluate("window.bytes") != sum(map(len, parts)):
                        assert time.monotonic() < deadline_s, "the still's bytes"
                        await asyncio.sleep(0.02)
                    for task in tasks:
                        task.cancel()
                finally:
                    await session.close()

    asyncio.run(play())


async def _film(track: Any, units: tuple[AccessUnit, ...]) -> None:
    """The same pictures again and again, as from a camera."""
    fps, count = FPS, 0
    while True:
        unit = units[count % len(units)]
        at_ns = count * 1_000_000_000 // fps
        track.push(AccessUnit(unit.data, unit.keyframe, at_ns, time.monotonic_ns()))
        count += 1
        await asyncio.sleep(1 / fps)
