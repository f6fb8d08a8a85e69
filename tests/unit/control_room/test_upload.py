"""Clips: ordered by themselves when an incident is over, taken only whole and from the right unit, served in ranges."""

import asyncio
import hashlib
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hw_sim.control_room import upload
from hw_sim.control_room.server import ControlRoom
from hw_sim.control_room.tls import client_context
from hw_sim.pki import Credentials
from tests.unit.control_room.fake_transport import FakeTransport
from tests.unit.control_room.hub_with_unit import UNIT, alarm, listed, stamp, state, true
from tests.unit.control_room.room import running
from unitd.messages.control_room import Event

CLIP = b"\x00\x00\x00\x18ftypiso5" + bytes(range(256)) * 40


async def closed_incident(room: ControlRoom, transport: FakeTransport) -> dict[str, Any]:
    """An incident that is over, and the upload order that follows by itself."""
    incident_id = str(uuid.uuid4())
    transport.always_reply()
    transport.say(UNIT, "state", state(listed(incident_id, "answered")))
    transport.say(UNIT, "alarm", alarm(incident_id))
    transport.say(UNIT, "state", state())
    await true(lambda: incident_id in room.hub.incidents and room.hub.incidents[incident_id].stage == "closed")
    assert transport.sent("/cmd") == [], "the post-roll is not over yet"
    transport.say(UNIT, "event", Event(name="incident_closed", at=stamp(), session=3, incident_id=incident_id))
    await true(lambda: transport.sent("/cmd"))
    order: dict[str, Any] = transport.sent("/cmd")[0]
    assert order["cmd"] == "upload"
    assert order["incident_id"] == incident_id
    return order


async def put(session: aiohttp.ClientSession, order: dict[str, Any], who: Credentials, **changed: Any) -> int:
    headers = {
        "Authorization": f"Bearer {changed.get('token', order['token'])}",
        "X-Content-SHA256": changed.get("sha256", hashlib.sha256(CLIP).hexdigest()),
        "Content-Type": "video/mp4",
    }
    async with session.put(order["url"], data=CLIP, headers=headers, ssl=client_context(who)) as answer:
        return answer.status


def test_a_clip_arrives_and_is_served_whole_and_in_ranges(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, transport, pki, session):
            order = await closed_incident(room, transport)
            assert await put(session, order, pki.unit(UNIT)) == 201
            assert await put(session, order, pki.unit(UNIT)) == 200, "again: it is here already"
            shown = room.state()["incidents"][0]["clip"]
            assert (shown["state"], shown["size_bytes"]) == ("ready", len(CLIP))
            url = room.console_url + shown["url"].lstrip("/")
            async with session.get(url) as whole:
                assert await whole.read() == CLIP
                assert whole.content_type == "video/mp4"
            async with session.get(url, headers={"Range": "bytes=10-19"}) as part:
                assert (part.status, await part.read()) == (206, CLIP[10:20])
            async with session.get(url + "?download") as download:
                assert 'filename="pole-0001-ABC234.mp4"' in download.headers["Content-Disposition"]
            assert not list((tmp_path / "room" / "clips").glob("*.part"))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changed", "status"), [({"token": "guess"}, 401), ({"sha256": "0" * 64}, 422), ({"sha256": ""}, 422)]
)
def test_a_wrong_clip_is_refused_and_leaves_nothing(tmp_path: Path, changed: dict[str, str], status: int) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, transport, pki, session):
            order = await closed_incident(room, transport)
            assert await put(session, order, pki.unit(UNIT), **changed) == status
            assert list((tmp_path / "room" / "clips").iterdir()) == []
            assert await put(session, order, pki.unit(UNIT)) == 201

    asyncio.run(run())


def test_another_units_certificate_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, transport, pki, session):
            order = await closed_incident(room, transport)
            assert await put(session, order, pki.unit("pole-0002")) == 403
            order["url"] += "x"
            assert await put(session, order, pki.unit(UNIT)) == 404

    asyncio.run(run())


def test_a_failed_upload_is_ordered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "FIRST_BACK_OFF_S", 0.01)

    async def run() -> None:
        async with running(tmp_path) as (room, transport, pki, session):
            order = await closed_incident(room, transport)
            failed = Event(
                name="upload_done",
                at=stamp(),
                session=3,
                incident_id=order["incident_id"],
                data={"ok": False, "error": "no footage yet"},
            )
            transport.say(UNIT, "event", failed)
            await true(lambda: len(transport.sent("/cmd")) == 2)
            again: dict[str, Any] = transport.sent("/cmd")[1]
            assert (again["url"], again["token"]) == (order["url"], order["token"])
            assert await put(session, again, pki.unit(UNIT)) == 201

    asyncio.run(run())
