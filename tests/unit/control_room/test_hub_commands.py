"""The hub's commands: typed, numbered, with time limits, and what a unit's answer changes."""

import uuid
from pathlib import Path

import pytest

from hw_sim.control_room.hub import Hub
from tests.unit.control_room.fake_transport import FakeTransport
from tests.unit.control_room.hub_with_unit import UNIT, alarm, listed, state, true, with_hub
from unitd.messages.control_room import Beat


def test_a_command_carries_session_number_limit_and_name(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())

    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.always_reply()
        transport.say(UNIT, "state", state(uptime_ms=60_000))
        transport.say(UNIT, "alarm", alarm(incident_id))
        await true(lambda: hub.incidents and hub.units)
        outcome = await hub.command(UNIT, "accept", "Ana", {"incident_id": incident_id})
        assert outcome.result == "done"
        await hub.command(UNIT, "answer", "Ana", {"incident_id": incident_id})
        accept, answer = transport.sent("down/operator/cmd")
        assert accept["cmd"] == "accept"
        assert accept["session"] == 3
        assert accept["by"] == "Ana"
        assert 60_000 < accept["not_after_uptime_ms"] <= 60_000 + 16_000  # type: ignore[operator]
        assert answer["seq"] == accept["seq"] + 1  # type: ignore[operator]
        incident = hub.incidents[incident_id]
        assert (incident.accepted_by, incident.answered_by) == ("Ana", "Ana")
        assert incident.stage == "answered", "the unit's word is enough; its state may come later"

    with_hub(tmp_path, play)


def test_numbers_go_on_after_a_restart_of_the_hub(tmp_path: Path) -> None:
    seen: list[object] = []

    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.always_reply()
        transport.say(UNIT, "state", state())
        await true(lambda: hub.units)
        await hub.command(UNIT, "dome_stop", "Ana", {})
        seen.extend(each["seq"] for each in transport.sent("/cmd"))

    with_hub(tmp_path, play)
    with_hub(tmp_path, play)
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("dome_move", {"pan": 2.0}),
        ("close", {"incident_id": str(uuid.uuid4()), "outcome": "splendid"}),
        ("accept", {"incident_id": "x"}),
        ("reboot", {}),
    ],
)
def test_an_impossible_command_is_never_sent(tmp_path: Path, name: str, fields: dict[str, object]) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "state", state())
        await true(lambda: hub.units)
        assert (await hub.command(UNIT, name, "Ana", fields)).result == "invalid"
        assert transport.sent("/cmd") == []

    with_hub(tmp_path, play)


def test_a_silent_unit_is_said_to_be_silent(tmp_path: Path) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        hub._commander._reply_timeout_s = 0.05
        assert (await hub.command(UNIT, "dome_stop", "Ana", {})).result == "no_answer"
        transport.say(UNIT, "state", state())
        await true(lambda: hub.units)
        assert (await hub.command(UNIT, "dome_stop", "Ana", {})).result == "no_answer"

    with_hub(tmp_path, play)


def test_a_refused_close_leaves_the_incident_open(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())

    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.always_reply("refused", "no such incident")
        transport.say(UNIT, "alarm", alarm(incident_id))
        transport.say(UNIT, "state", state(listed(incident_id, "answered")))
        await true(lambda: hub.incidents and hub.units)
        outcome = await hub.command(UNIT, "close", "Ana", {"incident_id": incident_id, "outcome": "hoax"})
        assert (outcome.result, outcome.reason) == ("refused", "no such incident")
        assert hub.incidents[incident_id].is_open

    with_hub(tmp_path, play)


def test_an_operator_can_end_what_the_unit_no_longer_has(tmp_path: Path) -> None:
    incident_id = str(uuid.uuid4())

    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.always_reply("refused", "no such incident")
        transport.say(UNIT, "alarm", alarm(incident_id))
        transport.say(UNIT, "state", state())
        await true(lambda: hub.incidents and hub.units)
        outcome = await hub.command(UNIT, "close", "Ana", {"incident_id": incident_id, "outcome": "fault"})
        assert outcome.result == "done"
        assert (hub.incidents[incident_id].stage, hub.incidents[incident_id].outcome) == ("closed", "fault")

    with_hub(tmp_path, play)


def test_nothing_is_queued_for_a_broker_that_is_down(tmp_path: Path) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.say(UNIT, "state", state())
        await true(lambda: transport.sent("down/received"))
        transport.on_connection(False)
        outcome = await hub.command(UNIT, "dome_stop", "Ana", {})
        assert (outcome.result, outcome.reason) == ("no_answer", "the message broker is down")
        assert transport.sent("/cmd") == []
        transport.on_connection(True)
        assert len(transport.sent("down/received")) == 2, "units are told at once that they are heard again"

    with_hub(tmp_path, play)


def test_a_retained_state_of_unknown_age_gets_a_generous_limit_until_the_next_beat(tmp_path: Path) -> None:
    async def play(hub: Hub, transport: FakeTransport) -> None:
        transport.always_reply()
        transport.say(UNIT, "state", state(uptime_ms=1000), retained=True)
        await true(lambda: hub.units)
        await hub.command(UNIT, "dome_stop", "Ana", {})
        transport.say(UNIT, "beat", Beat(session=3, seq=1, uptime_ms=900_000, clock="synced"))
        await true(lambda: hub.units[UNIT].uptime_known)
        await hub.command(UNIT, "dome_stop", "Ana", {})
        generous, exact = (each["not_after_uptime_ms"] for each in transport.sent("/cmd"))
        assert generous > 1_000_000  # type: ignore[operator]
        assert 900_000 < exact < 920_000  # type: ignore[operator]

    with_hub(tmp_path, play)
