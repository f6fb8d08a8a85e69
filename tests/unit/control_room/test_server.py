"""The console's API: whole states on change, commands with typed replies, strangers kept out."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.unit.control_room.hub_with_unit import UNIT, alarm, listed, state, true
from tests.unit.control_room.room import Talk, console_talk, running


async def state_where(talk: Talk, condition: Any) -> dict[str, Any]:
    while True:
        message = await talk.hear()
        if message["type"] == "state" and condition(message):
            return message


def test_a_console_sees_units_and_incidents_as_they_are_now(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, transport, _pki, session):
            talk = await console_talk(session, room)
            empty = await talk.hear()
            assert (empty["units"], empty["incidents"], empty["broker"]) == ([], [], True)
            incident_id = str(uuid.uuid4())
            transport.say(UNIT, "state", state())
            transport.say(UNIT, "alarm", alarm(incident_id, presses=3))
            transport.say(UNIT, "state", state(listed(incident_id, "received")))
            shown = await state_where(talk, lambda m: m["incidents"] and m["incidents"][0]["stage"] == "received")
            incident = shown["incidents"][0]
            assert incident["open"]
            assert incident["site"]["name"] == "Market Square"
            assert incident["waiting_s"] < 3
            assert "token" not in str(shown), "the upload token is nobody's business"
            assert shown["units"][0]["armed"]

    asyncio.run(run())


def test_a_command_is_answered_under_its_id(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, transport, _pki, session):
            transport.always_reply("refused", "not now")
            transport.say(UNIT, "state", state())
            await true(lambda: room.hub.units)
            talk = await console_talk(session, room)
            await talk.say(type="command", id=41, unit=UNIT, by="Ana", cmd="dome_preset", preset=2)
            while (message := await talk.hear())["type"] != "reply":
                pass
            assert message == {
                "type": "reply", "id": 41, "cmd": "dome_preset", "result": "refused", "reason": "not now", "seq": 1,
            }  # fmt: skip

    asyncio.run(run())


def test_a_console_cannot_forge_the_hubs_fields(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, transport, _pki, session):
            transport.always_reply()
            transport.say(UNIT, "state", state())
            await true(lambda: room.hub.units)
            talk = await console_talk(session, room)
            await talk.say(type="command", id=1, unit=UNIT, by="Ana", cmd="dome_stop", session=99, seq=7)
            await true(lambda: transport.sent("/cmd"))
            sent = transport.sent("/cmd")[0]
            assert (sent["session"], sent["seq"]) == (3, 1)

    asyncio.run(run())


def test_nonsense_gets_a_reply_and_not_silence(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, _pki, session):
            talk = await console_talk(session, room)
            await talk.socket.send_str("{")
            while (message := await talk.hear())["type"] != "reply":
                pass
            assert message["result"] == "invalid"

    asyncio.run(run())


def test_another_pages_origin_and_anothers_name_are_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, _pki, session):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await console_talk(session, room, Origin="http://evil.example")
            assert refused.value.status == 403
            async with session.get(room.console_url, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 403
            async with session.get(room.console_url) as answer:
                assert answer.status == 200
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            own = await console_talk(session, room, Origin=room.console_url.rstrip("/"))
            assert (await own.hear())["type"] == "state"

    asyncio.run(run())
