"""Both pages against the audit, in each state, in the light and the dark."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.browser.accessibility import audit
from tests.browser.chromium import DESKTOP, PHONE, chromium, until
from tests.browser.fake_bench import FakeBench, FakePanel, FakeSound
from tests.browser.test_pages import Room, with_pole, with_room
from unitd.messages.control_room import FaultReport

pytestmark = pytest.mark.browser

BAD = """<button></button><p style="color: #999; background: #fff">faint</p><img src="x"><input aria-labelledby="none">
<p id="a"></p><p id="a"></p><button style="min-height: 0; width: 12px; height: 12px; padding: 0">x</button>"""


def test_the_audit_finds_what_is_wrong() -> None:
    async def run() -> None:
        async with chromium() as browser:
            page = await browser.new_page()
            await page.set_content(f"<body>{BAD}")
            rules = [each.partition(":")[0] for each in await audit(page)]
            wanted = {"lang", "h1", "no name", "no alt", "twice the same id", "aria-labelledby of nothing", "contrast"}
            assert wanted | {"smaller than 24 px"} == set(rules)

    asyncio.run(run())


async def in_both_looks(page: Page) -> list[str]:
    """What is wrong in the light and in the dark."""
    found = []
    for scheme in ("dark", "light"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found += [f"{scheme}: {each}" for each in await audit(page)]
    return found


def test_the_console_in_each_state() -> None:
    async def play(room: Room) -> None:
        page = await room.console(DESKTOP, permissions=["microphone"])
        room.unit.cameras, room.unit.faults = ("dome", "panel"), (FaultReport(code="dome_lost"),)
        await until(page, "document.querySelector('#units li') !== null")
        assert await in_both_looks(page) == []
        await page.click("#units [data-focus=watch]")
        assert await in_both_looks(page) == []
        await page.keyboard.press("Escape")
        room.unit.press()
        room.unit.still()
        async with room.calling():
            await until(page, "document.getElementById('picture').videoWidth > 0")
            assert await in_both_looks(page) == []
            await page.click("#answer")
            await until(page, "!document.getElementById('mute').hidden && !document.getElementById('mute').disabled")
            await page.click("#push")
            await page.click("#quiet")
            await until(page, "window.console_page.line.textWay === 'channel'")
            room.unit.types("help me\u2028I am")
            room.unit.event("call_time_warning", seconds=1800, closes_in_s=60, on_line=False)
            await until(page, "!document.getElementById('time-warning').hidden")
            assert await in_both_looks(page) == []
        await until(page, "!document.getElementById('lost').hidden")
        assert await in_both_looks(page) == []
        for button in ("#help", "#hand-over", "#close"):
            await page.click(button)
            assert await in_both_looks(page) == [], button
            await page.keyboard.press("Escape")
        await page.click("#close")
        await page.check("input[value=genuine]")
        await page.click("#close-confirm")
        await until(page, "document.querySelector('#past li') !== null && document.getElementById('call').hidden")
        assert await in_both_looks(page) == []

    with_room(play)


def test_the_poles_page_in_each_state(tmp_path: Path) -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, browser: Browser) -> None:
        panel = FakePanel(tmp_path / "panel.sock")
        serving = asyncio.create_task(panel.port.run())
        page = await browser.new_page(viewport=PHONE)
        await page.goto(url)
        await until(page, "document.getElementById('panel-state').textContent.startsWith('At rest')")
        await until(page, "document.getElementById('picture').naturalWidth > 0")
        assert await in_both_looks(page) == []
        panel.desk.follow("incident-1", "received", True)
        panel.desk.answered("Yes")
        panel.desk.heard("peer-1", "We see you", "Ana")
        bench.lit["yellow"] = True
        await bench.set_fault("camera", "frozen")
        await until(page, "document.getElementById('panel-operator').textContent !== ''")
        await until(page, "document.querySelector('.fault.on') !== null")
        assert await in_both_looks(page) == []
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    with_pole(play, tmp_path / "panel.sock")
