"""The words a scenario is written in: what one can do, and what one can expect. docs/scenarios.md explains each."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Ms = Annotated[float, Meta(gt=0, le=600_000)]
Seconds = Annotated[float, Meta(ge=0, le=600)]
Process = Literal["core", "field", "record", "call", "sense"]
Fault = Literal["button", "camera", "link", "modem", "sms", "broker", "disk", "sound"]
Hz = Annotated[float, Meta(ge=0, le=8000)]


class _Do(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Base of every action. `at_s`: that long after the beginning, whatever is still expected then. Without it: once
    everything expected so far is settled, and `after_s` later. `id` is a name for `of`."""

    at_s: Seconds | None = None
    after_s: Seconds = 0.0
    id: str = ""


class Press(_Do, frozen=True, kw_only=True, tag="press"):
    """Press the button for so long."""

    ms: Ms = 120.0


class Hold(_Do, frozen=True, kw_only=True, tag="hold"):
    """Press it and do not let go."""


class Release(_Do, frozen=True, kw_only=True, tag="release"):
    """Let go."""


class Bounce(_Do, frozen=True, kw_only=True, tag="bounce"):
    """A worn contact: closes, then toggles after each interval."""

    pattern_ms: Annotated[tuple[Ms, ...], Meta(min_length=1, max_length=64)]


class Break(_Do, frozen=True, kw_only=True, tag="break"):
    """Put a fault in."""

    what: Fault
    how: str


class Mend(_Do, frozen=True, kw_only=True, tag="mend"):
    """Take it out."""

    what: Fault


class Kill(_Do, frozen=True, kw_only=True, tag="kill"):
    """Kill one process of the daemon; it is started again as systemd would."""

    process: Process
    signal: Literal["KILL", "TERM", "ABRT", "SEGV"] = "KILL"


class Hang(_Do, frozen=True, kw_only=True, tag="hang"):
    """Stop one process of the daemon where it stands (SIGSTOP): its watchdog has to find out."""

    process: Process


class StepClock(_Do, frozen=True, kw_only=True, tag="step_clock"):
    """The wall clock of every process is set to `by_s` beside the true time (needs `cold_clock`). The time service says
    that it is synchronised, also when that is not true; with `synced` false somebody has set it by hand."""

    by_s: Annotated[float, Meta(ge=-1e9, le=1e9)] = 0.0
    synced: bool = True


class Operator(_Do, frozen=True, kw_only=True, tag="operator"):
    """The operator gives one order through the console's protocol; it must end in `result`."""

    cmd: Literal[
        "accept", "answer", "close", "extend", "dome_move", "dome_stop", "dome_preset", "play_warning", "upload",
        "dial_back", "hand_over", "set_sound", "send_text", "snapshot", "speak", "watch", "announce", "end_watch",
    ]  # fmt: skip
    by: str = "Ana"
    outcome: Literal["genuine", "hoax", "test", "fault", "unknown"] | None = None
    note: str | None = None
    preset: int | None = None
    pan: float | None = None
    tilt: float | None = None
    zoom: float | None = None
    duration_ms: int | None = None
    name: str | None = None
    for_s: int | None = None
    reason: str | None = None
    room: str | None = None
    text: str | None = None
    language: str | None = None
    url: str | None = None
    mute_microphone: bool | None = None
    mute_horn: bool | None = None
    quiet: bool | None = None
    result: Literal["done", "refused", "no_answer", "invalid"] = "done"


class OperatorSpeaks(_Do, frozen=True, kw_only=True, tag="operator_speaks"):
    """The operator speaks (a tone); 0 Hz is silence."""

    tone_hz: Hz


class CallerSpeaks(_Do, frozen=True, kw_only=True, tag="caller_speaks"):
    """The caller speaks (a tone in front of the microphone); 0 Hz is silence."""

    tone_hz: Hz


class Export(_Do, frozen=True, kw_only=True, tag="export"):
    """`unitd export` of the newest incident, beside the live recorder; the directory is for `verify` and `--keep`."""

    status: int = 0


class Verify(_Do, frozen=True, kw_only=True, tag="verify"):
    """`unitd verify` of what was exported, with the control room's authority (`trust`) and its heads, or without. It
    must end with `status`: 0 proven, 1 tampered, 3 consistent only; and say `says`."""

    trust: bool = False
    heads: bool = False
    status: Literal[0, 1, 2, 3] = 0
    says: str = ""


class ReleaseLock(_Do, frozen=True, kw_only=True, tag="release_lock"):
    """`unitd release` of the newest incident, at the unit itself."""

    by: str = "Ana"
    reason: str = "seen and not needed"
    status: int = 0


class CloseHere(_Do, frozen=True, kw_only=True, tag="close_here"):
    """`unitd close` of the newest incident, by somebody at the pole."""

    by: str = "Ana"
    outcome: Literal["genuine", "hoax", "test", "fault", "unknown"] = "genuine"
    status: int = 0


class Certify(_Do, frozen=True, kw_only=True, tag="certify"):
    """The installer has the unit's request for its evidence key signed, and puts the certificate into place."""


class Wait(_Do, frozen=True, kw_only=True, tag="wait"):
    """Do nothing for a while."""

    s: Seconds


