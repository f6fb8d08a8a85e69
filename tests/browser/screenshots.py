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
from hw_sim.pole.server import PolePage
from hw_sim.pole_view import PoleView
from hw_sim.world.timecode import age_ms
from tests.browser.chromium import DESKTOP, PHONE, chromium, collect_errors, until
from tests.browser.fake_bench import FakeBench, FakeSound
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
        park = msgspec.structs.replace(SITE, name="Priory Park, north gate", address="Priory Park")
        other_transport = FakeTransport()
        other_transport._on_message = transport._on_message
        other = FakeUnit(other_transport, "pole-0002", park)
        other.faults = (
            FaultReport(code="camera_stalled", subject="dome"),
            FaultReport(code="broker_lost", subject="county"),
        )
        transport.on_publish = lambda topic, payload: (unit if "pole-0001" in topic else other)._down(topic, payload)
        pages = {}
        for name, size, scheme in (("desktop", DESKTOP, "light"), ("phone", PHONE, "light"), ("dark", DESKTOP, "dark")):
            context = await browser.new_context(viewport=size, color_scheme=scheme, permissions=["microphone"])
            pages[name] = await context.new_page()
            pages[name].errors = collect_errors(pages[name])
            await pages[name].goto(room.console_url)
        unit.born()
        other.born()
        await asyncio.sleep(0.6)
        await shoot(pages, "console-1-idle")
        unit.press()
        for camera in ("dome", "front", "side"):
            unit.still(camera)
            unit.pose = PRESETS[2 if camera == "dome" else 3]
        for page in pages.values():
            await until(page, "document.querySelectorAll('#stills img').length === 3")
        await asyncio.sleep(1.2)
        await shoot(pages, "console-1b-stills")
        unit.pose = PRESETS[1]
        line = asyncio.create_task(unit.call(room.tls_port, pki.unit("pole-0001")))
        for page in pages.values():
            await until(page, "document.getElementById('picture').videoWidth > 0")
        unit.press()
        await asyncio.sleep(2.5)
        await shoot(pages, "console-2-ringing")
        desktop = pages["desktop"]
        await desktop.click("#accept")
        await desktop.click("#answer")
        await desktop.click("#presets button >> nth=0")
        await asyncio.sleep(3)
        await shoot(pages, "console-3-answered")
        await desktop.click("#close")
        await pages["phone"].evaluate("document.getElementById('close').click()")
        await pages["dark"].evaluate("document.getElementById('close').click()")
        await asyncio.sleep(0.3)
        await shoot(pages, "console-4-close-dialog")
        await pages["phone"].keyboard.press("Escape")
        await pages["dark"].keyboard.press("Escape")
        await desktop.check("input[value=genuine]")
        await desktop.fill("#close-note", "Officer attended at once; caller taken home safely.")
        await desktop.click("#close-confirm")
        await desktop.wait_for_selector("#past li", timeout=5000)
        line.cancel()
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
        await shoot(pages, "console-5-past-and-no-picture")
        await desktop.click("#past .play")
        await asyncio.sleep(1.5)
        await shoot({"desktop": desktop}, "console-6-clip")
        for name, page in pages.items():
            print(name, "errors:", page.errors)
        print("heard", unit.heard_rms, [each["cmd"] for each in unit.obeyed])
        await unit.stop()
        await other.stop()
        await room.stop()


def make_clip(path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=640x360:rate=20:duration=5"]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *source, "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)],
        check=True,
    )


async def pole_pictures(browser: Browser) -> None:
    bench = FakeBench()
    server = PolePage(bench, audio=FakeSound())
    await server.start()
    pages = {}
    for name, size, scheme in (("desktop", DESKTOP, "light"), ("phone", PHONE, "light"), ("dark", DESKTOP, "dark")):
        context = await browser.new_context(viewport=size, color_scheme=scheme)
        pages[name] = await context.new_page()
        pages[name].errors = collect_errors(pages[name])
        await pages[name].goto(server.url)
    await asyncio.sleep(1.5)
    await shoot(pages, "pole-1-idle")
    await pages["desktop"].click("#lean")
    bench.lit |= {"yellow": True, "sounder": True}
    bench.words = "We are calling for help. Please stay here if it is safe."
    await bench.set_fault("link", "slow")
    await pages["desktop"].click("#listen")
    await asyncio.sleep(1.5)
    await shoot(pages, "pole-2-pressed")
    for name, page in pages.items():
        print(name, "errors:", page.errors)
    await server.stop()


async def real_pictures(browser: Browser) -> None:
    """The real daemon in a call: both pages, also as the small pictures of the README (docs/images)."""
    options = BenchOptions(profiles=DEFAULT_PROFILES, config={"incident": {"pre_roll_s": 5.0, "post_roll_s": 2.0}})
    async with Bench(options) as bench:
        await bench.wait_ready()
        assert bench.room is not None
        server = PolePage(PoleView(bench), audio=bench.sound)
        await server.start()
        context = await browser.new_context(viewport={"width": 1320, "height": 860}, permissions=["microphone"])
        console, pole = await context.new_page(), await context.new_page()
        await console.goto(bench.room.console_url)
        await pole.goto(server.url)
        await until(console, "document.querySelector('#units .status.good') !== null")
        await pole.hover("#button")
        await pole.mouse.down()
        await asyncio.sleep(0.3)
        await pole.mouse.up()
        await until(console, "document.getElementById('picture').videoWidth > 0")
        await asyncio.sleep(4)
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
        await asyncio.sleep(4)
        await shoot({"console": console, "pole": pole}, "real-answered")
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
    for which, page in pages.items():
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
