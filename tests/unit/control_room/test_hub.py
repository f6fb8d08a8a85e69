"""The hub: durable before `received`, and incidents that follow their unit and survive a restart."""

import asyncio
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from hw_sim.control_room.book import Book, Incident
from hw_sim.control_room.hub import Hub
from tests.unit.control_room.fake_transport import FakeTransport
from tests.unit.control_room.hub_with_unit import SITE, UNIT, alarm, listed, stamp, state, true, with_hub
from unitd.messages.control_room import Alarm, Event, Fact, Stamp, State


def test_received_names_the_press_and_the_book_has_it_by_then(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())
    first = alarm(incident_id)
    stored_at_publish: list[int] = []

    async def play(hub: Hub, transport: FakeTransport) -> None:
        def look(_topic: str, _payload: bytes) -> None:
            with sqlite3.connect(tmp_path / "incidents.sqlite") as db:
                stored_at_publish.append(db.execute("SELECT count(*) FROM alarms").fetchone()[0])

        transport.on_publish = look
        transport.say(UNIT, "alarm", first)
        await true(lambda: stored_at_publish)
        assert transport.sent("down/received") == [{"press_ids": [first.press_id], "heard": True}]
        assert transport.published[0][0] == f"hp/1/{UNIT}/down/received"

    with_hub(tmp_path, play)
    assert stored_at_publish == [1]


@pytest.mark.parametrize("way", ["event", "alarm"])
def test_a_press_of_1970_is_shown_at_its_true_time_once_the_unit_knows(tmp_path: Path, way: str) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        incident_id = str(uuid.uuid4())
        in_1970 = Stamp(utc_us=61_000_000, clock="unknown", mono_ns=5_000_000_000)
        first = msgspec.structs.replace(alarm(incident_id), pressed=in_1970)
        transport.say(UNIT, "alarm", first)
        await true(lambda: incident_id in hub.incidents)
        incident = hub.incidents[incident_id]
        assert (incident.pressed_utc_us, incident.clock) == (61_000_000, "unknown")
        if way == "alarm":
            true_time = msgspec.structs.replace(stamp(), clock="held")
            transport.say(UNIT, "alarm", msgspec.structs.replace(first, corrected=true_time, attempt=2))
        else:
            for mono_ns, utc_us in ((6_000_000_000, 5), (5_000_000_000, stamp().utc_us)):  # another press's, its own
                data: dict[str, Fact] = {"press": first.press_id, "utc_us": utc_us, "mono_ns": mono_ns, "boot": 1}
                event = Event(name="stamp_corrected", at=stamp(), session=3, incident_id=incident_id, data=data)
                transport.say(UNIT, "event", event)
        await true(lambda: hub.incidents[incident_id].clock == "held")
        assert hub.incidents[incident_id].pressed_utc_us == stamp().utc_us

    with_hub(tmp_path, play)


def test_a_disk_that_refuses_means_no_received(tmp_path: Path) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        hub._the_book().write_alarms = _refuse  # type: ignore[assignment]
        transport.say(UNIT, "alarm", alarm(str(uuid.uuid4())))
        transport.say(UNIT, "state", state())
        await true(lambda: UNIT in hub.units)
        await true(lambda: transport.sent("down/received"))
        assert transport.sent("down/received") == [{"press_ids": [], "heard": True}]

    with_hub(tmp_path, play)


def _refuse(*_: object) -> bool:
    raise sqlite3.OperationalError("database or disk is full")


def test_the_same_press_again_is_answered_again_and_counted_once(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())
    press = alarm(incident_id)

    async def play(hub: Hub, transport: FakeTransport) -> None:
        for _ in range(3):
            transport.say(UNIT, "alarm", press)
        transport.say(UNIT, "alarm", alarm(incident_id, presses=2))
        await true(lambda: len(transport.sent("down/received")) == 4)
        assert [each.presses for each in hub.incidents.values()] == [2]

    with_hub(tmp_path, play)
    with sqlite3.connect(tmp_path / "incidents.sqlite") as db:
        assert db.execute("SELECT count(*) FROM alarms").fetchone() == (2,)


def test_nonsense_is_counted_and_the_next_alarm_still_heard(tmp_path: Path) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "alarm", b"\xff{")
        transport.say(UNIT, "alarm", b'{"press_id": 3}')
        transport.say(UNIT, "alarm", alarm(str(uuid.uuid4())))
        await true(lambda: hub.incidents)
        assert hub.malformed == 2

    with_hub(tmp_path, play)


def test_a_born_unit_is_told_at_once_that_it_is_heard_and_then_again(tmp_path: Path) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "state", state())
        await true(lambda: len(transport.sent("down/received")) == 1)
        transport.say(UNIT, "state", state(uptime_ms=61_000))  # a change is no birth
        await true(lambda: len(transport.sent("down/received")) >= 2)  # the keep-alive
        transport.say(UNIT, "state", state(online=False))
        await true(lambda: not hub.units[UNIT].state.online)
        count = len(transport.sent("down/received"))
        transport.say(UNIT, "state", state(session=4))
        await true(lambda: len(transport.sent("down/received")) > count)

    with_hub(tmp_path, play, keep_alive_s=0.05)


