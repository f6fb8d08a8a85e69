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
RefusalCode = Literal["", "malformed", "session", "late", "replayed", "clash", "ahead", "impossible"]
Outcome = Literal["genuine", "hoax", "test", "fault", "unknown"]
Origin = Literal["press", "command", "periodic", "sensor"]

Id = Annotated[str, Meta(pattern=r"^[0-9a-f-]{36}$", description="UUIDv4 text")]
Words = Annotated[str, Meta(max_length=2000)]
Short = Annotated[str, Meta(min_length=1, max_length=128)]
# Printable ASCII alone: these go into requests as they are. (`$` lets a line end pass by itself.)
Url = Annotated[str, Meta(pattern=r"^https://[!-~]*$(?!\n)", max_length=2000)]
MaybeUrl = Annotated[str, Meta(pattern=r"^(https://[!-~]*)?$(?!\n)", max_length=2000)]
Token = Annotated[str, Meta(pattern=r"^[!-~]*$(?!\n)", max_length=500)]
Speed = Annotated[float, Meta(ge=-1, le=1)]
Session = Annotated[int, Meta(description="counts the starts of the unit's core; commands name it")]
UptimeMs = Annotated[int, Meta(description="milliseconds since the unit's kernel started (CLOCK_MONOTONIC)")]
Fact = str | int | float | bool | None


def _says(words: str) -> Meta:
    """What a field means, for the schemas and docs/control-room-api.md."""
    return Meta(description=words)


class Wire(msgspec.Struct, frozen=True):
    """Base of every payload: frozen, by keyword, unknown fields ignored when read."""


class Stamp(Wire, frozen=True, kw_only=True):
    """An instant: UTC microseconds, how far that clock is to be trusted, and the boot's own monotonic nanoseconds."""

    utc_us: Annotated[int, _says("microseconds since 1970 in UTC, as the unit's clock said then")]
    clock: Annotated[ClockQuality, _says("how far that clock was to be trusted")]
    mono_ns: Annotated[int, _says("nanoseconds since the unit's kernel started: for order and durations")]


class Site(Wire, frozen=True, kw_only=True):
    """Where help must go."""

    name: str
    address: str = ""
    latitude: Annotated[float | None, _says("degrees, WGS 84, north positive")] = None
    longitude: Annotated[float | None, _says("degrees, WGS 84, east positive")] = None
    approach: Annotated[str, _says("how to get there")] = ""
    revision: Annotated[int, _says("rises when the entry is changed")] = 1


# --- up: from the unit ----------------------------------------------------------------------------------------------


class Alarm(Wire, frozen=True, kw_only=True):
    """`up/alarm`, QoS 1, again and again until `down/received` names `press_id`. One for each accepted press.

    Collapse by `press_id` (the same press sent twice) and by `incident_id` (several presses of one incident).
    """

    press_id: Annotated[Id, _says("what `received` must name")]
    incident_id: Annotated[Id, _says("the incident that this press began or belongs to")]
    kind: Kind
    unit: str
    session: Session
    site: Site
    pressed: Annotated[Stamp, _says("the instant of the press")]
    sent: Annotated[Stamp, _says("the instant of this sending")]
    presses: Annotated[int, _says("presses of the incident so far")]
    attempt: Annotated[int, _says("1 at the first sending, then rising")]
    origin: Annotated[Origin, _says("a person's press, a maintainer's command, or the unit's own periodic test")] = (
        "press"
    )
    asked: Annotated[tuple[str, ...], _says("control rooms asked to answer so far, in order; none: all are")] = ()
    recent_incidents: Annotated[int, _says("this unit's calls of the day before this one; for the operator to see")] = 0
    recent_hoaxes: Annotated[int, _says("how many of them were closed as a hoax")] = 0
    isolated: Annotated[bool, _says("somebody works on the unit; a panic is a panic all the same")] = False
    code: Annotated[str, _says("six characters derived from the incident id, short enough to be spoken")]
    corrected: Annotated[
        Stamp | None, _says("the same instant as `pressed`, when the unit has found out since that its clock was wrong")
    ] = None


