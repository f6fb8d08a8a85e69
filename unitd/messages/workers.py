"""Core and its workers: newline-delimited JSON over the unix socket `<run_dir>/core.sock`.

Core sends the **whole desired state** on every change and on every connection; a worker makes the world agree with it
and never asks for history. Workers send facts, events and health. Readers ignore unknown fields; a line is at most
MAX_LINE_BYTES. All instants are CLOCK_MONOTONIC nanoseconds of this machine's boot, which every process shares.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_LINE_BYTES = 256 * 1024

Worker = Literal["field", "record", "call", "sense"]
Outcome = Literal["genuine", "hoax", "test", "fault", "unknown"]


class Wire(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of everything between core and its workers: frozen, by keyword, unknown fields ignored."""


# --- core -> worker -------------------------------------------------------------------------------------------------


class OpenIncident(Wire, frozen=True, kw_only=True):
    """The incident that outputs serve now (panic before every other kind). `presses` counts them all."""

    incident_id: str
    kind: str
    stage: str
    raised_mono_ns: int
    presses: int = 0


class RecordWanted(Wire, frozen=True, kw_only=True):
    """`sync_s`: at most this much footage may be lost at a power cut (1 s in an incident, 10 s otherwise).
    `snapshot` rises when an operator wants a still of each camera now, of the incident that is served; 0 = none is."""

    sync_s: float = 10.0
    snapshot: int = 0


class WarningWanted(Wire, frozen=True, kw_only=True):
    """A warning to play once; `number` rises with each order, so the same warning can be asked for twice."""

    number: int
    name: str
    speak: str = ""
    """Words to say instead of a recorded warning, in `language`."""
    language: str = ""


class NamedEndpoint(Wire, frozen=True, kw_only=True):
    """A `whip_whep` endpoint that a control room named for one incident; its host is allowed in `call.hosts`."""

    url: str
    whep_url: str = ""
    token: str = ""


class TextLine(Wire, frozen=True, kw_only=True):
    """A line for the caller's display; `number` rises."""

    number: int
    by: str
    text: str


class CallWanted(Wire, frozen=True, kw_only=True):
    """A call to `endpoints` by name, in that order (none: to all configured ones), for as long as this is present.

    `microphone` is the gate: while False no frame of the caller's voice leaves the process or touches a disk.
    `voices` opens the horn to the operator's voice (answered).
    `watch`: picture alone, outside an incident; `incident_id` is then the watch's id. `quiet`: the attacker is near,
    the horn is at its lowest and says nothing by itself. `dial` rises when an operator wants it dialled at once,
    afresh. `named` endpoints (of a control room's own choice) go before the configured ones. `texts`: the last lines
    that came by MQTT, each with its number.
    """

    incident_id: str
    microphone: bool = False
    voices: bool = False
    endpoints: tuple[str, ...] = ()
    watch: bool = False
    quiet: bool = False
    dial: int = 0
    named: tuple[NamedEndpoint, ...] = ()
    texts: tuple[TextLine, ...] = ()


class SoundWanted(Wire, frozen=True, kw_only=True):
    """What the horn plays besides the operator's voice.

    `prompt` names what the caller hears now (a stage's words, repeated), None for silence; `warning` goes over it.
    `announce`: the operator's voice is on the horn outside an incident as well; the call for it is in `Desired.call`.
    """

    prompt: str | None = None
    warning: WarningWanted | None = None
    announce: bool = False


class DomeWanted(Wire, frozen=True, kw_only=True):
    """The dome's goal. A worker acts when `number` rises; of a move it also enforces the end.

    Either `preset`, or speeds in -1..1 (right, up and tele positive) until `until_mono_ns`; with neither, stop.
    """

    number: int = 0
    preset: int | None = None
    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    until_mono_ns: int = 0


class UploadWanted(Wire, frozen=True, kw_only=True):
    """Footage to hand over by HTTPS PUT; present until the worker reports `upload_done` with this id."""

    upload_id: str
    incident_id: str
    url: str
    token: str
    camera: str | None = None


class SmsWanted(Wire, frozen=True, kw_only=True):
    """A text message to a duty number; present until the worker reports `sms_sent` with this id.

    `text` is at most 160 septets of the GSM 7-bit alphabet (3GPP TS 23.038).
    """

    sms_id: str
    number: str
    text: str


