"""The control room: MQTT 5 payloads, JSON in UTF-8, topics below `hp/1/<unit>/`.

docs/control-room-api.md, its AsyncAPI file and the JSON Schemas are generated from these structs. Readers ignore
unknown fields; removing or re-meaning a field needs `hp/2`. A payload is at most MAX_PAYLOAD_BYTES.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PREFIX = "hp/1"
MAX_PAYLOAD_BYTES = 64 * 1024

ClockQuality = Literal["synced", "held", "unknown"]
Kind = Literal["panic", "voice", "intrusion", "tamper", "test"]
Stage = Literal["raised", "sent", "received", "accepted", "answered", "closing", "closed"]
Outcome = Literal["genuine", "hoax", "test", "fault", "unknown"]

Id = Annotated[str, Meta(pattern=r"^[0-9a-f-]{36}$", description="UUIDv4 text")]
Words = Annotated[str, Meta(max_length=2000)]
Short = Annotated[str, Meta(min_length=1, max_length=128)]
Speed = Annotated[float, Meta(ge=-1, le=1)]


class Wire(msgspec.Struct, frozen=True):
    """Base of every payload: frozen, by keyword, unknown fields ignored when read."""


class Stamp(Wire, frozen=True, kw_only=True):
    """An instant: UTC microseconds, how far that clock is to be trusted, and the boot's own monotonic nanoseconds."""

    utc_us: int
    clock: ClockQuality
    mono_ns: int


class Site(Wire, frozen=True, kw_only=True):
    """Where help must go."""

    name: str
    address: str = ""
    latitude: float | None = None
    longitude: float | None = None
    approach: str = ""
    revision: int = 1


# --- up: from the unit ----------------------------------------------------------------------------------------------


class Alarm(Wire, frozen=True, kw_only=True):
    """`up/alarm`, QoS 1, again and again until `down/received` names `press_id`. One for each accepted press.

    Collapse by `press_id` (the same press sent twice) and by `incident_id` (several presses of one incident).
    """

    press_id: Id
    incident_id: Id
    kind: Kind
    unit: str
    session: int
    site: Site
    pressed: Stamp
    sent: Stamp
    presses: int
    attempt: int
    code: str


class OpenIncident(Wire, frozen=True, kw_only=True):
    incident_id: Id
    kind: Kind
    stage: Stage
    raised: Stamp
    presses: int


class FaultReport(Wire, frozen=True, kw_only=True):
    code: str
    subject: str = ""
    text: str = ""


class State(Wire, frozen=True, kw_only=True):
    """`up/state`, retained: birth, every change, and (`online` false) the last will."""

    unit: str
    online: bool
    session: int
    armed: bool = False
    clock: ClockQuality = "unknown"
    uptime_ms: int = 0
    site: Site | None = None
    open_incidents: tuple[OpenIncident, ...] = ()
    faults: tuple[FaultReport, ...] = ()
    facts: dict[str, dict[str, str | int | float | bool | None]] = {}
    presets: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


class Event(Wire, frozen=True, kw_only=True):
    """`up/event`, QoS 1: something that happened once; `name` says what (docs/control-room-api.md lists them)."""

    name: str
    at: Stamp
    session: int
    incident_id: str | None = None
    data: dict[str, str | int | float | bool | None] = {}


class Beat(Wire, frozen=True, kw_only=True):
    """`up/beat`, QoS 0, every 30 s: the unit is alive; `seq` counts within a session."""

    session: int
    seq: int
    uptime_ms: int
    clock: ClockQuality


class Reply(Wire, frozen=True, kw_only=True):
    """`up/reply`: the answer to one command. The same `seq` is answered the same."""

    session: int
    seq: int
    result: Literal["done", "refused"]
    reason: str = ""


# --- down: to the unit ----------------------------------------------------------------------------------------------


class Received(Wire, frozen=True, kw_only=True):
    """`down/received`, from the control room's system (not its broker) once it holds the alarm durably."""

    press_ids: Annotated[tuple[Id, ...], Meta(max_length=64)] = ()
    heard: bool = True


class Command(Wire, frozen=True, kw_only=True, tag_field="cmd", tag="base"):
    """`down/operator/cmd` and `down/maintainer/cmd`: fields of every command.

    `session` is the unit's, from its state; `seq` rises by one; `not_after_uptime_ms` is in the unit's own uptime, so
    that it holds with any wall clock; `by` names the person.
    """

    session: int
    seq: Annotated[int, Meta(ge=0)]
    not_after_uptime_ms: int
    by: Short


class Accept(Command, frozen=True, kw_only=True, tag="accept"):
    """A named operator has taken the incident."""

    incident_id: Id


class Answer(Command, frozen=True, kw_only=True, tag="answer"):
    """Open the voices."""

    incident_id: Id


class Close(Command, frozen=True, kw_only=True, tag="close"):
    incident_id: Id
    outcome: Outcome
    note: Words = ""


class DomeMove(Command, frozen=True, kw_only=True, tag="dome_move"):
    """Speeds in -1..1 (right, up, tele positive) for `duration_ms`, after which the unit stops the dome by itself."""

    pan: Speed = 0.0
    tilt: Speed = 0.0
    zoom: Speed = 0.0
    duration_ms: Annotated[int, Meta(ge=0, le=10_000)] = 500


class DomeStop(Command, frozen=True, kw_only=True, tag="dome_stop"):
    pass


class DomePreset(Command, frozen=True, kw_only=True, tag="dome_preset"):
    preset: Annotated[int, Meta(ge=1, le=255)]


class PlayWarning(Command, frozen=True, kw_only=True, tag="play_warning"):
    name: Short


class Upload(Command, frozen=True, kw_only=True, tag="upload"):
    """Hand the incident's footage over: HTTPS PUT to `url` with `Authorization: Bearer <token>`."""

    incident_id: Id
    url: Annotated[str, Meta(pattern="^https://", max_length=2000)]
    token: Annotated[str, Meta(max_length=500)] = ""
    camera: str | None = None


class RaiseTest(Command, frozen=True, kw_only=True, tag="raise_test"):
    """Maintainer only: raise a `test` incident."""


OperatorCommand = Accept | Answer | Close | DomeMove | DomeStop | DomePreset | PlayWarning | Upload
MaintainerCommand = RaiseTest


def topic(unit: str, *rest: str) -> str:
    """`hp/1/<unit>/...`; pure."""
    return "/".join((PREFIX, unit, *rest))
