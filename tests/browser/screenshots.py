"""Pictures of every page and state at phone and desktop width, light and dark, into build/screenshots.

    python -m tests.browser.screenshots [console|pole|real]

Against pretended units, so it needs no daemon and takes half a minute; `real` shows the daemon itself in a call.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from playwright.async_api import Browser, Page

from hw_sim.bench import Bench, BenchOptions
from hw_sim.control_room.book import Clip
from hw_sim.control_room.server import ControlRoom
from hw_sim.devices.camera import DEFAULT_PROFILES
from hw_sim.pki import Pki
from hw_sim.pole.panel import SOCKET_NAME
from hw_sim.pole.server import PolePage
from hw_sim.pole_view import PoleView
from hw_sim.world.timecode import age_ms
from tests.browser.chromium import DESKTOP, PHONE, chromium, collect_errors, until
from tests.browser.fake_bench import FakeBench, FakePanel, FakeSound
from tests.browser.fake_unit import PRESETS, SITE, FakeUnit
from tests.browser.operator_view import grab
from tests.unit.control_room.fake_transport import FakeTransport
from unitd.messages.control_room import FaultReport

OUT = Path("build/screenshots")


async def console_pictures(browser: Browser) -> None:
    with tempfile.TemporaryDirectory() as place:
        pki = Pki(Path(place) / "pki")
        transport = FakeTransport()
        room = ControlRoom(Path(place) / "room", pki, 0, transport=transport)
        await room.start()
        unit = FakeUnit(transport)
        unit.cameras, unit.quick_answers = ("dome", "front", "panel"), ("Yes", "No", "I cannot speak")
        park = msgspec.structs.replace(SITE, name="Priory Park, north gate", address="Priory Park")
        other_transport = FakeTransport()
        other_transport._on_message = transport._on_message
        other = FakeUnit(other_transport, "pole-0002", park)
        other.faults = (
            FaultReport(code="camera_stalled", subject="dome"),
            FaultReport(code="broker_lost", subject="county"),
        )
        transport.on_publish = lambda topic, payload: (unit if "pole-0001" in topic else other)._down(topic, payload)
        pages = await open_pages(browser, room.console_url)
        for who, page in zip(("Ana", "Ben", "Cleo"), pages.values(), strict=True):
            await page.fill("#operator", who)
            await page.dispatch_event("#operator", "change")
        unit.born()
        other.born()
        await asyncio.sleep(0.6)
        await shoot(pages, "console-1-idle")
        await a_call(pages, room, unit, pki)
        await after_a_call(pages, room, other)
        await a_watch(pages, room, unit, pki)
        for name, page in pages.items():
            print(name, "errors:", page.errors)
        print("heard", unit.heard_rms, [each["cmd"] for each in unit.obeyed])
        await unit.stop()
        await other.stop()
        await room.stop()


async def open_pages(browser: Browser, url: str) -> dict[str, Page]:
    """A page in each look. The dark one is shot at both widths: a unit has three consoles at most."""
    pages = {}
    for name, size, scheme in (("desktop", DESKTOP, "light"), ("phone", PHONE, "light"), ("dark", DESKTOP, "dark")):
        context = await browser.new_context(viewport=size, color_scheme=scheme, permissions=["microphone"])
        pages[name] = await context.new_page()
        pages[name].errors = collect_errors(pages[name])
        await pages[name].goto(url)
    return pages


LINKS = {
    "good": {"step": "main", "kbit_s": 2400, "capacity_kbit_s": 5200, "round_trip_ms": 48, "words": "Good link"},
    "weak": {
        "step": "low",
        "kbit_s": 190,
        "capacity_kbit_s": 260,
        "loss_percent": 3.4,
        "round_trip_ms": 240,
        "words": "Weak link: a small picture, the voice is safe",
    },
    "stills": {
        "step": "stills",
        "kbit_s": 70,
        "capacity_kbit_s": 90,
        "loss_percent": 6.0,
        "round_trip_ms": 410,
        "words": "Very weak link: still pictures, the voice is safe",
    },
}


async def link(unit: FakeUnit, which: str, pip: str | None = None) -> None:
    """What the unit says of the link once a second, while it is looked at."""
    await unit.tell(type="link", camera="dome", pip=pip, **LINKS[which])


async def a_call(pages: dict[str, Page], room: ControlRoom, unit: FakeUnit, pki: Pki) -> None:
    desktop = pages["desktop"]
    unit.press()
    for camera in ("dome", "front", "panel"):
        unit.still(camera)
        unit.pose = PRESETS[2 if camera == "dome" else 3]
    for page in pages.values():
        await until(page, "document.querySelectorAll('#stills img').length === 3")
    await asyncio.sleep(1.2)
    await shoot(pages, "console-2-stills-no-stream")
    unit.pose = PRESETS[1]
    line = asyncio.create_task(unit.call(room.tls_port, pki.unit("pole-0001")))
    for page in pages.values():
        await until(page, "document.getElementById('picture').videoWidth > 0")
    unit.press()
    await asyncio.sleep(2.5)
    await shoot(pages, "console-3-ringing")
    await desktop.click("#accept")
    for page in pages.values():
        await page.evaluate("document.getElementById('answer').click()")
    unit.types("someone is following me\u2028they are by the bus stop, I can")
    await desktop.fill("#text-line", "I can see you. Stay under the lamp")
    await desktop.press("#text-line", "Enter")
    await desktop.fill("#text-line", "A car is on its")
    await asyncio.sleep(2)
    await link(unit, "good", pip="panel")
    await asyncio.sleep(1.2)
    await link(unit, "good", pip="panel")
    await shoot(pages, "console-4-answered")
    unit.closes_in_s = 240
    unit.event("call_time_warning", seconds=1800, closes_in_s=240, on_line=False)
    unit.sound |= {"quiet": True}
    unit.born()
    await pages["phone"].evaluate("document.getElementById('push').click()")
    line.cancel()
    await asyncio.sleep(2)
    await shoot(pages, "console-5-line-lost")
    unit.with_pictures = False
    line = asyncio.create_task(unit.call(room.tls_port, pki.unit("pole-0001")))
    for page in pages.values():
        await until(page, "window.console_page.line.textWay === 'channel'")
    for _ in range(4):
        unit.sends_still()
        await link(unit, "stills")
        await asyncio.sleep(1)
    await shoot(pages, "console-6-stills-step")
    for button, name in (("#help", "help"), ("#hand-over", "hand-over"), ("#close", "close")):
        for page in pages.values():
            await page.evaluate(f"document.querySelector('{button}').click()")
        if name == "close":
            await desktop.check("input[value=hoax]")
        await asyncio.sleep(0.3)
        await shoot(pages, f"console-7-{name}")
        for page in pages.values():
            await page.keyboard.press("Escape")
    await desktop.click("#close")
    await desktop.check("input[value=genuine]")
    await desktop.fill("#close-note", "Officer attended at once; caller taken home safely.")
    await desktop.click("#close-confirm")
    await desktop.wait_for_selector("#past li", timeout=5000)
    line.cancel()
    unit.with_pictures = True


async def after_a_call(pages: dict[str, Page], room: ControlRoom, other: FakeUnit) -> None:
    desktop = pages["desktop"]
    incident = next(iter(room.hub.incidents.values()))
    clip = room.shelf.path(incident.incident_id)
    make_clip(clip)
    incident.clip = Clip(state="ready", size_bytes=clip.stat().st_size, sha256="ab" * 32)
    await room.hub.save(incident)
    other.press()
    await desktop.wait_for_selector("#call:not([hidden])")
    other.stage = "accepted"
    other.born()
    await asyncio.sleep(1.2)
    await shoot(pages, "console-8-past-and-no-picture")
    await desktop.click("#past .play")
    await asyncio.sleep(1.5)
    await shoot({"desktop": desktop}, "console-8-clip")
    await desktop.keyboard.press("Escape")
    other.stage = None
    other.event("incident_closed")
    other.born()


async def a_watch(pages: dict[str, Page], room: ControlRoom, unit: FakeUnit, pki: Pki) -> None:
    desktop = pages["desktop"]
    await until(desktop, "document.getElementById('call').hidden")
    for page in pages.values():
        await page.evaluate("document.querySelector('[data-focus=watch]').click()")
    await asyncio.sleep(0.3)
    await shoot(pages, "console-9-watch-dialog")
    for name in ("phone", "dark"):
        await pages[name].keyboard.press("Escape")
    await desktop.check("input[value=announce]")
    await desktop.fill("#watch-reason", "Crowd after the match")
    await desktop.click("#watch-begin")
    await until(desktop, "!document.getElementById('watch-bar').hidden")
    line = asyncio.create_task(unit.call(room.tls_port, pki.unit("pole-0001")))
    await until(desktop, "document.getElementById('picture').videoWidth > 0")
    await desktop.click("#answer")
    await asyncio.sleep(2)
    await shoot({"desktop": desktop}, "console-9-announce")
    line.cancel()


def make_clip(path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=640x360:rate=20:duration=5"]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *source, "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)],
        check=True,
    )


async def pole_pictures(browser: Browser) -> None:
    bench = FakeBench()
    place = Path(tempfile.mkdtemp())
    panel = FakePanel(place / "panel.sock")
    serving = asyncio.create_task(panel.port.run())
    server = PolePage(bench, audio=FakeSound(), panel=place / "panel.sock")
    await server.start()
    pages = await open_pages(browser, server.url)
    await asyncio.sleep(1.5)
    await shoot(pages, "pole-1-idle")
    await pages["desktop"].click("#lean")
    bench.lit |= {"yellow": True, "sounder": True}
    bench.words = "We are calling for help. Please stay here if it is safe."
    await bench.set_fault("link", "slow")
    await pages["desktop"].click("#listen")
    panel.desk.follow("incident-1", "answered", True)
    await until(pages["desktop"], "!document.getElementById('panel-line').disabled")
    await pages["desktop"].fill("#panel-line", "someone is following me")
    await pages["desktop"].press("#panel-line", "Enter")
    await asyncio.sleep(0.5)
    panel.desk.heard("peer-1", "I can see you. Stay under the lamp\u2028A car is on its", "Ana")
    await asyncio.sleep(1.5)
    await shoot(pages, "pole-2-pressed")
    for name, page in pages.items():
        print(name, "errors:", page.errors)
    await server.stop()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def real_pictures(browser: Browser) -> None:
    """The real daemon in a call: both pages, also as the small pictures of the README (docs/images)."""
    quick = {"incident": {"pre_roll_s": 5.0, "post_roll_s": 2.0}}
    options = BenchOptions(profiles=DEFAULT_PROFILES, panel_camera=True, config=quick)
    async with Bench(options) as bench:
        await bench.wait_ready()
        assert bench.room is not None
        server = PolePage(PoleView(bench), audio=bench.sound, panel=bench.run_dir / SOCKET_NAME)
        await server.start()
        context = await browser.new_context(viewport={"width": 1320, "height": 900}, permissions=["microphone"])
        console, pole = await context.new_page(), await context.new_page()
        await console.goto(bench.room.console_url)
        await pole.goto(server.url)
        await until(console, "document.querySelector('#units .status.good') !== null")
        await pole.hover("#button")
        await pole.mouse.down()
        await asyncio.sleep(0.3)
        await pole.mouse.up()
        await until(console, "document.getElementById('picture').videoWidth > 0")
        await until(console, "document.querySelector('#camera-choice button') !== null")
        await console.fill("#operator", "Ana")
        await console.dispatch_event("#operator", "change")
        await console.evaluate("document.activeElement.blur()")
        await console.select_option("#corner-choice", "panel")
        await until(pole, "!document.getElementById('panel-line').disabled")
        await pole.fill("#panel-line", "someone is following me")
        await asyncio.sleep(3)
        await until(console, "!document.getElementById('corner').hidden", 40)
        await console.evaluate("scrollTo(0, 0)")
        await shoot({"console": console, "pole": pole}, "real-ringing")
        await for_readme(console, "console")
        ages = []
        for _ in range(40):
            frame = await grab(console)
            if frame is not None and frame.code_ms is not None:
                ages.append(age_ms(frame.code_ms, time.monotonic_ns()))
        print("glass to glass, with the grab itself:", sorted(ages)[:: max(1, len(ages) // 6)], "ms")
        await console.click("#answer")
        await until(console, "document.getElementById('call-stage').textContent.startsWith('Answered')")
        await pole.press("#panel-line", "Enter")
        await console.fill("#text-line", "I can see you. Stay under the lamp")
        await console.press("#text-line", "Enter")
        await asyncio.sleep(4)
        await shoot({"console": console, "pole": pole}, "real-answered")
        await pole.evaluate("scrollTo(0, 0)")
        await for_readme(pole, "pole")
        await server.stop()


async def for_readme(page: Page, name: str) -> None:
    await page.screenshot(path=OUT / f"readme-{name}.png")
    small(OUT / f"readme-{name}.png", Path("docs/images") / f"{name}.png")


def small(source: Path, target: Path) -> None:
    """A palette of 256 colours is a third of the size and looks the same."""
    palette = "split[a][b];[a]palettegen=max_colors=256[p];[b][p]paletteuse=dither=sierra2_4a"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(source), "-vf", palette, str(target)], check=True)


async def shoot(pages: dict[str, Page], name: str) -> None:
    for which, page in list(pages.items()):
        if which == "dark":
            await page.set_viewport_size(PHONE)
            await asyncio.sleep(0.1)
            await shoot({"dark-phone": page}, name)
            await page.set_viewport_size(DESKTOP)
            await asyncio.sleep(0.1)
        dialog = await page.evaluate("document.querySelector('dialog[open]') !== null")
        await page.screenshot(path=OUT / f"{name}-{which}.png", full_page=not dialog)


async def main(which: list[str]) -> None:
    async with chromium() as browser:
        if not which or "console" in which:
            await console_pictures(browser)
        if not which or "pole" in which:
            await pole_pictures(browser)
        if "real" in which:
            await real_pictures(browser)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1:]))
