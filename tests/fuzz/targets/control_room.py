"""What comes from a control room: commands, `received`, and topics."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import msgspec

from tests.fuzz.target import Target, registry
from unitd.config import BrokerTable, Config
from unitd.core.commands import KEPT_REPLIES, CommandDesk
from unitd.core.control_room import ControlRoomDesk
from unitd.core.fitting import event_payload
from unitd.core.live_commands import Fitted
from unitd.core.live_events import told
from unitd.core.wishes import Wishes
from unitd.messages import control_room as wire
from unitd.model import events as ev
from unitd.model.incident import Routes, Settings, State
from unitd.model.outputs import outputs
from unitd.model.step import step

INCIDENT = "11111111-1111-4111-8111-111111111111"
NOW_NS = 1_000_000_000
SETTINGS = Settings(routes=Routes(rooms=("police",)))
STAMP = wire.Stamp(utc_us=0, clock="unknown", mono_ns=NOW_NS)
WISHES = Wishes(Config(schema=1, brokers=(BrokerTable(name="main", host="h"),)))
IDLE = State()
OPEN = step(State(), ev.Pressed("p", INCIDENT, NOW_NS, 0, "synced"), NOW_NS, SETTINGS)
WORDS = tuple(
    f'"{word}"'.encode()
    for word in (
        *(name for kind in wire.OperatorCommand.__args__ for name in kind.__struct_fields__),
        *(kind.__struct_config__.tag for kind in wire.OperatorCommand.__args__),
        "cmd",
        "raise_test",
        "isolate",
        "end_isolation",
        "press_ids",
        "heard",
        INCIDENT,
    )
)


class Unit:
    """The spine behind the desk: what a command does to the state must not raise either."""

    def __init__(self, state: State = OPEN) -> None:
        self.state = state
        self.desk = CommandDesk(
            7, lambda: NOW_NS // 1_000_000, lambda: self.state, self.apply, lambda name: name == "cctv", self.mint,
            fitted=Fitted(hosts=("media.police.example",), rooms=("police",)), mono_ns=lambda: NOW_NS,
        )  # fmt: skip

    def apply(self, event: ev.Event) -> None:
        before, self.state = self.state, step(self.state, event, NOW_NS, SETTINGS)
        levels = outputs(self.state, NOW_NS, SETTINGS)
        msgspec.json.encode(WISHES(levels, 7, 1))
        for each in told(before, self.state, SETTINGS):
            event_payload(wire.Event(name=each.name, at=STAMP, session=7, data=each.data))
        assert levels.call is None or levels.call.watch is None or not levels.call.microphone

    def mint(self) -> ev.Raised:
        return ev.Raised("t", "t", "test", NOW_NS, 0, "synced")


def command(data: bytes) -> None:
    """The first byte chooses the role, and whether somebody has called; lines are commands of one session."""
    unit = Unit(IDLE if data[:1] == b"i" else OPEN)
    role = "maintainer" if data[:1] == b"m" else "operator"
    for payload in data[1:].split(b"\n")[:16]:
        reply = unit.desk.take(role, payload)
        msgspec.json.decode(msgspec.json.encode(reply), type=wire.Reply)
        assert (reply.result == "done") == (not reply.code) == (not reply.reason)
    assert len(unit.desk._replies) <= KEPT_REPLIES


class _Uplink:
    """Keeps the handlers, and takes what is published."""

    name = "main"
    connected = True

    def __init__(self, handlers: Any) -> None:
        self.handlers = handlers

    def publish(self, topic: str, payload: bytes, qos: int, **_: object) -> bool:
        msgspec.json.decode(payload)
        return True


def _desk() -> ControlRoomDesk:
    unit = Unit()
    clock = MagicMock()
    clock.mono_ns.return_value = NOW_NS
    return ControlRoomDesk(
        Config(schema=1, brokers=(BrokerTable(name="main", host="h"),)),
        7,
        clock,
        MagicMock(),
        lambda: wire.State(unit="u", online=True, session=7),
        unit.desk,
        unit.apply,
        lambda *_: None,
        lambda: None,
        lambda: None,
        lambda _broker, _topic, _will, handlers: _Uplink(handlers),  # type: ignore[return-value,arg-type]
    )


DESK = _desk()


def down(data: bytes) -> None:
    """A topic below `down/`, a NUL, and the payload, as the broker's client hands them over."""
    topic, _, payload = data.partition(b"\0")
    DESK._message("main", wire.topic("pole-0001", "down", topic.decode("utf-8", "replace")), payload)


TARGETS = registry(
    Target("command", command, WORDS),
    Target("down", down, (*WORDS, b"received\0", b"operator/cmd\0", b"maintainer/cmd\0")),
)
