"""A session's channel for letters against a real browser: both ways, beyond the basic plane, in order."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.browser.chromium import chromium
from tests.browser.test_two_pictures import ANSWER, Owner
from unitd.call.rtc.session import PeerSession
from unitd.call.voice.playout import Playout

pytestmark = pytest.mark.browser

LISTEN = """() => {
  window.letters = "";
  const answered = window.RTCPeerConnection;
  window.RTCPeerConnection = function (...given) {
    const pc = new answered(...given);
    pc.addEventListener("datachannel", ({ channel }) => {
      if (channel.label !== "t140") return;
      window.t140 = channel;
      channel.onmessage = ({ data }) => { window.letters += data; };
    });
    return pc;
  };
}"""
SAID = "H\u00e9lp\u0008\u0008\u2028\U0001f691"


def test_letters_both_ways() -> None:
    async def play() -> None:
        async with chromium() as browser:
            page = await browser.new_page()
            await page.evaluate(LISTEN)
            owner, heard = Owner(page), list[str]()
            with ThreadPoolExecutor(2) as executor:
                session = PeerSession("page", owner, Playout(), executor, heard.append)
                try:
                    await session.start()
                    session.set_answer(await page.evaluate(ANSWER, await owner.offer))
                    for mline, candidate in owner.candidates:
                        ice = json.dumps({"candidate": candidate, "sdpMLineIndex": mline})
                        await page.evaluate(f"window.pc.addIceCandidate({ice})")
                    deadline_s = time.monotonic() + 15
                    while not session.data.text_open:
                        assert time.monotonic() < deadline_s, session.state
                        await asyncio.sleep(0.02)
                    assert await page.evaluate("[t140.protocol, t140.ordered, t140.maxRetransmits]") == [
                        "t140",
                        True,
                        None,
                    ]
                    for letter in SAID:
                        assert session.data.send_text(letter)
                    await page.evaluate(f"for (const letter of {json.dumps(SAID)}) t140.send(letter)")
                    while "".join(heard) != SAID or await page.evaluate("window.letters") != SAID:
                        assert time.monotonic() < deadline_s, heard
                        await asyncio.sleep(0.02)
                finally:
                    await session.close()

    asyncio.run(play())
