"""coturn: a TURN server that we did not write, by UDP, TCP and TLS.

It listens on an address of this machine's own that is not loopback: ICE gathers no candidates there, and packets
from another address do not get to loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from hw_sim.pki import Credentials
from tests.system.call_rig import free_port

USER = "pole@site/1"
PASSWORD = "p%ss/w:rd ?&#+="
"""With letters that a URL would read otherwise."""
READY_S = 10.0


@dataclass(frozen=True)
class TurnServer:
    """Address and ports of a running coturn, and the file it logs to."""

    host: str
    port: int
    tls_port: int
    log: Path

    def url(self, way: str) -> str:
        """The URL for "udp", "tcp" or "tls"."""
        if way == "tls":
            return f"turns:{self.host}:{self.tls_port}"
        return f"turn:{self.host}:{self.port}?transport={way}"


def own_address() -> str:
    """An address of this machine that ICE would use. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        address: str = probe.getsockname()[0]
        return address


@contextlib.asynccontextmanager
async def turn_server(directory: Path, certificate: Credentials) -> AsyncIterator[TurnServer]:
    """Run it as long as this is open."""
    server = TurnServer(own_address(), free_port(), free_port(), directory / "coturn.log")
    with server.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "turnserver", "-n", f"--listening-ip={server.host}", f"--relay-ip={server.host}",
            f"--listening-port={server.port}", f"--tls-listening-port={server.tls_port}", "--realm=site",
            "--lt-cred-mech", "--fingerprint", "--no-cli", "--allow-loopback-peers", "-v", f"--user={USER}:{PASSWORD}",
            f"--cert={certificate.cert_file}", f"--pkey={certificate.key_file}", "--log-file=stdout",
            f"--pidfile={directory / 'turn.pid'}", f"--userdb={directory / 'turn.db'}",
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        await _ready(server)
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(server: TurnServer) -> None:
    async with asyncio.timeout(READY_S):
        for port in (server.port, server.tls_port):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(server.host, port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
