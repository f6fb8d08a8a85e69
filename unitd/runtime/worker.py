"""The common frame of the four workers: logs, watchdog, the link to core, an orderly end on SIGTERM."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unitd.config import Config
from unitd.messages.workers import Worker
from unitd.runtime import logs
from unitd.runtime.clock import SystemClock
from unitd.runtime.ending import end_within
from unitd.runtime.ipc import CoreLink
from unitd.runtime.last_resort import LastResort
from unitd.runtime.supervise import Service, supervise
from unitd.runtime.watchdog import Watchdog, next_step, notify
from unitd.store.last_seen import read_last_seen

LOOP_BEAT_S = 1.0


@dataclass(frozen=True)
class Frame:
    """What a worker's composition root gets to build its services from."""

    config: Config
    log: logs.Logger
    clock: SystemClock
    core: CoreLink
    watchdog: Watchdog
    last_resort: LastResort


def run_worker(who: Worker, config: Config, build: Callable[[Frame], list[Service]]) -> int:
    """Run the worker until SIGTERM or SIGINT; returns the exit status (1 when a vital service was lost)."""
    return asyncio.run(_run(who, config, build))


def _recall(clock: SystemClock, state_dir: Path) -> None:
    """On a thread of its own: a card that hangs holds up no worker's start."""
    with contextlib.suppress(OSError):
        clock.not_before(read_last_seen(state_dir))


async def _run(who: Worker, config: Config, build: Callable[[Frame], list[Service]]) -> int:
    next_step()  # all is imported and the configuration is read
    log = logs.setup(who, config.log.level)
    run_dir = Path(config.paths.run_dir)
    watchdog = Watchdog(time.monotonic_ns)
    last_resort = LastResort(run_dir / f"{who}.stuck", log)
    clock = SystemClock(Path(config.clock.synchronized_file))
    state_dir = Path(config.paths.state_dir)
    threading.Thread(target=_recall, args=(clock, state_dir), name="last seen", daemon=True).start()
    frame = Frame(config, log, clock, CoreLink(run_dir, who, log), watchdog, last_resort)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stop.set)

    async def beat() -> None:
        watchdog.expect("loop", within_s=5.0)
        while True:
            watchdog.beat("loop")
            await asyncio.sleep(LOOP_BEAT_S)

    async def feed() -> None:
        await watchdog.run(lambda stale: log.error("watchdog withheld", stale=stale))

    services = [Service("loop", beat, vital=True), Service("watchdog", feed, vital=True)]
    services += [Service("core link", frame.core.run), *build(frame), Service("last resort", last_resort.run)]
    work = asyncio.create_task(supervise(services, log))
    notify("READY=1")
    log.info("worker started")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    notify("STOPPING=1")
    status = 0
    if work.done():
        log.error("worker ends", error=repr(work.exception()))
        status = 1
    end_within(status)
    work.cancel()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await work
    log.info("worker stopped", status=status)
    logs.flush()
    return status
