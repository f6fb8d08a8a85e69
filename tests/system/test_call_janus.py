"""Interoperation: picture and voice by WHIP into Janus, a media server that we did not write."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from hw_sim.control_room.tls import server_context
from tests.system.call_rig import free_port, rig, until
from tests.system.janus_server import janus
from tests.system.test_call_media import card
from tests.system.whip_rig import configure, whip_endpoint

pytestmark = pytest.mark.system


def test_janus_gets_picture_and_voice(tmp_path: Path) -> None:
    async def play() -> None:
        async with card(tmp_path) as sound, rig(tmp_path, relay=False) as made, janus(tmp_path) as front:
            port = free_port()
            runner = web.AppRunner(front.app(), shutdown_timeout=0.5)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port, ssl_context=server_context(made.pki.control_room)).start()
            configure(made, endpoints=[whip_endpoint(made, port, tmp_path, whep=False)])
            try:
                await made.start_call(sound.env())
                made.core.want(made.call())
                await until(lambda: "call_connected" in made.core.names(), 15, "connected to Janus")
                await until(lambda: front.picture.packets > 40, 15, "Janus forwards the picture")
                await until(lambda: front.voice.packets > 50, 10, "and the voice")
                made.core.want(None)
                await until(lambda: not front.resources, 5, "the resource is deleted")
            finally:
                await runner.cleanup()

    asyncio.run(play())
