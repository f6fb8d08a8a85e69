"""The control room at the far end of the link, a process of its own in a network namespace of its own:
`python -m tests.live.control_room PKI_DIR`.

The relay of the simulator on ROOM:UNIT_PORT (units, mutual TLS) and, on the namespace's loopback at PAGE_PORT, for
consoles, with the page that measures (page/) and the console's own scripts. Says `ready` when it listens; the devices
come later, so it listens on every address.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from aiohttp import web

from hw_sim.control_room.relay import Relay
from hw_sim.control_room.tls import server_context
from hw_sim.pki import CONTROL_ROOM_FILES, Credentials
from tests.live.tunnels import SINK_PORT, loopback_up

UNIT_PORT = 8443
PAGE_PORT = 8080
PAGE = Path(__file__).parent / "page"
CONSOLE = Path(__file__).resolve().parents[2] / "hw_sim" / "control_room" / "console"


async def _run(pki: Path) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    relay = Relay()
    files = Credentials(pki / "ca.pem", pki / f"{CONTROL_ROOM_FILES}.pem", pki / f"{CONTROL_ROOM_FILES}.key")
    unit_side, console_side = web.Application(), web.Application()
    unit_side.router.add_get("/duplex/{unit}", relay.handle_unit)
    console_side.router.add_get("/duplex/{unit}", relay.handle_peer)
    console_side.router.add_static("/page", PAGE)
    console_side.router.add_static("/console", CONSOLE)
    runners = []
    for app, host, port, tls in (
        # Every address: its namespace has one way in, and that comes later.
        (unit_side, "0.0.0.0", UNIT_PORT, server_context(files)),
        (console_side, "127.0.0.1", PAGE_PORT, None),
    ):
        runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        runners.append(runner)
    sink = await asyncio.start_server(_swallow, "0.0.0.0", SINK_PORT)
    print("ready", flush=True)
    await ended.wait()
    sink.close()
    await relay.stop()
    for runner in runners:
        await runner.cleanup()


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The far end of a greedy upload."""
    while await reader.read(65_536):
        pass
    writer.close()


if __name__ == "__main__":
    loopback_up()
    asyncio.run(_run(Path(sys.argv[1])))