class OpenIncident(Wire, frozen=True, kw_only=True):
    incident_id: Id
    kind: Kind
    stage: Annotated[Stage, _says("how far it has come")]
    raised: Annotated[Stamp, _says("the instant of its first press")]
    presses: int
    asked: Annotated[tuple[str, ...], _says("control rooms asked to answer so far")] = ()
    closes_uptime_ms: Annotated[int | None, _says("when it closes itself unless `extend` comes; null = never")] = None
    recent_incidents: int = 0
    recent_hoaxes: int = 0
    room: Annotated[str, _says("the control room that has taken it, where that is known")] = ""
    mute_microphone: Annotated[bool, _says("as `set_sound` left it")] = False
    mute_horn: bool = False
    quiet: bool = False


class Watching(Wire, frozen=True, kw_only=True):
    """Somebody watches outside an incident."""

    watch_id: Annotated[str, _says("in the call, where an incident's id would stand")]
    by: str
    reason: str
    until_uptime_ms: Annotated[int, _says("it ends by itself then, and at any incident before")]
    announce: Annotated[bool, _says("the operator's voice is on the horn")] = False


class Isolation(Wire, frozen=True, kw_only=True):
    """Somebody works on the unit: machines' own alarms and periodic tests rest. A press never does."""

    by: str
    reason: str
    until_uptime_ms: Annotated[int, _says("it ends by itself, then or at a restart of the machine")]
    suppressed: Annotated[int, _says("alarms of machines that rested, in all isolations so far")] = 0


class FaultReport(Wire, frozen=True, kw_only=True):
    code: Annotated[str, _says("stable; for programs")]
    subject: Annotated[str, _says("the part: a camera, a port, a broker")] = ""
    text: Annotated[str, _says("for people")] = ""


class State(Wire, frozen=True, kw_only=True):
    """`up/state`, retained: birth, every change, and (`online` false) the last will."""

    unit: str
    online: Annotated[bool, _says("false in the last will: this broker has lost the unit")]
    session: Session
    armed: Annotated[bool, _says("a press would be felt: the button is watched, not stuck, its cable not cut")] = False
    clock: Annotated[ClockQuality, _says("how far the unit's clock is to be trusted now")] = "unknown"
    uptime_ms: Annotated[UptimeMs, _says("its value now; from it, count on to a command's `not_after_uptime_ms`")] = 0
    site: Site | None = None
    open_incidents: tuple[OpenIncident, ...] = ()
    faults: Annotated[tuple[FaultReport, ...], _says("everything wrong now; empty = all is well")] = ()
    facts: Annotated[dict[str, dict[str, Fact]], _says("by process, what it found: modem, cameras, ring, sound")] = {}
    presets: Annotated[tuple[int, ...], _says("presets that `dome_preset` may name")] = ()
    warnings: Annotated[tuple[str, ...], _says("warnings that `play_warning` may name")] = ()
    isolation: Annotated[Isolation | None, _says("maintenance under way")] = None
    watch: Annotated[Watching | None, _says("who is watching outside an incident")] = None
    control_rooms: Annotated[tuple[str, ...], _says("control rooms that `hand_over` may name")] = ()
    languages: Annotated[tuple[str, ...], _says("languages that `speak` may name, the unit's first one first")] = ()


class Event(Wire, frozen=True, kw_only=True):
    """`up/event`, QoS 1: something that happened once; `name` says what (docs/control-room-api.md lists them)."""

    name: str
    at: Stamp
    session: Session
    incident_id: str | None = None
    data: Annotated[dict[str, Fact], _says("depends on the name")] = {}


