"""A call by WHIP and WHEP (RFC 9725) with the real `unitd call` and a media server by another implementation."""

import asyncio
import tomllib
from pathlib import Path

import pytest

from tests.system.call_rig import UNIT, rig, until
from tests.system.test_call_media import card, operator
from tests.system.whip_rig import configure, media_server, whip_endpoint

pytestmark = pytest.mark.system


def test_picture_and_voice_go_by_whip_and_the_operators_voice_comes_by_whep(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            card(tmp_path) as sound,
            rig(tmp_path, relay=False) as made,
            media_server(made) as (server, port),
        ):
            configure(made, endpoints=[whip_endpoint(made, port, tmp_path)])
            server.speak(700)
            watcher = server.operator(UNIT)
            await made.start_call(sound.env())
            sound.play_caller(440)
            made.core.want(made.call(microphone=True, voices=True))
            await until(lambda: watcher.frames > 20, 15, "moving picture")
            await until(lambda: watcher.hears_tone(440), 10, "the operator hears the caller")
            await until(lambda: made.core.health.facts.get("endpoint") == "studio", 5, "the endpoint is named")
            assert made.core.names()[:2] == ["call_offered", "call_connected"]
            # the horn has its own gain: at what loudness it plays is another test's
            levels = [await sound.horn_tone_db(700, 0.4) for _ in range(12)]
            assert max(levels) > -30, levels
            made.core.want(None)
            await until(lambda: not server.resources, 5, "both resources are deleted")
            methods = [method for method, _ in server.requests]
            assert methods.count("POST") == 2
            assert methods.count("DELETE") == 2

    asyncio.run(play())


def test_a_media_server_that_is_busy_leaves_the_call_to_the_relay(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path) as made, media_server(made) as (server, port), operator(made) as peer:
            server.refuse_with = (503, {"Retry-After": "30"})
            made.write_config(sound=False)
            relay = tomllib.loads(made.config_file.read_text())["endpoints"]
            configure(made, endpoints=[whip_endpoint(made, port, tmp_path, whep=False), *relay])
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: peer.frames > 5, 15, "a picture through the relay")
            await until(lambda: made.core.health.facts.get("endpoint") == "hub", 5, "the endpoint is named")
            assert ("POST", f"/whip/{UNIT}") in server.requests
            assert not server.resources

    asyncio.run(play())
