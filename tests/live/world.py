"""Everything of one case, up and running: unit, its sound card, its camera, the link, the control room, a browser.

The unit is in the namespace of the caller, the control room and the browser in one of their own; between them is only
the link.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tomli_w
from playwright.async_api import Page, async_playwright

from hw_sim.devices.sound import VirtualSound
from hw_sim.pki import Pki
from tests.browser.chromium import FLAGS
from tests.browser.chromium import program as chromium_program
from tests.live import speech
from tests.live.control_room import PAGE_PORT, UNIT_PORT
from tests.live.processes import module, program
from tests.live.shape import Moment
from tests.live.tunnels import (
    ROOM,
    SINK_PORT,
    UNIT_ADDRESSES,
    UNIT_DEVICES,
    device_up,
    loopback_up,
    move_unit,
    unshare_command,
)
from tests.system.call_rig import INCIDENT, UNIT, CoreEnd, until
from unitd.messages.workers import CallWanted

CLOCK_LOOKS = 20
CALLER_LATENCY_MS = 1000
SOUND_PRIORITY = 9
UPLOAD_CHUNK = bytes(65_536)


class World:
    """See `world`. `mono_ms(page_ms)` is CLOCK_MONOTONIC of a time of the page, within a millisecond."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run_dir = directory / "run"
        self.run_dir.mkdir(parents=True)
        self.pki = Pki(directory / "pki", (ROOM,))
        self.core = CoreEnd(self.run_dir)
        self.sound = VirtualSound(directory / "sound")
        self.caller = speech.sentences(speech.CALLER)
        self.operator = speech.sentences(speech.OPERATOR)
        self.call_log = directory / "call.log"
        self.unit: asyncio.subprocess.Process
        self.page: Page
        self._link: asyncio.subprocess.Process
        self._page_offset_ms = 0.0
        self._at: tuple[int, int] = (0, 0)
        self._upload: asyncio.Task[None] | None = None
        self._wanted: CallWanted | None = None

    # --- the call ---------------------------------------------------------------------------------------------------

    def want(self, **fields: Any) -> float:
        """Core wants the call; the monotonic time in seconds."""
        self.core.want(CallWanted(incident_id=INCIDENT, **fields))
        return time.monotonic()

    def mono_ms(self, page_ms: float) -> float:
        return page_ms + self._page_offset_ms

    async def take(self) -> dict[str, Any]:
        """What the page saw since the last time."""
        taken: dict[str, Any] = json.loads(await self.page.evaluate("probe.take()"))
        return taken

    def steps(self) -> list[dict[str, Any]]:
        """The lines of the unit's log that tell of a step of the ladder."""
        lines = self.call_log.read_text(errors="replace").splitlines()
        read = [json.loads(line) for line in lines if line.startswith("{") and "step" in line]
        return [line for line in read if "picture step" in str(line.get("event"))]

    # --- the link ---------------------------------------------------------------------------------------------------

    async def obey(self, moment: Moment) -> None:
        """The link as the moment says, from now on."""
        order = {"up": asdict(moment.up), "down": asdict(moment.down)}
        await self._order(order)
        if (moment.way, moment.address) != self._at:
            await asyncio.to_thread(move_unit, self._at, (moment.way, moment.address))
            self._at = (moment.way, moment.address)
        if moment.upload and self._upload is None:
            self._upload = asyncio.create_task(_greedy())
        elif not moment.upload:
            await self.end_upload()

    async def end_upload(self) -> None:
        if self._upload is not None:
            self._upload.cancel()
            await asyncio.gather(self._upload, return_exceptions=True)
            self._upload = None

    async def counts(self) -> dict[str, Any]:
        """What passed the link since its start (forwarder.Counts of each way)."""
        await self._order({"counts": True})
        assert self._link.stdout is not None
        counts: dict[str, Any] = json.loads(await self._link.stdout.readline())
        return counts

    async def _order(self, order: dict[str, Any]) -> None:
        assert self._link.stdin is not None
        self._link.stdin.write(json.dumps(order).encode() + b"\n")
        await self._link.stdin.drain()

    # --- the unit's process -----------------------------------------------------------------------------------------

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.unit.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        for line in Path(f"/proc/{self.unit.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0

    def write_config(self, standing: bool) -> Path:
        files = self.pki.unit(UNIT)
        config: dict[str, Any] = {
            "schema": 1,
            "unit": {"id": UNIT},
            "paths": {
                "state_dir": str(self.directory / "state"),
                "run_dir": str(self.run_dir),
                "evidence_dir": str(self.directory / "evidence"),
            },
            "cameras": [{"name": "dome", "main_url": "rtsp://127.0.0.1:9/main", "sub_url": "rtsp://127.0.0.1:9/sub"}],
            "sound": {"input": "mic", "output": "horn"},
            "endpoints": [
                {
                    "name": "hub",
                    "standing": standing,
                    "url": f"wss://{ROOM}:{UNIT_PORT}/duplex/{UNIT}",
                    "ca_file": str(files.ca_file),
                    "cert_file": str(files.cert_file),
                    "key_file": str(files.key_file),
                }
            ],
        }
        path = self.directory / "unit.toml"
        path.write_text(tomli_w.dumps(config))
        return path

    async def _set_clock(self) -> None:
        """How the page's clock stands to ours: the look that took least time."""
        best = float("inf")
        for _ in range(CLOCK_LOOKS):
            before_ms = time.monotonic() * 1000
            page_ms = float(await self.page.evaluate("probe.now()"))
            after_ms = time.monotonic() * 1000
            if after_ms - before_ms < best:
                best = after_ms - before_ms
                self._page_offset_ms = (before_ms + after_ms) / 2 - page_ms


@contextlib.asynccontextmanager
async def world(
    directory: Path, first: Moment, seed: int, *, controller: bool = True, standing: bool = False
) -> AsyncIterator[World]:
    """One case's world, the link as `first` says, the console waiting, the call not yet wanted. Without `controller`
    the unit's congestion control is off; `standing`: its link to the control room is open between calls."""
    made = World(directory)
    async with contextlib.AsyncExitStack() as stack:
        await made.core.start()
        stack.push_async_callback(made.core.stop)
        await asyncio.to_thread(made.sound.start)
        stack.push_async_callback(asyncio.to_thread, made.sound.stop)
        _hurry(made.sound.server_pid)
        speech.write(directory / "caller.wav", made.caller)
        speech.write(directory / "operator.wav", made.operator)
        made.sound.play_caller(directory / "caller.wav", latency_ms=CALLER_LATENCY_MS)
        log = directory / "helpers.log"
        await stack.enter_async_context(program(module("tests.live.camera", str(made.run_dir)), log))
        room_command = unshare_command(module("tests.live.control_room", str(directory / "pki")))
        room = await stack.enter_async_context(program(room_command, log))
        made._link = await stack.enter_async_context(
            program(module("tests.live.link_process", str(room.pid), str(seed)), log)
        )
        await asyncio.to_thread(loopback_up)
        await asyncio.to_thread(device_up, UNIT_DEVICES[0], UNIT_ADDRESSES[0][0])
        stack.push_async_callback(made.end_upload)
        await made.obey(first)
        made.page = await stack.enter_async_context(_console(directory, room.pid))
        await made._set_clock()
        command = module("unitd" if controller else "tests.live.uncontrolled", "call", "--config")
        command.append(str(made.write_config(standing)))
        made.unit = await stack.enter_async_context(program(command, made.call_log, made.sound.env(), says_ready=False))
        await until(lambda: made.core.connections > 0 or made.unit.returncode is not None, 15, "the unit is there")
        if made.unit.returncode is not None:
            raise RuntimeError(f"the unit ended: {made.call_log.read_text()[-300:]}")
        yield made


@contextlib.asynccontextmanager
async def _console(directory: Path, room_pid: int) -> AsyncIterator[Page]:
    """The measuring page in a Chromium that lives at the far end."""
    wrapper = directory / "chromium.sh"
    enter = shutil.which("nsenter") or "nsenter"
    wrapper.write_text(f'#!/bin/sh\nexec {enter} --net=/proc/{room_pid}/ns/net -- {chromium_program()} "$@"\n')
    wrapper.chmod(0o755)
    flags = [
        *(flag for flag in FLAGS if flag != "--allow-loopback-in-peer-connection"),
        f"--use-file-for-fake-audio-capture={directory / 'operator.wav'}",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(wrapper), args=flags)
        try:
            origin = f"http://127.0.0.1:{PAGE_PORT}"
            context = await browser.new_context(viewport={"width": 500, "height": 300}, permissions=["microphone"])
            page = await context.new_page()
            with (directory / "page.log").open("a") as page_log:
                page.on("console", lambda message: page_log.write(message.text + "\n"))
                page.on("pageerror", lambda error: page_log.write(str(error) + "\n"))
                await page.goto(f"{origin}/page/index.html?unit={UNIT}")
                await page.wait_for_function("window.ready === true")
                await page.evaluate("probe.start()")
                yield page
        finally:
            await browser.close()


def _hurry(pid: int) -> None:
    """A sound card does not wait for programs. When all of us have real-time priority (`chrt -r 5`) the sound server,
    which gives that up as it starts, gets some above it, as Chromium's own sound has."""
    policy = os.sched_getscheduler(0)
    if policy not in (os.SCHED_RR, os.SCHED_FIFO):
        return
    priority = max(SOUND_PRIORITY, os.sched_getparam(0).sched_priority + 1)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(priority))


async def _greedy() -> None:
    """A TCP flow that takes what it can get."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(ROOM, SINK_PORT)
            try:
                while True:
                    writer.write(UPLOAD_CHUNK)
                    await writer.drain()
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.5)
