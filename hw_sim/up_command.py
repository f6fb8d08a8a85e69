"""`hw-sim up`: what `make sim` runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hw_sim.bench import Bench, BenchOptions
from hw_sim.devices.camera import DEFAULT_PROFILES, TEST_PROFILES
from hw_sim.devices.disk import can_mount, enter_namespace
from hw_sim.devices.gpio_loop import RECOMMENDED_STRETCH_S
from hw_sim.pole.panel import SOCKET_NAME
from hw_sim.pole.server import PolePage
from hw_sim.pole_view import PoleView
from hw_sim.processes import program
from hw_sim.unit_config import write_config

DISK_BYTES = 768 * 2**20
"""Room for about half an hour of the demonstration's picture before the ring turns over; it lives in memory."""


def up(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C or SIGTERM; 0 then, 1 when something does not come up."""
    refused = enter_namespace([sys.executable, "-m", "hw_sim", *sys.argv[1:]])
    say = _progress()
    if refused:
        say(f"disk: the switch 'disk full' is off ({refused})")
    try:
        asyncio.run(_up(arguments, say))
    except (RuntimeError, OSError, TimeoutError) as error:
        print(f"hw-sim: {error}", file=sys.stderr)
        return 1
    return 0


async def _up(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    options = BenchOptions(
        seed=arguments.seed,
        profiles=TEST_PROFILES if arguments.small else DEFAULT_PROFILES,
        disk_bytes=DISK_BYTES if can_mount() else None,
        bad_disk=shutil.which("gcc") is not None,
        panel_camera=True,
        contact="no+nc",
        stretch_s=RECOMMENDED_STRETCH_S,
        console_port=arguments.port_console,
        config={
            "incident": {"pre_roll_s": 10.0, "post_roll_s": 5.0},
            "duty_numbers": [{"name": "duty-officer", "number": "+447700900001"}],
        },
    )
    async with Bench(options, say) as bench, contextlib.AsyncExitStack() as exits:
        page = PolePage(PoleView(bench), audio=bench.sound, port=arguments.port_pole, panel=bench.run_dir / SOCKET_NAME)
        await page.start()
        exits.push_async_callback(page.stop)
        ready = asyncio.create_task(bench.wait_ready())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            assert bench.room is not None  # noqa: S101 - asked for by the options
            say("armed")
            print(f"\n  the pole:               {page.url}\n  the operator's console: {bench.room.console_url}\n")
            unitd, config = program("unitd"), _config_from_outside(bench)
            print(f"  How the unit is, and what it keeps, in words:\n  {unitd} status --config {config}")
            print(f"  {unitd} locks --config {config}\n")
            print("  Ctrl-C ends it all.\n", flush=True)
            await stop.wait()
        ready.cancel()
        stopping.cancel()
        print("\nending ...", flush=True)
        if arguments.keep:
            await bench.keep(arguments.keep)
            print(f"configuration, ring and logs are in {arguments.keep}", flush=True)
    print("all processes have ended", flush=True)


def _config_from_outside(bench: Bench) -> Path:
    """A configuration for commands from another terminal: that does not see our mounts, and goes to state and evidence
    by way of this process. The unit's own where nothing is mounted. Raises OSError.
    """
    if bench.disk is None:
        return bench.config_file
    paths = dict(bench.config["paths"])
    for name in ("state_dir", "evidence_dir"):
        paths[name] = f"/proc/{os.getpid()}/root{paths[name]}"
    file = bench.config_file.with_name("from-outside.toml")
    write_config(file, bench.config | {"paths": paths})
    return file


def _progress() -> Callable[[str], None]:
    began_s = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began_s:5.1f} s] {line}", flush=True)

    return say