Action = (
    Press
    | Hold
    | Release
    | Bounce
    | Break
    | Mend
    | Kill
    | Hang
    | StepClock
    | Operator
    | OperatorSpeaks
    | CallerSpeaks
    | Export
    | Verify
    | ReleaseLock
    | CloseHere
    | Certify
    | Wait
)


class _Expect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="expect"):
    """Base of every expectation: it must come true within so long of the last action (or the one that `of` names)."""

    within_ms: Ms
    of: str = ""


class Lamp(_Expect, frozen=True, kw_only=True, tag="lamp"):
    """What an onlooker sees of a lamp or hears of the sounder; `lit` counts from its first light."""

    name: Literal["yellow", "green", "locator", "sounder"]
    shows: Literal["off", "steady", "flashing", "lit"]


class Chain(_Expect, frozen=True, kw_only=True, tag="chain"):
    """A step of the way of a press, in the log (docs/scenarios.md lists them)."""

    step: str


class Log(_Expect, frozen=True, kw_only=True, tag="log"):
    """A line with this event in the log of a process."""

    process: Process
    event: str


class Sms(_Expect, frozen=True, kw_only=True, tag="sms"):
    """The mobile network took a text message from the modem after the action, to `number` and with `says` in it."""

    number: str = ""
    says: str = ""


class Received(_Expect, frozen=True, kw_only=True, tag="received"):
    """The control room's system holds an alarm it did not hold before the action."""


class Stage(_Expect, frozen=True, kw_only=True, tag="stage"):
    """The incident's stage, as the console shows it."""

    stage: Literal["raised", "sent", "received", "accepted", "answered", "closing", "closed"]


class Incidents(_Expect, frozen=True, kw_only=True, tag="incidents"):
    """How many incidents the console shows, and presses of the newest one."""

    count: int
    presses: int | None = None
    open: int | None = None


class UnitFault(_Expect, frozen=True, kw_only=True, tag="fault"):
    """The unit's own health says so (`present`), or says so no more."""

    code: str
    subject: str | None = None
    present: bool = True


class Armed(_Expect, frozen=True, kw_only=True, tag="armed"):
    """The unit says that it is armed."""

    armed: bool = True


class Heard(_Expect, frozen=True, kw_only=True, tag="control_room_heard"):
    """The unit says that it hears the control room."""

    heard: bool = True


class Clock(_Expect, frozen=True, kw_only=True, tag="clock"):
    """The quality of the unit's clock, in its own words."""

    quality: Literal["synced", "held", "unknown"]


class ProcessBack(_Expect, frozen=True, kw_only=True, tag="process_back"):
    """A process was started again after the action and is READY."""

    process: Process


class Picture(_Expect, frozen=True, kw_only=True, tag="operator_sees"):
    """The operator has decoded so many pictures since the action."""

    frames: int = 5


class OperatorHears(_Expect, frozen=True, kw_only=True, tag="operator_hears"):
    """The operator hears this tone from the caller's side (or does not)."""

    tone_hz: Hz
    hears: bool = True


class HornHears(_Expect, frozen=True, kw_only=True, tag="horn"):
    """The horn plays: a `tone_hz`, a prompt by name (`says`), anything (`sounds`), or nothing."""

    tone_hz: Hz | None = None
    says: str | None = None
    sounds: bool | None = None


class Microphone(_Expect, frozen=True, kw_only=True, tag="microphone"):
    """The gate of the caller's microphone, as `call` has it."""

    open: bool


class Dome(_Expect, frozen=True, kw_only=True, tag="dome"):
    """The dome looks where this preset looks (within 2 degrees), or (`preset` 0) somewhere else."""

    preset: int


class Footage(_Expect, frozen=True, kw_only=True, tag="footage"):
    """`unitd export` of the newest incident makes an MP4 that decodes, with at least so many seconds."""

    seconds: float
    camera: str | None = None


class Clip(_Expect, frozen=True, kw_only=True, tag="clip"):
    """The newest incident's clip lies on the control room's shelf and decodes, at least so many seconds."""

    seconds: float = 1.0


class LockKept(_Expect, frozen=True, kw_only=True, tag="lock"):
    """The unit keeps the newest incident's footage (a lock), or keeps it no more."""

    kept: bool = True


class Unbroken(_Expect, frozen=True, kw_only=True, tag="unbroken"):
    """The ring holds every picture of a camera since the action, without a hole, over so many seconds at least."""

    seconds: float
    camera: str = "dome"


class StillSeen(_Expect, frozen=True, kw_only=True, tag="still"):
    """The console shows so many stills of the newest incident that came after the action."""

    count: int = 1


class EventSeen(_Expect, frozen=True, kw_only=True, tag="event"):
    """The control room got this event from the unit after the action."""

    name: str


Expectation = (
    Lamp
    | Chain
    | Log
    | Sms
    | Received
    | Stage
    | Incidents
    | UnitFault
    | Armed
    | Heard
    | Clock
    | ProcessBack
    | Picture
    | OperatorHears
    | HornHears
    | Microphone
    | Dome
    | Footage
    | Clip
    | LockKept
    | Unbroken
    | StillSeen
    | EventSeen
)
