"""The two pages by themselves, against pretended units and a pretended pole: keyboard, widths, names, lost parts."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page

from hw_sim.control_room.server import ControlRoom
from hw_sim.pki import Pki
from hw_sim.pole.bench_port import TextMessage
from hw_sim.pole.server import PolePage
from tests.browser.chromium import DESKTOP, PHONE, chromium, collect_errors, until
from tests.browser.fake_bench import FakeBench, FakePanel, FakeSound
from tests.browser.fake_unit import FakeUnit
from tests.unit.control_room.fake_transport import FakeTransport
from unitd.messages.control_room import FaultReport

pytestmark = pytest.mark.browser

NAMELESS = """() => [...document.querySelectorAll('button, input, select, a[href], meter, video, textarea, [role=log]')]
  .filter((each) => each.checkVisibility() && !each.textContent.trim() && !each.ariaLabel && !each.labels?.length)
  .map((each) => each.outerHTML)"""
LONG_NAME = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch, north-eastern gate of the market"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Room:
    """A control room with one pretended unit, and a browser."""

    room: ControlRoom
    unit: FakeUnit
    pki: Pki
    browser: Browser

    async def console(self, size: dict[str, int] = DESKTOP, **context: Any) -> Page:
        page = await (await self.browser.new_context(viewport=size, **context)).new_page()
        await page.goto(self.room.console_url)
        return page

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        call = asyncio.create_task(self.unit.call(self.room.tls_port, self.pki.unit(self.unit.name)))
        try:
            yield
        finally:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)


def with_room(play: Callable[[Room], Awaitable[None]]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as place:
            pki, transport = Pki(Path(place) / "pki"), FakeTransport()
            room = ControlRoom(Path(place) / "room", pki, 0, transport=transport)
            await room.start()
            unit = FakeUnit(transport)
            unit.born()
            try:
                async with chromium() as browser:
                    await play(Room(room, unit, pki, browser))
            finally:
                await unit.stop()
                await room.stop()

    asyncio.run(run())


def with_pole(play: Callable[[FakeBench, FakeSound, str, Browser], Awaitable[None]], panel: Path | None = None) -> None:
    async def run() -> None:
        bench, sound = FakeBench(), FakeSound()
        server = PolePage(bench, audio=sound, panel=panel)
        await server.start()
        try:
            async with chromium() as browser:
                await play(bench, sound, server.url, browser)
        finally:
            await server.stop()

    asyncio.run(run())


async def true(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - conditions of any kind, some of them in a browser's hands
            await asyncio.sleep(0.01)


def test_a_whole_call_by_keyboard() -> None:
    async def play(room: Room) -> None:
        page = await room.console(permissions=["microphone"])
        errors = collect_errors(page)
        assert await page.is_hidden("#sound-on")
        room.unit.press()
        async with room.calling():
            await until(page, "document.getElementById('announce').textContent.includes('Market Square')")
            await until(page, "document.getElementById('picture').videoWidth > 0")
            assert await page.evaluate("document.title.includes('Market Square') || document.title.includes('CALL')")
            await page.keyboard.press("a")
            await true(lambda: [each["cmd"] for each in room.unit.obeyed] == ["accept"])
            await page.keyboard.press("t")
            await until(page, "!document.getElementById('mute').hidden && !document.getElementById('mute').disabled")
            await true(lambda: room.unit.heard_rms > 200, 10)  # the pretended microphone beeps
            await page.keyboard.press("p")
            await until(page, "document.getElementById('mic-words').textContent.includes('not heard')")
            await page.keyboard.down(" ")
            await until(page, "document.getElementById('mic-words').textContent.includes('are heard')")
            await page.keyboard.up(" ")
            await until(page, "document.getElementById('mic-words').textContent.includes('not heard')")
            await page.keyboard.press("m")  # muted is muted, whatever is held
            await page.keyboard.down(" ")
            await until(page, "document.getElementById('mic-words').textContent.includes('muted')")
            await page.keyboard.up(" ")
            room.unit.obeyed.clear()
            await page.keyboard.down("ArrowLeft")
            await true(lambda: len(room.unit.obeyed) >= 3)
            await page.keyboard.up("ArrowLeft")
            await true(lambda: room.unit.obeyed[-1]["cmd"] == "dome_stop")
            assert {each["cmd"] for each in room.unit.obeyed[:-1]} == {"dome_move"}
            assert room.unit.obeyed[0]["pan"] < 0
            assert room.unit.obeyed[0]["duration_ms"] <= 1000
            await page.keyboard.press("2")
            await true(lambda: room.unit.obeyed[-1].get("preset") == 2)
            await page.keyboard.press("c")
            await page.keyboard.press("ArrowDown")  # hoax; arrows in the dialog do not turn the dome
            await page.fill("#close-note", "two boys, ran away")
            await page.click("#close-confirm")
            await until(page, "document.getElementById('past').textContent.includes('two boys')")
            closing = next(each for each in room.unit.obeyed if each["cmd"] == "close")
            assert (closing["outcome"], closing["by"]) == ("hoax", "Operator 1")
        assert errors == []

    with_room(play)


def test_without_a_microphone_the_caller_is_still_seen_and_heard() -> None:
    async def play(room: Room) -> None:
        page = await room.console()
        await page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = () =>"
            " Promise.reject(new DOMException('denied', 'NotAllowedError')); }"
        )
        room.unit.press()
        async with room.calling():
            await until(page, "document.getElementById('picture').videoWidth > 0")
            await page.click("#answer")
            await until(page, "document.getElementById('notice').textContent.includes('cannot speak')")
            assert not await page.evaluate("document.getElementById('caller').muted")
            await until(page, "document.getElementById('caller-level').value > 0.02")
            assert await page.is_disabled("#mute")

    with_room(play)


def test_a_dropped_line_is_said_and_comes_back() -> None:
    async def play(room: Room) -> None:
        page = await room.console()
        room.unit.press()
        async with room.calling():
            await until(page, "document.getElementById('picture').videoWidth > 0")
        await until(page, "document.getElementById('link-words').textContent.includes('dropped')")
        assert not await page.evaluate("document.getElementById('call').hidden")
        async with room.calling():
            await until(page, "document.getElementById('link-words').textContent.includes('link')")
            await until(page, "!document.getElementById('picture-live').hidden")

    with_room(play)


def test_two_operators_see_the_same_call_and_who_has_it() -> None:
    async def play(room: Room) -> None:
        first, second = await room.console(permissions=["microphone"]), await room.console()
        await first.fill("#operator", "Ana")
        room.unit.press()
        async with room.calling():
            for page in (first, second):
                await until(page, "document.getElementById('picture').videoWidth > 0")
            await first.click("#answer")
            await until(second, "document.getElementById('call-taken').textContent === 'Ana'")
            assert await second.inner_text("#answer-words") == "Join the voices"
            assert await second.evaluate("document.getElementById('caller').muted")

    with_room(play)


def test_limits_maintenance_and_earlier_calls_are_shown_and_ordered() -> None:
    async def play(room: Room) -> None:
        page = await room.console()
        room.unit.closes_in_s = 600
        await page.click("summary:has-text('Maintenance')")
        await page.click("button:has-text('Isolate 1 h')")
        await until(page, "document.querySelector('#units').innerText.includes('is working on it')")
        room.unit.press()
        room.unit.asked = ("council", "police")
        room.unit.born()
        await until(page, "document.getElementById('call-asked').innerText === 'council, then police'")
        assert await page.inner_text("#call-recent") == "3 calls in the last day, 2 closed as a hoax"
        assert "Somebody is working on this unit" in await page.inner_text("#call-faults")
        assert await page.inner_text("#call-limit") == "in about 10 min"
        await page.click("#extend")
        await until(page, "document.getElementById('call-limit').innerText === 'in about 70 min'")
        await page.click("button:has-text('Work is done')")
        await until(page, "!document.querySelector('#units').innerText.includes('is working on it')")
        assert [each["cmd"] for each in room.unit.obeyed] == ["isolate", "extend", "end_isolation"]

    with_room(play)


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_console_fits_and_everything_has_a_name(size: dict[str, int]) -> None:
    async def play(room: Room) -> None:
        room.unit.site = msgspec.structs.replace(room.unit.site, name=LONG_NAME)
        room.unit.born()
        page = await room.console(size)
        await until(page, f"document.getElementById('units').textContent.includes('{LONG_NAME}')")
        assert await page.evaluate(TOO_WIDE) <= 0
        room.unit.faults = (
            FaultReport(code="camera_stalled", subject="dome"),
            FaultReport(code="new_code", text="odd"),
        )
        room.unit.press()
        await until(page, "!document.getElementById('call').hidden")
        assert "has stopped sending pictures" in await page.inner_text("#call-faults")
        assert "odd" in await page.inner_text("#call-faults")
        assert await page.evaluate(TOO_WIDE) <= 0
        assert await page.evaluate(NAMELESS) == []
        await page.click("#close")
        assert await page.evaluate(TOO_WIDE) <= 0
        assert await page.evaluate(NAMELESS) == []

    with_room(play)


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_poles_page_fits_and_everything_has_a_name(size: dict[str, int]) -> None:
    async def play(_bench: FakeBench, _sound: FakeSound, url: str, browser: Browser) -> None:
        page = await browser.new_page(viewport=size)
        errors = collect_errors(page)
        await page.goto(url)
        await until(page, "document.getElementById('picture').naturalWidth > 0")
        await until(page, "document.querySelectorAll('.fault').length === 4")
        await page.evaluate(f"document.getElementById('site').textContent = '{LONG_NAME}'")
        assert await page.evaluate(TOO_WIDE) <= 0
        assert await page.evaluate(NAMELESS) == []
        assert errors == []

    with_pole(play)


def test_the_button_by_mouse_key_and_leaning() -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, browser: Browser) -> None:
        page = await browser.new_page(viewport=DESKTOP)
        await page.goto(url)
        await until(page, "document.getElementById('connection').textContent === 'Connected'")
        await page.hover("#button")
        await page.mouse.down()
        await until(page, "document.getElementById('drawing').classList.contains('pressed')")
        await page.mouse.up()
        await true(lambda: bench.done == ["press", "release"])
        await page.keyboard.down("b")
        await page.keyboard.down("b")  # a key that repeats is one press
        await page.keyboard.up("b")
        await true(lambda: bench.done == ["press", "release"] * 2)
        await page.click("#lean")
        await true(lambda: bench.down)
        await page.close()  # whoever goes away lets go
        await true(lambda: not bench.down)

    with_pole(play)


def test_lamps_and_horn_are_said_in_words() -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, browser: Browser) -> None:
        page = await browser.new_page(viewport=DESKTOP)
        await page.goto(url)
        await until(page, "document.getElementById('locator-words').textContent.startsWith('lit')")
        bench.words = "We are calling for help."
        bench.lit["yellow"] = True
        await until(page, "document.getElementById('yellow-words').textContent === 'on: the control room has it'")
        await until(page, "document.getElementById('horn').textContent.includes('calling for help')")
        assert await page.evaluate("document.getElementById('messages-card').hidden")
        bench.messages.append(TextMessage("+447700900001", "HELP POINT ALARM K7Q2PD\nMarket Square"))
        await until(page, "document.getElementById('messages').innerText.includes('K7Q2PD\\nMarket Square')")

        async def flash() -> None:
            while True:
                bench.lit["yellow"] = not bench.lit["yellow"]
                await asyncio.sleep(0.3)

        flashing = asyncio.create_task(flash())
        await until(page, "document.getElementById('yellow-words').textContent.startsWith('flashing')")
        flashing.cancel()
        bench.lit["yellow"] = False
        await until(page, "document.getElementById('yellow-words').textContent === 'off'")

    with_pole(play)


def test_faults_are_put_and_taken_and_refusals_are_said() -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, browser: Browser) -> None:
        page = await browser.new_page(viewport=DESKTOP)
        await page.goto(url)
        await page.click("[data-key=link] [data-focus=cut]")
        await until(page, "document.querySelector('[data-key=link]').classList.contains('on')")
        await page.click("[data-key=link] [data-focus=off]")
        await until(page, "!document.querySelector('[data-key=link]').classList.contains('on')")
        await page.click("[data-key=kill] [data-focus=call]")
        await true(lambda: bench.done == ["link=cut", "link=off", "kill=call"])

        async def refuse(_name: str, _value: str) -> None:
            raise ValueError("the camera is bolted down")

        bench.set_fault = refuse  # type: ignore[method-assign]
        await page.click("[data-key=camera] [data-focus=frozen]")
        await until(page, "document.getElementById('fault-words').textContent.includes('bolted down')")

    with_pole(play)


def test_sound_both_ways_between_page_and_street() -> None:
    async def play(_bench: FakeBench, sound: FakeSound, url: str, browser: Browser) -> None:
        context = await browser.new_context(viewport=DESKTOP, permissions=["microphone"])
        page = await context.new_page()
        await page.goto(url)
        await page.click("#listen")
        await until(page, "document.getElementById('horn-level').value > 0.1")
        assert sound.heard_bytes == 0
        await page.click("#speak")
        await true(lambda: sound.heard_bytes > 48000)
        await page.click("#speak")
        await until(page, "document.getElementById('speak').getAttribute('aria-pressed') === 'false'")

    with_pole(play)


def test_the_panels_display_by_keys_and_quick_answers(tmp_path: Path) -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, browser: Browser) -> None:
        panel = FakePanel(tmp_path / "panel.sock")
        serving = asyncio.create_task(panel.port.run())
        page = await browser.new_page(viewport=PHONE)
        errors = collect_errors(page)
        await page.goto(url)
        await until(page, "document.getElementById('panel-state').textContent.startsWith('At rest')")
        assert await page.is_disabled("#panel-line")
        panel.desk.follow("incident-1", "received", True)
        await until(page, "document.getElementById('panel-words').textContent.includes('has your call')")
        await page.focus("#panel-line")
        await page.keyboard.type("baby")  # also where a letter is the button's key
        await until(page, "document.getElementById('panel-line').value === 'baby'")
        await true(lambda: [each.text for each in panel.desk.lines] == ["baby"])
        await page.keyboard.press("Backspace")
        await page.keyboard.press("Enter")
        await until(page, "document.getElementById('panel-log').textContent.includes('You bab')")
        assert bench.done == []
        await page.click("#panel-quick button:has-text('I cannot speak')")
        panel.desk.heard("peer-1", "We see yo", "Ana")
        await until(page, "document.getElementById('panel-operator').textContent === 'We see yo'")
        assert panel.told == ["bab", "I cannot speak"]
        assert await page.evaluate(TOO_WIDE) <= 0
        assert await page.evaluate(NAMELESS) == []
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await until(page, "document.getElementById('panel-state').textContent.startsWith('Dark')")
        assert errors == []

    with_pole(play, tmp_path / "panel.sock")
