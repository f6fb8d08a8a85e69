"""What the control room knows of a live call beside its stage: who waits how long, the sound's levels, the guard over
its time, a hand-over, who watches, and who else is at a console."""

import asyncio
import uuid
from pathlib import Path

import msgspec

from tests.unit.control_room.hub_with_unit import UNIT, alarm, listed, stamp, state, true
from tests.unit.control_room.room import console_talk, running
from tests.unit.control_room.test_server import state_where
from unitd.messages.control_room import Event, Stamp, Watching


def test_waiting_is_counted_from_the_press_whatever_the_units_clock_says(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, transport, _pki, session):
            transport.always_reply("done")
            incident_id = str(uuid.uuid4())
            lost = Stamp(utc_us=1_000_000, clock="unknown", mono_ns=5_000_000_000)  # 1970
            late = Stamp(utc_us=43_000_000, clock="unknown", mono_ns=47_000_000_000)  # 42 s in the unit
            transport.say(UNIT, "state", state(listed(incident_id, "received")))
            transport.say(UNIT, "alarm", msgspec.structs.replace(alarm(incident_id), pressed=lost, sent=late))
            await true(lambda: incident_id in room.hub.incidents and room.hub.incidents[incident_id].code)
            talk = await console_talk(session, room)
            first = (await state_where(talk, lambda m: m["incidents"]))["incidents"][0]
            assert first["accept_s"] is first["answer_s"] is None
            assert 42 <= first["waiting_s"] < 45
            outcome = await room.hub.command(UNIT, "answer", "Ana", {"incident_id": incident_id})
            assert outcome.result == "done"
            after = (await state_where(talk, lambda m: m["incidents"][0]["answer_s"]))["incidents"][0]
            assert 42 <= after["accept_s"] <= after["answer_s"] < 45

    asyncio.run(run())


def test_levels_time_warning_and_hand_over_are_shown(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, transport, _pki, session):
            transport.always_reply("done")
            incident_id = str(uuid.uuid4())
            transport.say(UNIT, "alarm", alarm(incident_id))
            quiet = msgspec.structs.replace(listed(incident_id, "answered"), quiet=True, mute_horn=True)
            transport.say(UNIT, "state", state(quiet))
            talk = await console_talk(session, room)
            shown = await state_where(talk, lambda m: m["incidents"] and m["incidents"][0]["sound"]["quiet"])
            assert shown["incidents"][0]["sound"] == {"mute_microphone": False, "mute_horn": True, "quiet": True}
            assert shown["incidents"][0]["time_warning"] is None
            told = {"seconds": 1800, "closes_in_s": 120, "on_line": False}
            warning = Event(name="call_time_warning", at=stamp(), session=3, incident_id=incident_id, data=told)
            transport.say(UNIT, "event", warning)
            shown = await state_where(talk, lambda m: m["incidents"][0]["time_warning"])
            assert shown["incidents"][0]["time_warning"]["closes_in_s"] == 120
            await room.hub.command(UNIT, "extend", "Ana", {"incident_id": incident_id, "for_s": 600})
            await state_where(talk, lambda m: m["incidents"][0]["time_warning"] is None)
            await room.hub.command(UNIT, "hand_over", "Ana", {"incident_id": incident_id, "room": "police"})
            shown = await state_where(talk, lambda m: m["incidents"][0]["handed_to"])
            assert (shown["incidents"][0]["handed_to"], shown["incidents"][0]["handed_by"]) == ("police", "Ana")

    asyncio.run(run())


def test_a_watch_is_the_units_own_word(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (_room, transport, _pki, session):
            watch = Watching(watch_id="w", by="Ana", reason="crowd", until_uptime_ms=90_000, announce=True)
            transport.say(UNIT, "state", msgspec.structs.replace(state(uptime_ms=60_000), watch=watch))
            talk = await console_talk(session, _room)
            shown = await state_where(talk, lambda m: m["units"] and m["units"][0]["watch"])
            assert shown["incidents"] == [], "nobody has called"
            told = shown["units"][0]["watch"]
            assert (told["by"], told["reason"], told["announce"]) == ("Ana", "crowd", True)
            assert 25 <= told["ends_in_s"] <= 30
            transport.say(UNIT, "state", state(uptime_ms=61_000))
            await state_where(talk, lambda m: m["units"][0]["watch"] is None)

    asyncio.run(run())


def test_operators_see_who_else_is_here(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, _pki, session):
            ana, ben = await console_talk(session, room), await console_talk(session, room)
            await ana.say(type="here", name="Ana" * 100, unit=UNIT)
            shown = await state_where(ben, lambda m: m["operators"])
            assert shown["operators"] == [{"name": ("Ana" * 100)[:64], "unit": UNIT}]
            await ana.close()
            await state_where(ben, lambda m: m["operators"] == [])

    asyncio.run(run())
