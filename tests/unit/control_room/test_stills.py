"""Stills at the control room: kept beside the book, shown with their incident, also after a restart."""

import asyncio
import hashlib
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from hw_sim.control_room.hub import Hub
from hw_sim.control_room.server import ControlRoom
from hw_sim.control_room.stills import MOST_OF_INCIDENT, StillBook
from hw_sim.pki import Pki
from tests.unit.control_room.fake_transport import FakeTransport
from tests.unit.control_room.hub_with_unit import UNIT, alarm, stamp, true, with_hub
from unitd.messages.control_room import Still


def still(incident_id: str, camera: str = "dome", number: int = 1, **changes: Any) -> Still:
    jpeg = b"\xff\xd8" + number.to_bytes(2, "big") + b"\xff\xd9"
    made = Still(
        incident_id=incident_id,
        camera=camera,
        at=stamp(),
        width=1280,
        height=720,
        sha256=hashlib.sha256(jpeg).hexdigest(),
        jpeg=jpeg,
    )
    return msgspec.structs.replace(made, **changes)


def test_a_still_is_kept_once_and_found_again_after_a_restart(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())

    async def first(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "still", still(incident_id))
        transport.say(UNIT, "still", still(incident_id))
        transport.say(UNIT, "still", still(incident_id, "side", 2))
        await true(lambda: len(hub.stills.of(incident_id)) == 2)

    async def second(hub: Hub, _transport: FakeTransport) -> None:
        assert [(each.camera, each.unit, each.width) for each in hub.stills.of(incident_id)] == [
            ("dome", UNIT, 1280), ("side", UNIT, 1280),
        ]  # fmt: skip

    with_hub(tmp_path, first)
    with_hub(tmp_path, second)
    assert len(list((tmp_path / "stills" / incident_id).glob("*.jpg"))) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"incident_id": "../../../etc"},
        {"camera": "a/b"},
        {"camera": ""},
        {"sha256": "0" * 64},
        {"jpeg": b"GIF89a", "sha256": hashlib.sha256(b"GIF89a").hexdigest()},
    ],
)
def test_what_is_not_what_it_says_is_not_kept(tmp_path: Path, changes: dict[str, Any]) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "still", msgspec.structs.replace(still(str(uuid.uuid4())), **changes))
        await true(lambda: hub.malformed == 1)

    with_hub(tmp_path, play)
    assert not list(tmp_path.glob("**/*.jpg"))


def test_an_incident_has_so_many_stills_and_no_more(tmp_path: Path) -> None:
    book, incident_id = StillBook(tmp_path), str(uuid.uuid4())
    kept = [book.keep(UNIT, still(incident_id, number=number), 1) for number in range(MOST_OF_INCIDENT + 3)]
    assert kept.count(True) == MOST_OF_INCIDENT


def test_another_units_pictures_are_not_this_incidents(tmp_path: Path) -> None:
    """Whoever has one unit and knows the incident's id must not show, or crowd out, what the other sees."""

    async def run() -> None:
        transport = FakeTransport()
        room = ControlRoom(tmp_path / "room", Pki(tmp_path / "pki"), 0, transport=transport)
        await room.start()
        try:
            incident_id = str(uuid.uuid4())
            transport.say(UNIT, "alarm", alarm(incident_id))
            for number in range(MOST_OF_INCIDENT + 1):
                transport.say("another", "still", still(incident_id, "street", number))
            transport.say(UNIT, "still", still(incident_id, number=1))
            await true(lambda: any(each["stills"] for each in room.state()["incidents"]))
            assert [each["camera"] for each in room.state()["incidents"][0]["stills"]] == ["dome"]
        finally:
            await room.stop()

    asyncio.run(run())


def test_the_console_is_told_of_it_and_gets_the_picture(tmp_path: Path) -> None:
    async def run() -> None:
        transport = FakeTransport()
        room = ControlRoom(tmp_path / "room", Pki(tmp_path / "pki"), 0, transport=transport)
        await room.start()
        try:
            incident_id = str(uuid.uuid4())
            transport.say(UNIT, "alarm", alarm(incident_id))
            transport.say(UNIT, "still", still(incident_id))
            await true(lambda: room.hub.stills.of(incident_id) and room.state()["incidents"])
            (shown,) = room.state()["incidents"][0]["stills"]
            assert (shown["camera"], shown["clock"]) == ("dome", "synced")
            async with aiohttp.ClientSession(room.console_url) as session:
                async with session.get(shown["url"]) as answer:
                    assert answer.status == 200
                    assert answer.content_type == "image/jpeg"
                    assert await answer.read() == still(incident_id).jpeg
                for wrong in (f"/stills/{incident_id}/{'0' * 64}.jpg", "/stills/x/..%2F..%2Fincidents.sqlite.jpg"):
                    async with session.get(wrong) as answer:
                        assert answer.status == 404
        finally:
            await room.stop()

    asyncio.run(run())
