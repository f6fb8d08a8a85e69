"""A control room as one program, for a container: the real broker and the hub, and a file that says what the hub knows.

usage: python3 -m tests.system.control_room_program PORT DIR

DIR holds a Pki made beforehand (see hw_sim.pki). DIR/seen.json is replaced whole after every change.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from hw_sim.control_room.broker import Broker
from hw_sim.control_room.hub import Hub
from hw_sim.control_room.mqtt import BrokerTransport
from hw_sim.pki import CONTROL_ROOM_FILES, Credentials


def credentials(place: Path, stem: str) -> Credentials:
    return Credentials(place / "ca.pem", place / f"{stem}.pem", place / f"{stem}.key")


async def serve(port: int, place: Path) -> None:
    broker = Broker(place / "broker", credentials(place, "broker"))
    broker.port = port
    await broker.start()
    hub = Hub(place, BrokerTransport(credentials(place, CONTROL_ROOM_FILES), port))

    def write() -> None:
        seen = {
            "units": {
                name: {
                    "online": unit.state.online,
                    "armed": unit.state.armed,
                    "session": unit.state.session,
                    "open": [each.incident_id for each in unit.state.open_incidents],
                    "faults": [f"{fault.code} {fault.subject}".strip() for fault in unit.state.faults],
                }
                for name, unit in hub.units.items()
            },
            "presses": {each.incident_id: each.presses for each in hub.incidents.values()},
            "incidents": {each.incident_id: each.stage for each in hub.incidents.values()},
        }
        fresh = place / "seen.json.new"
        fresh.write_text(json.dumps(seen), encoding="utf-8")
        fresh.replace(place / "seen.json")

    hub.on_change = write
    await hub.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
