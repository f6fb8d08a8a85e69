"""The targets with messages made from the wire's structs: right in form, they reach the code behind the parser."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.structured import messages
from tests.fuzz.targets import ALL
from tests.fuzz.targets.control_room import INCIDENT
from unitd.messages import control_room as up
from unitd.messages import duplex, media
from unitd.messages import workers as w
from unitd.model.incident import State
from unitd.store.locks import Lock
from unitd.store.outbox import Entry

COMMAND = {"session": 7, "seq": st.integers(0, 20), "not_after_uptime_ms": 10_000, "incident_id": INCIDENT}


def _lines(*strategies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(st.one_of(*strategies), max_size=5).map(lambda each: b"".join(line + b"\n" for line in each))


@given(_lines(messages(up.OperatorCommand, COMMAND)))
def test_operators_commands(lines: bytes) -> None:
    ALL["command"].one(b"o" + lines)


@given(_lines(messages(up.MaintainerCommand, COMMAND)))
def test_maintainers_commands(lines: bytes) -> None:
    ALL["command"].one(b"m" + lines)


@given(messages(up.Received))
def test_received(message: bytes) -> None:
    ALL["down"].one(b"received\0" + message)


@given(st.sampled_from(["call", "field", "status"]), _lines(messages(w.FromWorker)))
def test_a_worker(name: str, lines: bytes) -> None:
    ALL["worker"].one(msgspec.json.encode(w.Hello(who=name, pid=1)) + b"\n" + lines)  # type: ignore[arg-type]


@given(_lines(messages(w.FromCore)))
def test_core(lines: bytes) -> None:
    ALL["core"].one(lines)


@given(messages(duplex.ToUnit))
def test_a_console(message: bytes) -> None:
    ALL["duplex"].one(message)


@given(messages(media.MediaRequest))
def test_a_client_of_the_recorder(message: bytes) -> None:
    ALL["media-request"].one(message + b"\n")


@given(messages(Entry, {"press_id": "p"}))
def test_an_alarm_on_the_disk(message: bytes) -> None:
    ALL["entry"].one(message)


@given(messages(Lock))
def test_a_lock_on_the_disk(message: bytes) -> None:
    ALL["locks"].one(message)


@given(messages(State))
def test_a_state_on_the_disk(message: bytes) -> None:
    ALL["core-state"].one(message)
