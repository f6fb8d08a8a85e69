"""A link that lets no stream through: the operator sees a still from the camera while it rings."""

import asyncio

import pytest
from playwright.async_api import Page

from hw_sim.bench import Bench, BenchOptions
from tests.browser.chromium import PHONE, chromium, collect_errors, until

pytestmark = pytest.mark.browser

SHOWN = "document.querySelector('#stills img')?.naturalWidth > 0"


@pytest.mark.timeout(120)
def test_a_still_is_shown_when_no_stream_gets_through() -> None:
    asyncio.run(_call())


async def _call() -> None:
    async with Bench(BenchOptions()) as bench:
        await bench.wait_ready()
        assert bench.room is not None
        async with chromium() as browser:
            context = await browser.new_context(viewport=PHONE, permissions=["microphone"])
            page = await context.new_page()
            errors = collect_errors(page)
            await page.goto(bench.room.console_url)
            bench.link.without_streams()
            bench.press()
            await until(page, "document.querySelector('#call.ringing:not([hidden])') !== null")
            await until(page, SHOWN, 30)
            bench.release()
            await _look(page)
            assert errors == []


async def _look(page: Page) -> None:
    """It rings, nothing moves, and the still has words for who cannot see it."""
    assert "ringing" in str(await page.get_attribute("#call", "class"))
    assert await page.evaluate("document.getElementById('picture').videoWidth") == 0, "a stream came through"
    words = str(await page.get_attribute("#stills img", "alt"))
    assert words.startswith("Still picture from the camera dome, taken at "), words
    assert await page.get_attribute("#picture", "poster") == await page.get_attribute("#stills img", "src")
    assert (await page.inner_text("#stills")).startswith("dome ")
    assert await page.is_visible("#stills")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the telephone"
