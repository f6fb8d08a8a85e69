"""The boundary for commands: whatever the bytes, an answer or nothing, never an exception."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.core.commands import SEQ_STEP_MAX, CommandDesk
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
        return self.desk.take(role, msgspec.json.encode(command))


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


def test_only_a_new_command_in_time_is_a_sign_of_life() -> None:
    unit = Unit()
    unit.send(accept(seq=5))
    assert unit.desk.fresh == 1
    for old in (accept(seq=5), accept(seq=4), accept(session=6), accept(seq=6, until_ms=999)):
        unit.send(old)
    unit.desk.take("operator", b"{")
    assert unit.desk.fresh == 1


def test_an_old_seq_is_a_replay() -> None:
    unit = Unit()
    unit.send(accept(seq=5))
    reply = unit.send(accept(seq=4))
    assert (reply.code, reply.next_seq) == ("replayed", 6)


def test_one_absurd_seq_shuts_nobody_out() -> None:
    unit = Unit()
    assert unit.send(accept(seq=2**62)).code == "ahead"
    assert unit.send(accept(seq=SEQ_STEP_MAX)).code == "ahead"
    assert unit.taken == []
    assert unit.send(accept(seq=SEQ_STEP_MAX - 1)).result == "done"
    assert unit.send(accept(seq=2 * SEQ_STEP_MAX)).code == "ahead"


def test_two_consoles_that_count_for_themselves_do_not_get_each_others_replies() -> None:
    unit = Unit()
    ann = unit.send(accept(seq=0))
    ben = unit.send(wire.DomePreset(session=7, seq=0, not_after_uptime_ms=10_000, by="Ben", preset=2))
    assert (ann.result, ann.by) == ("done", "Ann")
    assert (ben.result, ben.code, ben.by, ben.next_seq) == ("refused", "clash", "Ben", 1)
    assert len(unit.taken) == 1
    assert unit.send(accept(seq=0)) == ann, "the first one's reply is still its own"


def test_the_same_command_from_another_person_is_another_command() -> None:
    unit = Unit()
    unit.send(accept(seq=0))
    other = msgspec.structs.replace(accept(seq=0), by="Ben")
    assert unit.send(other).code == "clash"


def test_a_longer_time_limit_does_not_make_it_another_command() -> None:
    unit = Unit()
    assert unit.send(accept(seq=0)) == unit.send(accept(seq=0, until_ms=20_000))
    assert len(unit.taken) == 1


def test_a_refused_command_stays_refused() -> None:
    """It was late; the same seq with a later limit is not a way around the first answer."""
    unit = Unit()
    late = unit.send(accept(seq=0, until_ms=1))
    assert late.code == "late"
    assert unit.send(accept(seq=0)) == late
    assert unit.send(accept(seq=1)).result == "done"


@pytest.mark.parametrize("payload", [b"", b"nonsense", b"[]", b'{"seq":-5}', b'{"seq":"x"}', b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_is_answered_and_counted(payload: bytes) -> None:
    unit = Unit()
    reply = unit.desk.take("operator", payload)
    assert (reply.result, reply.code, reply.seq) == ("refused", "malformed", -1)
    assert unit.desk.malformed == 1
    assert unit.desk.take("operator", b'{"seq":5}').seq == 5
    assert unit.desk.take("operator", b'{"seq":5,"by":7}').seq == -1


def test_who_sent_what_is_malformed_learns_where_to_go_on() -> None:
    unit = Unit()
    unit.send(accept(seq=5))
    reply = unit.desk.take("operator", b'{"cmd":"frobnicate","seq":9,"by":"Ben"}')
    assert (reply.code, reply.seq, reply.by, reply.next_seq) == ("malformed", 9, "Ben", 6)
    assert len(unit.desk.take("operator", b'{"seq":9,"by":"%s"}' % (b"B" * 5000)).by) == 128


def test_a_dome_that_is_not_there_is_not_moved() -> None:
    unit = Unit()
    unit.desk = CommandDesk(
        7, lambda: 0, lambda: unit.state, unit.apply, lambda _name: True,
        lambda: ev.Raised("t", "t", "test", NOW, 0, "synced"), has_dome=False,
    )  # fmt: skip
    reply = unit.send(wire.DomePreset(session=7, seq=0, not_after_uptime_ms=10_000, by="Ann", preset=2))
    assert (reply.code, reply.reason, unit.taken) == ("impossible", "no dome is fitted", [])


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
    msgspec.json.encode(reply)
    if reply.result == "refused":
        assert reply.reason
        assert reply.code
        assert unit.taken == []


def test_replies_kept_are_bounded() -> None:
    unit = Unit()
    for seq in range(1000):
        unit.send(accept(seq=seq))
    assert len(unit.desk._replies) <= 128
