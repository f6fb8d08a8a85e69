"""What the operator sees when parts of the real pole fail in the middle of a call: it is said, and it comes back."""

import asyncio

import pytest
from playwright.async_api import Page

from hw_sim.bench import Bench, BenchOptions
from tests.browser.chromium import DESKTOP, chromium, collect_errors, until

pytestmark = pytest.mark.browser

LIVE = "!document.getElementById('picture-live').hidden"


@pytest.mark.timeout(180)
def test_a_call_survives_a_cut_link_and_dead_processes() -> None:
    asyncio.run(_call())


async def _call() -> None:
    async with Bench(BenchOptions()) as bench:
        await bench.wait_ready()
        assert bench.room is not None
        async with chromium() as browser:
            context = await browser.new_context(viewport=DESKTOP, permissions=["microphone"])
            page = await context.new_page()
            errors = collect_errors(page)
            await page.goto(bench.room.console_url)
            bench.press()
            await until(page, LIVE)
            bench.release()
            await page.click("#answer")
            await until(page, "document.getElementById('call-stage').textContent.startsWith('Answered')")
            await _cut(page, bench)
            await _kill(page, bench, "call", LIVE + " && !document.getElementById('mute').hidden")
            await _kill(page, bench, "core", "document.getElementById('call-faults').children.length === 0")
            assert (await page.inner_text("#call-stage")).startswith("Answered"), "the same incident, the same stage"
            assert await page.evaluate("document.getElementById('caller').muted") is False
            assert errors == []


async def _cut(page: Page, bench: Bench) -> None:
    await bench.faults.set("link", "cut")
    await until(page, "!document.getElementById('picture-wait').hidden", 10)
    await bench.faults.set("link", "off")
    await until(page, LIVE, 20)


async def _kill(page: Page, bench: Bench, process: str, back: str) -> None:
    """The unit's word that something is wrong, or a lost line, must be seen before the recovery counts."""
    wrong = (
        "document.getElementById('call-faults').children.length > 0 || document.getElementById('picture-live').hidden"
    )
    seen = asyncio.create_task(until(page, wrong, 10))
    await bench.faults.set("kill", process)
    await seen
    await until(page, back, 20)


@pytest.mark.timeout(120)
def test_a_console_that_nobody_has_clicked_keeps_one_picture() -> None:
    """Without a click a browser lets no sound run, so not even silence is sent: the unit must not take it for dead."""
    asyncio.run(_unclicked())


async def _unclicked() -> None:
    async with Bench(BenchOptions(sound=False)) as bench:
        await bench.wait_ready()
        assert bench.room is not None
        async with chromium() as browser:
            page = await browser.new_page(viewport=DESKTOP)
            await page.goto(bench.room.console_url)
            await page.evaluate("window.console_page.context.suspend()")  # as before a click
            bench.press()
            await until(page, LIVE)
            bench.release()
            assert await page.evaluate("window.console_page.context.state") == "suspended"
            assert await page.is_visible("#sound-on")
            await page.evaluate("window.first = window.console_page.line.connection")
            # Longer than the unit's patience with a silent peer (15 s).
            await until(page, "document.getElementById('picture').currentTime > 18", 40)
            assert await page.evaluate("window.first === window.console_page.line.connection")