class Desired(Wire, frozen=True, kw_only=True, tag="desired"):
    """Everything a worker should make true, whole. `number` rises with each change within a `session`."""

    session: int
    number: int
    incident: OpenIncident | None = None
    record: RecordWanted = RecordWanted()
    call: CallWanted | None = None
    sound: SoundWanted = SoundWanted()
    dome: DomeWanted = DomeWanted()
    uploads: tuple[UploadWanted, ...] = ()
    sms: tuple[SmsWanted, ...] = ()


# --- worker -> core -------------------------------------------------------------------------------------------------


class Hello(Wire, frozen=True, kw_only=True, tag="hello"):
    """The first line of every connection. A `status` reader gets one Status line instead of Desired; a `tool` sends one
    ToolRequest and gets one ToolReply."""

    who: Literal["field", "record", "call", "sense", "status", "tool"]
    pid: int


class Fault(Wire, frozen=True, kw_only=True):
    """Something wrong now, in words for a person. `code` is stable; `subject` names the part (a camera, a port)."""

    code: str
    subject: str = ""
    text: str = ""


class Health(Wire, frozen=True, kw_only=True, tag="health"):
    """The worker's whole health as a level: sent on change and at least every 5 s; core forgets it after 15 s."""

    faults: tuple[Fault, ...] = ()
    facts: dict[str, str | int | float | bool | None] = {}


class Event(Wire, frozen=True, kw_only=True, tag="event"):
    """Something that happened once. `name` is one of the names listed in docs/design/seams.md."""

    name: str
    mono_ns: int
    incident_id: str | None = None
    data: dict[str, str | int | float | bool | None] = {}


class Status(Wire, frozen=True, kw_only=True, tag="status"):
    """What `unitd status` prints: core's view of the unit at this instant.

    `asked`: control rooms asked to answer the incident. `isolated_by`: who works on the unit, for `isolated_s` longer.
    `watched_by`: who watches outside an incident, likewise.
    """

    unit: str
    session: int
    armed: bool
    uptime_s: float
    clock: str
    control_room_heard: bool
    brokers: dict[str, bool] = {}
    incident: OpenIncident | None = None
    open_incidents: int = 0
    asked: tuple[str, ...] = ()
    isolated_by: str = ""
    isolated_s: float = 0.0
    watched_by: str = ""
    watched_s: float = 0.0
    lamps: dict[str, str] = {}
    waiting_alarms: int = 0
    workers: dict[str, bool] = {}
    faults: tuple[Fault, ...] = ()
    facts: dict[str, dict[str, str | int | float | bool | None]] = {}


# --- tool <-> core --------------------------------------------------------------------------------------------------

Short = Annotated[str, Meta(max_length=200)]
Words = Annotated[str, Meta(max_length=2000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""What a tool says goes into core's chain, whose lines have an end (unitd/store/chain_read.py)."""


class SealExport(Wire, frozen=True, kw_only=True, tag="seal_export"):
    """Chain an export and sign a checkpoint over it, once record's head is at `record_n` or beyond.

    `record_n` and `record_head` are what the tool read at the end of record's chain: they count when record is dead.
    """

    manifest_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    incident_id: Short | None
    cameras: Annotated[tuple[Short, ...], Meta(max_length=64)]
    segments: Count
    by: Short = ""
    record_n: Count = 0
    record_head: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""


class ReleaseLock(Wire, frozen=True, kw_only=True, tag="release_lock"):
    """Let an incident's footage go the way of all other, on the word of `by`, for `reason`."""

    incident_id: Short
    by: Short
    reason: Words


class CloseIncident(Wire, frozen=True, kw_only=True, tag="close_incident"):
    """End an incident at the unit itself: where no control room is configured, or none can be reached."""

    incident_id: Short
    by: Short
    outcome: Outcome
    note: Words = ""


class ToolReply(Wire, frozen=True, kw_only=True, tag="tool_reply"):
    """`error` is empty when it was done. Of a sealed export: the line in core's chain (`core_n`), the checkpoint's
    number and bytes, and its signature in base64 (empty when there is no key to sign with)."""

    error: str = ""
    core_n: int = 0
    checkpoint: int = 0
    body: str = ""
    signature: str = ""


ToolRequest = SealExport | ReleaseLock | CloseIncident

FromCore = Desired | Status | ToolReply
FromWorker = Hello | Health | Event
