"""The main job through real browsers: press on the pole's page, everything an operator does on the console's.

Real daemon, real broker, real media; only the street, its devices and the browser's microphone are simulated.
"""

import asyncio
import time

import pytest
from playwright.async_api import Page

from hw_sim.bench import Bench, BenchOptions
from hw_sim.operator.hearing import level_db
from hw_sim.pole.server import PolePage
from hw_sim.pole_view import PoleView
from hw_sim.world.timecode import age_ms
from tests.browser.chromium import DESKTOP, chromium, collect_errors, until
from tests.browser.operator_view import Frame, grab, listen, loudest

CALLER_HZ = 440.0
pytestmark = pytest.mark.browser


@pytest.mark.timeout(180)
def test_from_the_press_to_the_clip() -> None:
    asyncio.run(_journey())


async def _journey() -> None:
    options = BenchOptions(config={"incident": {"pre_roll_s": 5.0, "post_roll_s": 2.0}})
    async with Bench(options) as bench:
        await bench.wait_ready()
        assert bench.sound is not None
        assert bench.room is not None
        pole_page = PolePage(PoleView(bench), audio=bench.sound)
        await pole_page.start()
        try:
            async with chromium() as browser:
                context = await browser.new_context(viewport=DESKTOP, permissions=["microphone"])
                console, pole = await context.new_page(), await context.new_page()
                errors = [collect_errors(console), collect_errors(pole)]
                await console.goto(bench.room.console_url)
                await pole.goto(pole_page.url)
                await _idle(console, pole)
                await asyncio.to_thread(bench.sound.play_caller, CALLER_HZ)
                await _press(console, pole)
                await _see_at_once(console)
                await _answer(console, pole)
                await _hear_the_caller(console)
                await _be_heard(console, bench)
                await _turn_the_dome(console, bench)
                await _close(console, pole)
                await _play_the_clip(console)
                assert errors == [[], []]
        finally:
            await pole_page.stop()


async def _idle(console: Page, pole: Page) -> None:
    await until(console, "document.querySelector('#units .status.good')?.textContent === 'Armed and heard'")
    assert await console.evaluate("document.getElementById('call').hidden")
    await until(pole, "document.getElementById('drawing').classList.contains('locator-on')")


async def _press(console: Page, pole: Page) -> None:
    await pole.hover("#button")
    await pole.mouse.down()
    await until(pole, "document.getElementById('drawing').classList.contains('yellow-on')", 3)
    await pole.mouse.up()
    await until(console, "document.querySelector('#call.ringing:not([hidden])') !== null", 5)
    assert "Help button pressed" in await console.inner_text("#call-kind")
    assert await console.inner_text("#call-site") != ""


async def _see_at_once(console: Page) -> None:
    """Moving picture, recent by its time code, while the incident still rings and nobody has clicked."""
    first = await _frame(console)
    deadline_s = time.monotonic() + 10
    codes = {first.code_ms}
    while len(codes) < 5:
        assert time.monotonic() < deadline_s, f"the picture does not move: time codes {codes}"
        later = await _frame(console)
        codes.add(later.code_ms)
    assert later.code_ms is not None
    assert 0 <= age_ms(later.code_ms, time.monotonic_ns()) < 1500
    assert await console.inner_text("#call-stage") == "Ringing"
    assert await console.evaluate("document.getElementById('caller').muted")


async def _answer(console: Page, pole: Page) -> None:
    await console.keyboard.press("a")
    await until(console, "document.getElementById('call-stage').textContent === 'Accepted'", 5)
    await console.click("#answer")
    await until(console, "document.getElementById('call-stage').textContent.startsWith('Answered')", 5)
    await until(pole, "document.getElementById('drawing').classList.contains('green-on')", 3)
    assert not await console.evaluate("document.getElementById('caller').muted")


async def _hear_the_caller(console: Page) -> None:
    assert await listen(console)
    deadline_s = time.monotonic() + 10
    heard = await loudest(console)
    while abs(heard["hz"] - CALLER_HZ) > 15 or heard["db"] < -50:
        assert time.monotonic() < deadline_s, f"the caller's tone of {CALLER_HZ} Hz is not heard: {heard}"
        await asyncio.sleep(0.1)
        heard = await loudest(console)


async def _be_heard(console: Page, bench: Bench) -> None:
    """The browser's pretended microphone beeps: the horn must play that, and must not while muted."""
    assert bench.sound is not None
    await asyncio.to_thread(bench.sound.stop_caller)
    await console.keyboard.press("m")
    await until(console, "document.getElementById('mute').getAttribute('aria-pressed') === 'true'")
    quiet_db = await _horn_db(bench, below_db=-60)
    await console.keyboard.press("m")
    loud_db = await _horn_db(bench, above_db=-40)
    assert loud_db - quiet_db > 20


async def _horn_db(bench: Bench, *, below_db: float = 99.0, above_db: float = -999.0) -> float:
    """The horn's level over 1.2 s, once it is within the limits."""
    assert bench.sound is not None
    deadline_s = time.monotonic() + 15
    while True:
        level = level_db(await bench.sound.horn_sound(1.2))
        if above_db < level < below_db:
            return level
        assert time.monotonic() < deadline_s, f"the horn is at {level:.0f} dB, not between {above_db} and {below_db}"


async def _turn_the_dome(console: Page, bench: Bench) -> None:
    assert bench.dome is not None
    before, pan_deg = await _frame(console), bench.dome.pose().pan_deg
    await console.hover(".way.right")
    await console.mouse.down()
    deadline_s = time.monotonic() + 10
    while bench.dome.pose().pan_deg < pan_deg + 5:
        assert time.monotonic() < deadline_s, f"the dome stays at {bench.dome.pose()}"
        await asyncio.sleep(0.05)
    await console.mouse.up()
    deadline_s = time.monotonic() + 10
    while (difference := (await _frame(console)).differs_from(before)) < 10:
        assert time.monotonic() < deadline_s, f"the picture has not turned: {difference}"
        await asyncio.sleep(0.1)
    stopped = bench.dome.pose().pan_deg
    await asyncio.sleep(0.5)
    assert abs(bench.dome.pose().pan_deg - stopped) < 2, "the dome goes on turning"


async def _close(console: Page, pole: Page) -> None:
    await console.keyboard.press("c")
    await console.check("input[value=genuine]")
    await console.fill("#close-note", "Officer attended.")
    await console.click("#close-confirm")
    await until(console, "document.querySelector('#past li')?.textContent.includes('Genuine')", 10)
    await until(pole, "!document.getElementById('drawing').classList.contains('yellow-on')", 15)


async def _play_the_clip(console: Page) -> None:
    await until(console, "document.querySelector('#past .play') !== null", 45)
    await console.click("#past .play")
    await until(console, "document.getElementById('clip').currentTime > 1")
    clip = await console.evaluate(
        "(() => { const v = document.getElementById('clip');"
        " return { duration: v.duration, width: v.videoWidth, error: v.error?.message ?? '' }; })()"
    )
    assert clip["error"] == ""
    assert clip["duration"] > 3
    assert clip["width"] >= 320


async def _frame(console: Page) -> Frame:
    """A frame with a legible time code."""
    deadline_s = time.monotonic() + 15
    while True:
        frame = await grab(console)
        if frame is not None and frame.code_ms is not None:
            return frame
        assert time.monotonic() < deadline_s, "no picture" if frame is None else "no time code in the picture"
        await asyncio.sleep(0.05)
