"""What can happen to the unit, as plain values that `step` takes."""

from dataclasses import dataclass

from unitd.model.incident import Kind, Origin, Outcome


@dataclass(frozen=True)
class Pressed:
    """An accepted press. `incident_id` was minted at the edge and is used unless an incident is open that it joins.

    `boot` is the boot that its instant belongs to, None for the present one.
    """

    press_id: str
    incident_id: str
    mono_ns: int
    utc_us: int
    clock: str
    boot: int | None = None


@dataclass(frozen=True)
class Raised:
    """An incident that no press started (`test`, later `tamper`, `voice`, `intrusion`)."""

    press_id: str
    incident_id: str
    kind: Kind
    mono_ns: int
    utc_us: int
    clock: str
    boot: int | None = None
    origin: Origin = "command"


@dataclass(frozen=True)
class BrokerAcked:
    press_id: str


@dataclass(frozen=True)
class AlarmReceived:
    """The control room's system holds these alarms durably."""

    press_ids: tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """Any authentic word from the control room's system."""


@dataclass(frozen=True)
class Accepted:
    """`room` is the control room whose broker brought it, "" where none is configured."""

    incident_id: str
    by: str
    room: str = ""


@dataclass(frozen=True)
class Answered:
    incident_id: str
    by: str
    room: str = ""


@dataclass(frozen=True)
class Closed:
    incident_id: str
    by: str
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True)
class Extended:
    """An operator wants the incident to stay open for this long from now, whatever the closing limit."""

    incident_id: str
    by: str
    for_ns: int


@dataclass(frozen=True)
class Isolated:
    """Somebody works on the unit: machines' own alarms and periodic tests rest for this long."""

    by: str
    reason: str
    for_ns: int


@dataclass(frozen=True)
class IsolationEnded:
    by: str


@dataclass(frozen=True)
class DutyKnown:
    """The control rooms and duty numbers whose hours these are; None: the time of day is not known."""

    on_duty: tuple[str, ...] | None


@dataclass(frozen=True)
class ClockKnown:
    """UTC minus CLOCK_MONOTONIC, from a clock that can be trusted."""

    utc_offset_us: int


@dataclass(frozen=True)
class SmsSent:
    sms_id: str


@dataclass(frozen=True)
class DomeMoved:
    pan: float
    tilt: float
    zoom: float
    duration_ns: int


@dataclass(frozen=True)
class DomeStopped:
    pass


@dataclass(frozen=True)
class DomeSent:
    preset: int


@dataclass(frozen=True)
class WarningOrdered:
    name: str


@dataclass(frozen=True)
class SpeechOrdered:
    """Words to be said on the horn, once; `language` "" is the unit's first."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class DialledBack:
    """An operator wants the call dialled at once; with `url`, to that endpoint first, whose host is allowed."""

    incident_id: str
    url: str = ""
    whep_url: str = ""
    token: str = ""


@dataclass(frozen=True)
class HandedOver:
    """The incident is given to the control room `room`."""

    incident_id: str
    by: str
    room: str
    note: str = ""


@dataclass(frozen=True)
class SoundSet:
    """The call's sound, whole."""

    incident_id: str
    by: str
    mute_microphone: bool = False
    mute_horn: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class TextSent:
    """A line for the caller's display."""

    incident_id: str
    by: str
    text: str


@dataclass(frozen=True)
class SnapshotOrdered:
    incident_id: str


@dataclass(frozen=True)
class OnLine:
    """A console is connected to the incident's call, or none is any more."""

    incident_id: str
    connected: bool


@dataclass(frozen=True)
class WatchOrdered:
    """`watch_id` was minted at the edge. `announce`: with the operator's voice on the horn."""

    watch_id: str
    by: str
    reason: str
    for_ns: int
    announce: bool = False
    room: str = ""


@dataclass(frozen=True)
class WatchEnded:
    by: str


@dataclass(frozen=True)
class UploadOrdered:
    upload_id: str
    incident_id: str
    url: str
    token: str
    camera: str | None


@dataclass(frozen=True)
class UploadEnded:
    upload_id: str


@dataclass(frozen=True)
class LockWritten:
    """The complete lock of a closed incident is on disk: the state need not carry it any longer."""

    incident_id: str


@dataclass(frozen=True)
class LockReleased:
    """An authorised person lets an incident's footage go. Whether there is such a lock, only the disk knows."""

    incident_id: str
    by: str
    reason: str


@dataclass(frozen=True)
class LockGone:
    """The release of a lock has been carried out, on the record first."""

    incident_id: str


@dataclass(frozen=True)
class ButtonState:
    """`fault` is what is wrong with the contact's cable: "", `button_cable` or `button_disagrees`."""

    watched: bool
    stuck: bool
    fault: str = ""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = (
    Pressed
    | Raised
    | BrokerAcked
    | AlarmReceived
    | Heard
    | Accepted
    | Answered
    | Closed
    | Extended
    | Isolated
    | IsolationEnded
    | DutyKnown
    | ClockKnown
    | SmsSent
    | DomeMoved
    | DomeStopped
    | DomeSent
    | WarningOrdered
    | SpeechOrdered
    | DialledBack
    | HandedOver
    | SoundSet
    | TextSent
    | SnapshotOrdered
    | OnLine
    | WatchOrdered
    | WatchEnded
    | UploadOrdered
    | UploadEnded
    | LockWritten
    | LockReleased
    | LockGone
    | ButtonState
    | Tick
)
