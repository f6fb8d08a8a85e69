"""The boundary for commands: whatever the bytes, an answer or nothing, never an exception."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.core.commands import CommandDesk
from unitd.messages import control_room as wire
from unitd.model import events as ev
from unitd.model.incident import Settings, State
from unitd.model.step import step

INCIDENT = "11111111-1111-4111-8111-111111111111"
NOW = 1_000_000_000


class Unit:
    """A state that takes events, and the desk in front of it."""

    def __init__(self) -> None:
        self.state = step(State(), ev.Pressed("p", INCIDENT, NOW, 0, "synced"), NOW, Settings())
        self.taken: list[ev.Event] = []
        self.desk = CommandDesk(
            7,
            lambda: NOW // 1_000_000,
            lambda: self.state,
            self.apply,
            lambda name: name == "cctv",
            lambda: ev.Raised("t", "t", "test", NOW, 0, "synced"),
        )

    def apply(self, event: ev.Event) -> None:
        self.taken.append(event)
        self.state = step(self.state, event, NOW, Settings())

    def send(self, command: wire.Command, role: str = "operator") -> wire.Reply:
        reply = self.desk.take(role, msgspec.json.encode(command))
        assert reply is not None
        return reply


def accept(seq: int = 1, session: int = 7, until_ms: int = 10_000) -> wire.Accept:
    return wire.Accept(session=session, seq=seq, not_after_uptime_ms=until_ms, by="Ann", incident_id=INCIDENT)


def test_the_same_seq_is_carried_out_once_and_answered_the_same() -> None:
    unit = Unit()
    assert unit.send(accept()) == unit.send(accept())
    assert len(unit.taken) == 1


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (accept(session=6), "for session 6, this is 7"),
        (accept(until_ms=999), "too late"),
        (
            wire.PlayWarning(session=7, seq=1, not_after_uptime_ms=10_000, by="Ann", name="../../etc/passwd"),
            "no such warning: ../../etc/passwd",
        ),
    ],
)
def test_refused_with_a_reason_and_without_effect(command: wire.Command, reason: str) -> None:
    unit = Unit()
    reply = unit.send(command)
    assert (reply.result, reply.reason) == ("refused", reason)
    assert unit.taken == []


def test_an_old_seq_is_a_replay() -> None:
    unit = Unit()
    unit.send(accept(seq=5))
    assert unit.send(accept(seq=4)).reason == "replayed"


def test_an_operator_cannot_do_a_maintainers_work() -> None:
    unit = Unit()
    command = wire.RaiseTest(session=7, seq=1, not_after_uptime_ms=10_000, by="Ann")
    assert unit.send(command, "operator").result == "refused"
    assert unit.taken == []
    assert unit.send(command, "maintainer").result == "done"


@given(st.binary(max_size=300))
def test_any_bytes(payload: bytes) -> None:
    unit = Unit()
    unit.desk.take("operator", payload)
    assert unit.taken == []


@given(
    st.fixed_dictionaries(
        {
            "cmd": st.sampled_from(["accept", "answer", "close", "dome_move", "dome_preset", "upload", "x"]),
            "session": st.just(7),
            "seq": st.integers(),
            "not_after_uptime_ms": st.integers(),
            "by": st.text(max_size=5),
        },
        optional={
            "incident_id": st.text(max_size=40),
            "pan": st.floats(),
            "outcome": st.text(max_size=8),
            "url": st.text(max_size=20),
            "preset": st.integers(),
        },
    )
)
def test_any_command_shaped_json(raw: dict[str, object]) -> None:
    unit = Unit()
    reply = unit.desk.take("operator", msgspec.json.encode(raw))
    if reply is not None and reply.result == "refused":
        assert reply.reason
        assert unit.taken == []


def test_replies_kept_are_bounded() -> None:
    unit = Unit()
    for seq in range(1000):
        unit.send(accept(seq=seq))
    assert len(unit.desk._replies) <= 128
