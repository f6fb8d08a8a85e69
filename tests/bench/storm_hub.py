"""The control room's hub alone, as a process of its own.

    python3 -m tests.bench.storm_hub PORT PKI_DIRECTORY DIRECTORY

Prints `up` when the broker has taken its subscription, and runs until it is killed.
"""

import asyncio
import sys
from pathlib import Path

from hw_sim.control_room.hub import Hub
from hw_sim.control_room.mqtt import BrokerTransport
from hw_sim.pki import CONTROL_ROOM_FILES, Credentials


async def main(port: int, pki: Path, directory: Path) -> None:
    stem = CONTROL_ROOM_FILES
    files = Credentials(pki / "ca.pem", pki / f"{stem}.pem", pki / f"{stem}.key")
    hub = Hub(directory, BrokerTransport(files, port))
    up = asyncio.Event()
    hub.on_change = lambda: up.set() if hub.connected else None
    await hub.start()
    await up.wait()
    print("up", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
