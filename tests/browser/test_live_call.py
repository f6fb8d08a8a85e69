"""What an operator does in a call besides answering it, against a pretended unit: text, cameras, sound, watch."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.chromium import PHONE, collect_errors, until
from tests.browser.test_pages import NAMELESS, TOO_WIDE, Room, true, with_room

pytestmark = pytest.mark.browser

PICTURE = "document.getElementById('picture').videoWidth > 0"
CHANNEL = "window.console_page.line?.textWay === 'channel'"
GOOD = {"type": "link", "step": "main", "kbit_s": 2000, "capacity_kbit_s": 4000, "round_trip_ms": 40, "words": "Good"}


def pressed(selector: str) -> str:
    return f"document.querySelector(\"{selector}\").getAttribute('aria-pressed') === 'true'"


def read(letters: str) -> str:
    """What a display shows after these letters."""
    shown: list[str] = []
    for letter in letters:
        if letter == "\b":
            shown.pop()
        else:
            shown.append(letter)
    return "".join(shown)


def last(room: Room) -> dict[str, Any]:
    """The command that the unit obeyed last."""
    return room.unit.obeyed[-1] if room.unit.obeyed else {}


def text_of(element: str, part: str) -> str:
    return f"document.getElementById('{element}').textContent.includes({part!r})"


def test_text_both_ways_letter_by_letter() -> None:
    async def play(room: Room) -> None:
        page = await room.console()
        errors = collect_errors(page)
        room.unit.quick_answers = ("Yes", "No")
        room.unit.press()
        async with room.calling():
            await until(page, CHANNEL)
            await until(page, text_of("text-answers", "Yes, No"))
            room.unit.types("helq")
            await until(page, "document.getElementById('text-open').textContent === 'helq'")
            room.unit.types("\bp me\u2028now")
            await until(page, text_of("text-log", "help me"))
            await until(page, text_of("caption", "now"))
            assert await page.get_attribute("#text-log", "role") == "log"
            assert "now" not in await page.inner_text("#text-log"), "an open line is not spoken letter by letter"
            await page.keyboard.press("w")
            await page.keyboard.type("I see yu")
            await true(lambda: read(room.unit.letters) == "I see yu")
            await page.keyboard.press("Backspace")
            await page.keyboard.type("ou")
            await true(lambda: read(room.unit.letters) == "I see you")
            await page.keyboard.press("Enter")
            await true(lambda: read(room.unit.letters) == "I see you\u2028")
            assert "\b" in room.unit.letters, "what was taken back was not sent at all"
            assert "close" not in [each["cmd"] for each in room.unit.obeyed], "letters are no shortcuts"
            await until(page, text_of("text-log", "I see you"))
        await until(page, "window.console_page.line.textWay === ''")
        await page.fill("#text-line", "still here")
        await page.press("#text-line", "Enter")
        await true(lambda: last(room).get("text") == "still here")
        assert errors == []

    with_room(play)


def test_text_without_a_data_channel_and_from_another_operator() -> None:
    async def play(room: Room) -> None:
        page = await room.console()
        room.unit.with_channels = False
        room.unit.press()
        async with room.calling():
            await until(page, PICTURE)
            assert await page.evaluate("window.console_page.line.textWay") == "signalling"
            await page.fill("#text-line", "hello")
            await true(lambda: room.unit.letters == "hello")
            await room.unit.tell(type="text", t140="a\u2028", by="")
            await room.unit.tell(type="text", t140="b\u2028", by="Ben")
            await until(page, "document.querySelectorAll('#text-log li').length === 2")
            assert "Ben b" in await page.inner_text("#text-log")
            await room.unit.tell_still("front")
            await until(page, "document.getElementById('still-live').naturalWidth === 320")

    with_room(play)


def test_cameras_are_switched_without_a_new_session() -> None:
    async def play(room: Room) -> None:
        page = await room.console()
        room.unit.cameras = ("dome", "front", "panel")
        room.unit.press()
        async with room.calling():
            await until(page, PICTURE)
            await until(page, "!document.getElementById('corner').hidden")
            await page.evaluate("window.first = window.console_page.line.connection")
            await page.click("#camera-choice button:has-text('Front')")
            await true(lambda: room.unit.views == [("front", None)])
            assert not await page.evaluate(pressed("#camera-choice [data-key=front]")), "only asked for, not seen yet"
            await room.unit.tell(**GOOD, camera="front")
            await until(page, pressed("#camera-choice [data-key=front]"))
            await page.keyboard.press("v")
            await true(lambda: room.unit.views[-1] == ("panel", None))
            await page.keyboard.press("i")
            # The unit still says that it shows the front: the order before must not be taken back by this one.
            await true(lambda: room.unit.views[-1] == ("panel", "dome"))
            await page.select_option("#corner-choice", "front")
            await true(lambda: room.unit.views[-1] == ("panel", "front"))
            for _ in range(40):  # asked for, and not in what the unit says once a second that it sends
                await room.unit.tell(**GOOD, camera="panel")
                if await page.evaluate(text_of("corner-why", "waits for room")):
                    break
                await asyncio.sleep(0.25)
            else:
                raise AssertionError("the operator is not told why there is nothing in the corner")
            await room.unit.tell(**GOOD, camera="panel", pip="front")
            await until(page, "document.getElementById('corner-why').textContent === ''")
            assert await page.evaluate("window.first === window.console_page.line.connection")
            await until(page, text_of("link-figures", "2.0 Mbit/s of 4.0 Mbit/s"))

    with_room(play)


def test_a_link_for_stills_alone_shows_them_and_says_how_old_the_picture_is() -> None:
    async def play(room: Room) -> None:
        page = await room.console()
        errors = collect_errors(page)
        room.unit.press()
        async with room.calling():
            await until(page, "!document.getElementById('picture-live').hidden")
        await until(page, "!document.getElementById('frozen').hidden")
        await until(page, "/Picture is [2-9] s old/.test(document.getElementById('picture-age').textContent)")
        room.unit.with_pictures = False
        async with room.calling():
            await until(page, CHANNEL)
            await room.unit.tell(**{**GOOD, "step": "stills", "words": "Very weak"}, camera="dome")
            room.unit.sends_still()
            await until(page, "!document.getElementById('still-live').hidden")
            await until(page, "document.getElementById('still-live').naturalWidth === 320")
            assert await page.get_attribute("#still-live", "alt") == "Still picture from the camera dome"
            await until(page, text_of("picture-age", "Still of"))
            assert await page.is_hidden("#picture-live")
            await until(page, text_of("link-figures", "still pictures"))
        assert errors == []

    with_room(play)


def test_sound_warnings_snapshot_and_time_are_ordered() -> None:
    async def play(room: Room) -> None:
        page, other = await room.console(permissions=["microphone"]), await room.console()
        room.unit.press()
        async with room.calling():
            await until(page, PICTURE)
            await page.click("#answer")
            await until(page, "!document.getElementById('latency-answer').classList.contains('running')")
            await page.click("#quiet")
            await until(other, pressed("#quiet"))  # every operator sees the same levels
            await page.click("#mute-horn")
            await until(page, text_of("mic-words", "the horn is muted"))
            assert room.unit.sound == {"mute_microphone": False, "mute_horn": True, "quiet": True}
            await page.fill("#speak-text", "Help is coming")
            await page.click("#speak-button")
            await until(page, text_of("told", "Help is coming"))
            await page.keyboard.press("Escape")
            await page.focus("#call")
            await page.keyboard.press("s")
            await until(page, "document.querySelectorAll('#stills li').length > 0")
            room.unit.event("call_time_warning", seconds=1800, closes_in_s=120, on_line=False)
            await until(page, "!document.getElementById('time-warning').hidden")
            await page.click("#extend-now")
            await until(page, "document.getElementById('time-warning').hidden")
            await page.click("#hand-over")
            await page.fill("#hand-room", "police")
            await page.keyboard.press("Enter")
            await until(page, text_of("handed", "Handed over to police. Stay on the line"))
        await until(page, "!document.getElementById('lost').hidden")
        await page.click("#dial-now")
        wanted = ["answer", "set_sound", "set_sound", "speak", "snapshot", "extend", "hand_over", "dial_back"]
        await true(lambda: [each["cmd"] for each in room.unit.obeyed] == wanted)

    with_room(play)


def test_a_street_is_watched_with_a_reason_and_an_alarm_goes_before_it() -> None:
    async def play(room: Room) -> None:
        page = await room.console(permissions=["microphone"])
        errors = collect_errors(page)
        await page.focus("#units [data-focus=watch]")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")  # without a reason nothing begins
        assert await page.evaluate("document.getElementById('watch-dialog').open")
        await page.keyboard.type("Crowd after the match")
        await page.keyboard.press("Enter")
        await until(page, "!document.getElementById('watch-bar').hidden")
        assert "Crowd after the match" in await page.inner_text("#watch-words")
        assert await page.is_hidden("#answer")
        assert await page.is_hidden("#close")
        async with room.calling():
            await until(page, PICTURE)
            assert await page.evaluate("window.console_page.line.hello.watch")
            assert await page.evaluate("document.getElementById('caller').muted")
            assert "ringing" not in str(await page.get_attribute("#call", "class"))
        room.unit.press()  # a press ends the watch's place on the screen
        await until(page, "document.querySelector('#call.ringing') !== null")
        assert [each["cmd"] for each in room.unit.obeyed] == ["watch"]
        assert errors == []

    with_room(play)


def test_an_announcement_opens_the_horn_and_not_the_microphone() -> None:
    async def play(room: Room) -> None:
        page = await room.console(permissions=["microphone"])
        await page.click("#units [data-focus=watch]")
        await page.check("input[value=announce]")
        await page.fill("#watch-reason", "Lost child")
        await page.click("#watch-begin")
        async with room.calling():
            await until(page, PICTURE)
            await page.keyboard.press("t")
            await true(lambda: room.unit.heard_rms > 200, 10)
            assert await page.evaluate("document.getElementById('caller').muted")
            await page.click("#watch-end")
            await until(page, "document.getElementById('call').hidden")
        assert [each["cmd"] for each in room.unit.obeyed] == ["announce", "end_watch"]

    with_room(play)


def test_the_dome_by_the_picture_itself() -> None:
    async def play(room: Room) -> None:
        page = await room.console()
        room.unit.press()
        await until(page, "!document.getElementById('call').hidden")
        box = await page.locator("#stage").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await page.mouse.click(x + box["width"] / 4, y)  # to the right: one move that ends by itself
        await true(lambda: len(room.unit.obeyed) == 1)
        move = room.unit.obeyed[0]
        assert (move["cmd"], move["tilt"]) == ("dome_move", 0)
        assert move["pan"] > 0
        assert 200 < move["duration_ms"] < 3000
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.mouse.move(x, y - 90, steps=4)
        await true(lambda: last(room).get("tilt", 0) > 0.2)
        await page.mouse.up()
        await true(lambda: last(room).get("cmd") == "dome_stop")
        await page.mouse.wheel(0, -200)
        await true(lambda: any(each.get("zoom", 0) > 0 for each in room.unit.obeyed))
        await true(lambda: last(room).get("cmd") == "dome_stop")

    with_room(play)


async def _tab_to(page: Page, element: str) -> None:
    """Reach an element with the Tab key alone, as somebody without a mouse."""
    for _ in range(80):
        if await page.evaluate("document.activeElement.id") == element:
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {element}")


def test_a_call_by_tab_and_enter_alone() -> None:
    async def play(room: Room) -> None:
        page = await room.console(permissions=["microphone"])
        await page.focus("body")
        room.unit.press()
        async with room.calling():
            await until(page, PICTURE)
            await _tab_to(page, "answer")
            await page.keyboard.press("Enter")
            await until(page, "!document.getElementById('mute').hidden && !document.getElementById('mute').disabled")
            await until(page, "document.activeElement.id === 'call'")  # the focus is not lost with the button
            await _tab_to(page, "close")
            await page.keyboard.press("Enter")
            await page.keyboard.press("ArrowDown")  # hoax: needs words
            await _tab_to(page, "close-confirm")
            await page.keyboard.press("Enter")
            assert await page.evaluate("document.getElementById('close-dialog').open"), "a hoax without words"
            await page.fill("#close-note", "two boys")
            await page.keyboard.press("Tab")
            await _tab_to(page, "close-confirm")
            await page.keyboard.press("Enter")
            await true(lambda: last(room).get("cmd") in ("close", "upload"))
            assert (await page.inner_text("#stage-words")) != ""

    with_room(play)


def test_keys_are_listed_and_can_be_turned_off() -> None:
    async def play(room: Room) -> None:
        page = await room.console(PHONE)
        await page.keyboard.press("?")
        assert await page.evaluate("document.getElementById('help-dialog').open")
        assert await page.evaluate(NAMELESS) == []
        assert await page.evaluate(TOO_WIDE) <= 0
        await page.uncheck("#keys-on")
        await page.click("#help-close")
        room.unit.press()
        await until(page, "!document.getElementById('call').hidden")
        await page.keyboard.press("a")
        await page.keyboard.press("c")
        await asyncio.sleep(0)
        assert not await page.evaluate("document.getElementById('close-dialog').open")
        assert room.unit.obeyed == []

    with_room(play)
