"""The wire keeps its promises: unknown fields pass, limits hold, commands are told apart by role."""

import msgspec
import pytest

from unitd.messages import control_room as wire

ID = "8f14e45f-ceea-467f-a8f2-6f1a2b3c4d5e"
COMMON = {"session": 1, "seq": 0, "not_after_uptime_ms": 5, "by": "A"}


def test_unknown_fields_are_ignored() -> None:
    text = msgspec.json.encode({"press_ids": [ID], "later": {"x": 1}})
    assert msgspec.json.decode(text, type=wire.Received).press_ids == (ID,)


@pytest.mark.parametrize(
    "extra",
    [
        {"cmd": "accept", "incident_id": "short"},
        {"cmd": "close", "incident_id": ID, "outcome": "maybe"},
        {"cmd": "dome_move", "pan": 1.5},
        {"cmd": "dome_move", "duration_ms": 60_000},
        {"cmd": "dome_preset", "preset": 0},
        {"cmd": "upload", "incident_id": ID, "url": "http://plain.example/x"},
        {"cmd": "raise_test"},
        {"cmd": "base"},
        {"cmd": "dome_stop", "by": ""},
        {"cmd": "dome_stop", "seq": -1},
        {"incident_id": ID},
    ],
    ids=str,
)
def test_fail__an_operators_command_out_of_bounds(extra: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(COMMON | extra), type=wire.OperatorCommand)


def test_ok__commands_by_role() -> None:
    stop = msgspec.json.decode(msgspec.json.encode(COMMON | {"cmd": "dome_stop"}), type=wire.OperatorCommand)
    assert isinstance(stop, wire.DomeStop)
    test = msgspec.json.decode(msgspec.json.encode(COMMON | {"cmd": "raise_test"}), type=wire.MaintainerCommand)
    assert isinstance(test, wire.RaiseTest)


def test_topics() -> None:
    assert wire.topic("pole-1", "up", "alarm") == "hp/1/pole-1/up/alarm"