def test_a_last_will_keeps_what_is_known_of_the_unit(tmp_path: Path) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "state", state())
        await true(lambda: UNIT in hub.units)
        transport.say(UNIT, "state", State(unit=UNIT, online=False, session=3))
        await true(lambda: not hub.units[UNIT].state.online)
        assert hub.units[UNIT].state.site == SITE

    with_hub(tmp_path, play)


def test_stages_follow_the_unit_until_it_lists_the_incident_no_more(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())

    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "state", state(listed(incident_id, "raised")))  # before its alarm
        transport.say(UNIT, "alarm", alarm(incident_id))
        for stage in ("received", "accepted", "answered", "closing"):
            transport.say(UNIT, "state", state(listed(incident_id, stage)))
            await true(lambda stage=stage: incident_id in hub.incidents and hub.incidents[incident_id].stage == stage)
        assert hub.incidents[incident_id].code == "ABC234"
        transport.say(UNIT, "state", state())
        await true(lambda: hub.incidents[incident_id].stage == "closed")
        assert hub.incidents[incident_id].closed_utc_us > 0

    with_hub(tmp_path, play)


def test_an_alarm_is_not_closed_by_a_state_that_is_older_than_it(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())

    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "alarm", alarm(incident_id))
        transport.say(UNIT, "state", state())
        await true(lambda: hub.units)
        assert hub.incidents[incident_id].is_open

    with_hub(tmp_path, play)


def test_an_incident_that_the_unit_lists_again_is_open_again_until_it_is_over(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())

    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "alarm", alarm(incident_id))
        transport.say(UNIT, "state", state(listed(incident_id, "answered")))
        transport.say(UNIT, "state", state())
        await true(lambda: hub.units and hub.incidents[incident_id].stage == "closed")
        transport.say(UNIT, "state", state(listed(incident_id, "answered")))
        await true(lambda: hub.incidents[incident_id].is_open)
        transport.say(UNIT, "event", Event(name="incident_closed", at=stamp(), session=3, incident_id=incident_id))
        transport.say(UNIT, "state", state(listed(incident_id, "answered"), uptime_ms=61_000))
        await true(lambda: hub.units[UNIT].state.uptime_ms == 61_000)
        await asyncio.sleep(0)
        assert hub.incidents[incident_id].stage == "closed"

    with_hub(tmp_path, play)


def test_incidents_survive_a_restart_of_the_hub(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())

    async def before(hub: Hub, transport: FakeTransport) -> None:
        transport.always_reply()
        transport.say(UNIT, "state", state())
        transport.say(UNIT, "alarm", alarm(incident_id, presses=4))
        await true(lambda: hub.incidents and hub.units)
        await hub.command(UNIT, "close", "Ana", {"incident_id": incident_id, "outcome": "hoax", "note": "ran away"})
        transport.say(UNIT, "event", Event(name="incident_closed", at=stamp(), session=3, incident_id=incident_id))
        await true(lambda: hub.incidents[incident_id].stage == "closed")

    async def after(hub: Hub, _transport: FakeTransport) -> None:
        incident = hub.incidents[incident_id]
        assert (incident.stage, incident.outcome, incident.note) == ("closed", "hoax", "ran away")
        assert (incident.presses, incident.over) == (4, True)

    with_hub(tmp_path, before)
    with_hub(tmp_path, after)


def test_the_book_refuses_half_a_press(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.sqlite")
    with pytest.raises(AttributeError):
        book.write_alarms([(alarm(str(uuid.uuid4())), None)])  # type: ignore[list-item]
    assert book.incidents() == []
    assert book._db.execute("SELECT count(*) FROM alarms").fetchone() == (0,)
    book.close()


def test_alarms_that_come_together_are_stored_together_and_one_that_is_malformed_hinders_none(tmp_path: Path) -> None:
    sizes: list[int] = []
    incidents = [str(uuid.uuid4()) for _ in range(20)]

    async def play(hub: Hub, transport: FakeTransport) -> None:
        book = hub._the_book()
        store = book.write_alarms

        def counted(entries: Sequence[tuple[Alarm, Incident]]) -> int:
            sizes.append(len(entries))
            return store(entries)

        book.write_alarms = counted  # type: ignore[method-assign]
        transport.say(UNIT, "event", Event(name="pressed", at=stamp(), session=3, incident_id=incidents[0]))
        for number, incident_id in enumerate(incidents):
            transport.say(UNIT, "alarm", b"{}" if number == 7 else alarm(incident_id))
        await true(lambda: len(transport.sent("down/received")) == 19)
        assert hub.malformed == 1

    with_hub(tmp_path, play)
    assert sizes == [19]


def test_after_the_broker_has_died_each_unit_that_returns_is_told_that_it_is_heard(tmp_path: Path) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "state", state())
        await true(lambda: len(transport.sent("down/received")) == 1)
        transport.say(UNIT, "state", state())
        transport.on_connection(False)
        transport.on_connection(True)
        await true(lambda: len(transport.sent("down/received")) == 2)  # to those that were there
        transport.say(UNIT, "state", state())
        await true(lambda: len(transport.sent("down/received")) == 3)

    with_hub(tmp_path, play)
