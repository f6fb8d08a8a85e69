"""The pole's page server: presses, levels, faults and pictures over its socket, against a pretended pole."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any

import aiohttp

from hw_sim.pole.bench_port import TextMessage
from hw_sim.pole.display_words import stage_words
from hw_sim.pole.server import PolePage
from tests.browser.fake_bench import FakeBench, FakePanel, FakeSound
from tests.unit.control_room.hub_with_unit import true
from tests.unit.control_room.room import Talk

Play = Callable[[FakeBench, FakeSound, str, aiohttp.ClientSession], Awaitable[None]]


def with_page(play: Play) -> None:
    async def run() -> None:
        bench, sound = FakeBench(), FakeSound()
        page = PolePage(bench, audio=sound)
        await page.start()
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session:
                await play(bench, sound, page.url, session)
        finally:
            await page.stop()

    asyncio.run(run())


async def hear(talk: Talk, kind: str) -> dict[str, Any]:
    while (message := await talk.hear())["type"] != kind:
        pass
    return message


def test_levels_are_pushed_as_they_change() -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, session: aiohttp.ClientSession) -> None:
        talk = Talk(await session.ws_connect(f"{url}api/ws"))
        first = await hear(talk, "outputs")
        assert (first["yellow"], first["locator"], first["pressed"]) == (False, True, False)
        state = await hear(talk, "state")
        assert state["processes"]["record"] is False
        assert [fault["name"] for fault in state["faults"]] == ["camera", "link", "disk", "kill"]
        assert state["messages"] == []
        bench.lit["yellow"] = True
        assert (await hear(talk, "outputs"))["yellow"] is True
        bench.messages.append(TextMessage("+447700900001", "HELP POINT ALARM"))
        assert (await hear(talk, "state"))["messages"] == [{"number": "+447700900001", "text": "HELP POINT ALARM"}]

    with_page(play)


def test_a_page_that_goes_away_lets_go_of_the_button() -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, session: aiohttp.ClientSession) -> None:
        talk = Talk(await session.ws_connect(f"{url}api/ws"))
        await talk.say(type="press")
        await true(lambda: bench.down)
        await talk.close()
        await true(lambda: bench.done == ["press", "release"])
        other = Talk(await session.ws_connect(f"{url}api/ws"))
        await hear(other, "outputs")
        await other.close()
        await true(lambda: bench.done == ["press", "release"])  # it held nothing

    with_page(play)


def test_a_wrong_fault_is_refused_with_its_reason_and_nonsense_ignored() -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, session: aiohttp.ClientSession) -> None:
        talk = Talk(await session.ws_connect(f"{url}api/ws"))
        await talk.socket.send_str("{nonsense")
        await talk.socket.send_str("[1]")
        await talk.say(type="fault", name="link", value="purple")
        refused = await hear(talk, "fault_set")
        assert refused["ok"] is False
        assert "purple" in refused["reason"]
        await talk.say(type="fault", name="link", value="cut")
        assert (await hear(talk, "fault_set"))["ok"] is True
        assert bench.done == ["link=cut"]

    with_page(play)


def test_the_picture_is_a_jpeg_of_an_allowed_width() -> None:
    async def play(_bench: FakeBench, _sound: FakeSound, url: str, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{url}picture.jpg?width=320") as answer:
            assert answer.content_type == "image/jpeg"
            small = await answer.read()
        async with session.get(f"{url}picture.jpg?width=99999") as answer:
            large = await answer.read()
        assert small[:2] == large[:2] == b"\xff\xd8"
        assert len(small) < len(large) < 500_000

    with_page(play)


def test_no_picture_is_said() -> None:
    async def play(bench: FakeBench, _sound: FakeSound, url: str, session: aiohttp.ClientSession) -> None:
        async def broken(_width: int) -> bytes:
            raise RuntimeError("no power")

        bench.snapshot_jpeg = broken  # type: ignore[method-assign]
        async with session.get(f"{url}picture.jpg") as answer:
            assert (answer.status, await answer.text()) == (503, "no picture: no power\n")

    with_page(play)


def test_sound_passes_both_ways() -> None:
    async def play(_bench: FakeBench, sound: FakeSound, url: str, session: aiohttp.ClientSession) -> None:
        socket = await session.ws_connect(f"{url}api/sound")
        assert len(await socket.receive_bytes()) == 1920
        await socket.send_bytes(bytes(1920))
        await true(lambda: sound.heard_bytes == 1920)
        await socket.close()

    with_page(play)


def test_strangers_are_refused() -> None:
    async def play(_bench: FakeBench, _sound: FakeSound, url: str, session: aiohttp.ClientSession) -> None:
        async with session.get(url, headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403

    with_page(play)


def test_the_panel_shows_what_the_daemon_says_and_hands_on_what_is_typed(tmp_path: Path) -> None:
    async def run() -> None:
        panel = FakePanel(tmp_path / "panel.sock")
        page = PolePage(FakeBench(), panel=tmp_path / "panel.sock")
        await page.start()
        serving = asyncio.create_task(panel.port.run())
        try:
            async with aiohttp.ClientSession() as session:
                talk = Talk(await session.ws_connect(f"{page.url}api/ws"))
                while (first := await hear(talk, "panel"))["shown"] is None:
                    pass
                assert first["shown"]["incident"] is None
                panel.desk.follow("incident-1", "received", True)
                now = (await hear(talk, "panel"))["shown"]
                assert now["words"] == "The control room has your call. Please stay."
                assert now["quick_answers"] == list(panel.answers)
                await talk.say(type="typed", t140="helq\bp\u2028")
                await true(lambda: panel.told == ["help"])
                await talk.say(type="quick", n=2)
                await true(lambda: panel.told[-1] == "I cannot speak")
                panel.desk.heard("peer-1", "we see", "Ana")
                while not any(each["text"] == "we see" for each in now["lines"]):
                    now = (await hear(talk, "panel"))["shown"]
                assert now["lines"][-1] == {"who": "operator", "text": "we see", "done": False, "by": "Ana"}
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)
                while (await hear(talk, "panel"))["connected"]:
                    pass
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await page.stop()

    asyncio.run(run())


def test_an_answered_caller_reads_it_in_every_language_of_the_prompts() -> None:
    words = resources.files("unitd") / "call" / "words"
    languages = {Path(each.name).stem for each in words.iterdir() if each.name.endswith(".toml")} - {"tones"}
    assert "de" in languages
    said = {language: stage_words("answered", language) for language in languages}
    assert len(set(said.values())) == len(languages), said
