"""The browser of the tests: the distribution's Chromium, headless, with a pretended camera and microphone."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Two pages at once: neither may be slowed down for being behind the other.
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


def program() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError("no Chromium on the PATH; apt-get install chromium")


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program(), args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


def collect_errors(page: Page) -> list[str]:
    """A list that fills with every script error and console error of the page."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors


async def until(page: Page, expression: str, timeout_s: float = 20.0) -> Any:
    """The first truthy value of a JavaScript expression, asked every 50 ms; raises TimeoutError with the expression.

    Not Playwright's `wait_for_function`: that evaluates in the page, which the pages' content security policy forbids.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (value := await page.evaluate(expression)):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not true within {timeout_s:g} s: {expression} (last: {value!r})")
        await asyncio.sleep(0.05)
    return value