class Beat(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """`up/beat`, QoS 0, every 30 s: the unit is alive; `seq` counts within a session."""

    session: Session
    seq: Annotated[int, _says("rises by one; a gap is a lost heartbeat")]
    uptime_ms: UptimeMs
    clock: ClockQuality
    head: Annotated[str, _says("once an hour: SHA-256 of the newest checkpoint's body; else absent")] = ""


class Still(Wire, frozen=True, kw_only=True):
    """`up/still`, QoS 1: a picture of the press from each camera, small enough to get through when no stream does."""

    incident_id: Id
    camera: str
    at: Annotated[Stamp, _says("when the picture was taken")]
    width: int
    height: int
    sha256: Annotated[str, _says("of the JPEG; the unit keeps the same file as evidence")]
    jpeg: Annotated[bytes, _says("the JPEG in base64, less than 40 kB before that")]


class Reply(Wire, frozen=True, kw_only=True):
    """`up/reply`: the answer to one command. The same command with the same `seq` is answered the same."""

    session: Session
    seq: Annotated[int, _says("the command's; -1 when it could not be read")]
    result: Literal["done", "refused"]
    reason: Annotated[str, _says("why refused, for people")] = ""
    code: Annotated[RefusalCode, _says("why refused, for programs; empty when done")] = ""
    by: Annotated[str, _says("the command's; tells replies apart where two consoles used one `seq`")] = ""
    next_seq: Annotated[int, _says("the lowest `seq` that this role may use from here on")] = 0


# --- down: to the unit ----------------------------------------------------------------------------------------------


class Received(Wire, frozen=True, kw_only=True):
    """`down/received`, from the control room's system (not its broker) once it holds the alarm durably."""

    press_ids: Annotated[
        tuple[Id, ...], Meta(max_length=64, description="alarms now held; none: only a sign of life")
    ] = ()
    heard: Annotated[bool, _says("the control room is there")] = True


class Command(Wire, frozen=True, kw_only=True, tag_field="cmd", tag="base"):
    """`down/operator/cmd` and `down/maintainer/cmd`: fields of every command.

    `session` is the unit's, from its state; `seq` rises by one; `not_after_uptime_ms` is in the unit's own uptime, so
    that it holds with any wall clock; `by` names the person.
    """

    session: Annotated[int, _says("the unit's, from its state")]
    seq: Annotated[int, Meta(ge=0, description="rises with every command of this role in this session")]
    not_after_uptime_ms: Annotated[int, _says("in the unit's own uptime; later it is refused")]
    by: Annotated[Short, _says("the person, for the record")]


class Accept(Command, frozen=True, kw_only=True, tag="accept"):
    """A named operator has taken the incident."""

    incident_id: Id


class Answer(Command, frozen=True, kw_only=True, tag="answer"):
    """Open the voices."""

    incident_id: Id


class Close(Command, frozen=True, kw_only=True, tag="close"):
    """End the incident. Besides, only the closing limit of the configuration does."""

    incident_id: Id
    outcome: Annotated[Outcome, _says("what it was, in the operator's judgement")]
    note: Words = ""


class Extend(Command, frozen=True, kw_only=True, tag="extend"):
    """Keep the incident open for so long from now, whatever the closing limit."""

    incident_id: Id
    for_s: Annotated[int, Meta(ge=1, le=86_400)]


class DomeMove(Command, frozen=True, kw_only=True, tag="dome_move"):
    """Speeds in -1..1 (right, up, tele positive) for `duration_ms`, after which the unit stops the dome by itself."""

    pan: Speed = 0.0
    tilt: Speed = 0.0
    zoom: Speed = 0.0
    duration_ms: Annotated[int, Meta(ge=0, le=10_000)] = 500


class DomeStop(Command, frozen=True, kw_only=True, tag="dome_stop"):
    """Stop the dome now."""


class DomePreset(Command, frozen=True, kw_only=True, tag="dome_preset"):
    """Send the dome to a stored position."""

    preset: Annotated[int, Meta(ge=1, le=255)]


class PlayWarning(Command, frozen=True, kw_only=True, tag="play_warning"):
    """Play a recorded warning on the horn, once."""

    name: Annotated[Short, _says("one of the state's `warnings`")]


class Upload(Command, frozen=True, kw_only=True, tag="upload"):
    """Hand the incident's footage over: HTTPS PUT to `url` with `Authorization: Bearer <token>`."""

    incident_id: Id
    url: Url
    token: Annotated[Token, _says("for this one upload; no other secret goes over MQTT")] = ""
    camera: Annotated[Short | None, _says("null = the first camera that has footage")] = None


class RaiseTest(Command, frozen=True, kw_only=True, tag="raise_test"):
    """Maintainer only: raise a `test` incident."""


class Isolate(Command, frozen=True, kw_only=True, tag="isolate"):
    """Maintainer only: machines' own alarms and periodic tests rest for so long. It never suppresses a panic."""

    for_s: Annotated[int, Meta(ge=1, le=28_800)]
    reason: Words = ""


class ReleaseLock(Command, frozen=True, kw_only=True, tag="release_lock"):
    """Maintainer only: the incident's footage need not be kept any longer. It then goes with age or for room."""

    incident_id: Id
    reason: Annotated[Words, Meta(min_length=3, description="why, for the record")]


class EndIsolation(Command, frozen=True, kw_only=True, tag="end_isolation"):
    """Maintainer only: the work is done."""


class DialBack(Command, frozen=True, kw_only=True, tag="dial_back"):
    """Dial the incident's call at once, afresh; with `url`, to that `whip_whep` endpoint (its host must be allowed)."""

    incident_id: Id
    url: MaybeUrl = ""
    whep_url: MaybeUrl = ""
    token: Annotated[Token, _says("bearer token of that endpoint")] = ""


class HandOver(Command, frozen=True, kw_only=True, tag="hand_over"):
    """Give the incident to another control room: it is asked, and the call goes there."""

    incident_id: Id
    room: Annotated[Short, _says("a name of the unit's `control_rooms`")]
    note: Words = ""


class SetSound(Command, frozen=True, kw_only=True, tag="set_sound"):
    """The call's sound, whole: each field is a level."""

    incident_id: Id
    mute_microphone: Annotated[bool, _says("nothing of the caller is heard or kept")] = False
    mute_horn: Annotated[bool, _says("no operator is heard at the pole")] = False
    quiet: Annotated[bool, _says("the attacker is near: the horn at its lowest, no prompts")] = False


class SendText(Command, frozen=True, kw_only=True, tag="send_text"):
    """A line for the caller's display, where there is no call to send it through."""

    incident_id: Id
    text: Annotated[str, Meta(min_length=1, max_length=300)]


class Speak(Command, frozen=True, kw_only=True, tag="speak"):
    """Say a text on the horn, once."""

    text: Annotated[str, Meta(min_length=1, max_length=300)]
    language: Annotated[str, Meta(pattern="^([a-z]{2})?$", description="empty = the unit's first")] = ""


class Watch(Command, frozen=True, kw_only=True, tag="watch"):
    """Picture alone, for so long, no incident: audited. The microphone stays shut."""

    for_s: Annotated[int, Meta(ge=1, le=3600)]
    reason: Annotated[Words, Meta(min_length=3, description="why, for the record")]


class EndWatch(Command, frozen=True, kw_only=True, tag="end_watch"):
    """The watch is over."""


class Announce(Command, frozen=True, kw_only=True, tag="announce"):
    """The operator's own voice on the horn, for so long, no incident: a watch with the horn open."""

    for_s: Annotated[int, Meta(ge=1, le=600)]
    reason: Annotated[Words, Meta(min_length=3, description="why, for the record")]


class Snapshot(Command, frozen=True, kw_only=True, tag="snapshot"):
    """A still of each camera now, as `up/still`, kept as evidence; inside an incident."""

    incident_id: Id


OperatorCommand = (
    Accept
    | Answer
    | Close
    | Extend
    | DomeMove
    | DomeStop
    | DomePreset
    | PlayWarning
    | Upload
    | DialBack
    | HandOver
    | SetSound
    | SendText
    | Speak
    | Watch
    | EndWatch
    | Announce
    | Snapshot
)
MaintainerCommand = RaiseTest | Isolate | EndIsolation | ReleaseLock


def topic(unit: str, *rest: str) -> str:
    """`hp/1/<unit>/...`; pure."""
    return "/".join((PREFIX, unit, *rest))
