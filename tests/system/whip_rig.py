"""A media server beside the rig of a call."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import tomli_w

from hw_sim.control_room.media_server import MediaServer, serve
from hw_sim.control_room.tls import server_context
from tests.system.call_rig import UNIT, Rig, free_port

TOKEN = "abc.DEF-123~x"


def whip_endpoint(made: Rig, port: int, directory: Path, *, whep: bool = True, name: str = "studio") -> dict[str, Any]:
    """The table of a `whip_whep` endpoint at this port."""
    files = made.pki.unit(UNIT)
    token = directory / "token"
    token.write_text(TOKEN + "\n")
    table = {
        "name": name,
        "kind": "whip_whep",
        "url": f"https://127.0.0.1:{port}/whip/{UNIT}",
        "token_file": str(token),
        "ca_file": str(files.ca_file),
        "cert_file": str(files.cert_file),
        "key_file": str(files.key_file),
    }
    return table | ({"whep_url": f"https://127.0.0.1:{port}/whep/{UNIT}"} if whep else {})


@contextlib.asynccontextmanager
async def media_server(made: Rig, port: int | None = None, **options: Any) -> AsyncIterator[tuple[MediaServer, int]]:
    server, port = MediaServer(TOKEN, **options), port or free_port()
    runner = await serve(server, "127.0.0.1", port, server_context(made.pki.control_room))
    try:
        yield server, port
    finally:
        await server.stop()
        await runner.cleanup()


def configure(made: Rig, **tables: Any) -> None:
    """Write these over the rig's own configuration, in a drop-in file."""
    drop_in = made.config_file.with_suffix(".d")
    drop_in.mkdir(exist_ok=True)
    (drop_in / "50-test.toml").write_text(tomli_w.dumps(tables))
