"""What the unit is in: incidents, the control room's presence, orders still to be carried out. Plain frozen values."""

from typing import Literal

import msgspec

Kind = Literal["panic", "voice", "intrusion", "tamper", "test"]
Stage = Literal["raised", "sent", "received", "accepted", "answered", "closing", "closed"]
Outcome = Literal["genuine", "hoax", "test", "fault", "unknown"]

STAGES: tuple[Stage, ...] = ("raised", "sent", "received", "accepted", "answered", "closing", "closed")
PRECEDENCE: tuple[Kind, ...] = ("panic", "voice", "intrusion", "tamper", "test")
"""Whom the outputs serve when incidents are concurrent: a person's press before everything else."""


class Settings(msgspec.Struct, frozen=True):
    """The figures of the policy, from the configuration."""

    pre_roll_ns: int = 60_000_000_000
    post_roll_ns: int = 30_000_000_000
    still_trying_after_ns: int = 60_000_000_000
    silent_after_ns: int = 90_000_000_000
    panel_preset: int | None = None
    dome_move_limit_ns: int = 2_000_000_000


class Press(msgspec.Struct, frozen=True):
    """One accepted press: an alarm that is to reach the control room's system."""

    press_id: str
    mono_ns: int
    utc_us: int
    clock: str
    sent: bool = False
    received: bool = False


class Incident(msgspec.Struct, frozen=True):
    """`raised_mono_ns` is an instant of boot `boot`; the other instants are of the present boot.

    `since_mono_ns`: from when the caller's wait is counted (the raising, or this boot's start after a power cut).
    `count` counts every press, also those beyond what `presses` keeps.
    """

    incident_id: str
    kind: Kind
    stage: Stage
    raised_mono_ns: int
    raised_utc_us: int
    clock: str
    stage_mono_ns: int
    last_press_mono_ns: int
    since_mono_ns: int
    presses: tuple[Press, ...] = ()
    count: int = 1
    boot: int = 0
    accepted_by: str | None = None
    answered_by: str | None = None
    outcome: Outcome | None = None
    closed_by: str | None = None
    note: str = ""

    @property
    def open(self) -> bool:
        """Not yet closed, closing included."""
        return self.stage != "closed"

    @property
    def active(self) -> bool:
        """A person may still be waiting: neither closing nor closed."""
        return self.stage not in ("closing", "closed")

    def reached(self, stage: Stage) -> bool:
        return STAGES.index(self.stage) >= STAGES.index(stage)


class DomeGoal(msgspec.Struct, frozen=True):
    """The dome's goal; `number` rises with each order so that the same one can be given twice."""

    number: int = 0
    preset: int | None = None
    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    until_mono_ns: int = 0


class WarningGoal(msgspec.Struct, frozen=True):
    """The last warning ordered, and when; kept after its time so that numbers go on rising."""

    number: int
    name: str
    ordered_mono_ns: int = 0


class UploadGoal(msgspec.Struct, frozen=True):
    upload_id: str
    incident_id: str
    url: str
    token: str
    camera: str | None = None


class Lock(msgspec.Struct, frozen=True):
    """Footage that must not be deleted: from (boot, mono) to (boot, mono), open-ended while `to_mono_ns` is None."""

    incident_id: str
    from_boot: int
    from_mono_ns: int
    to_boot: int | None
    to_mono_ns: int | None
    raised_utc_us: int
    clock: str
    kind: str
    outcome: str | None


class State(msgspec.Struct, frozen=True):
    """Everything the outputs depend on. Closed incidents leave once their lock is complete (`locks` keeps those)."""

    incidents: tuple[Incident, ...] = ()
    boot: int = 0
    button_watched: bool = False
    button_stuck: bool = False
    heard_mono_ns: int | None = None
    dome: DomeGoal = DomeGoal()
    warning: WarningGoal | None = None
    uploads: tuple[UploadGoal, ...] = ()
    closed_locks: tuple[Lock, ...] = ()
    ended_mono_ns: int | None = None

    def incident(self, incident_id: str) -> Incident | None:
        return next((each for each in self.incidents if each.incident_id == incident_id), None)

    @property
    def served(self) -> Incident | None:
        """The incident that lamps, sound, call and dome serve now."""
        waiting = [each for each in self.incidents if each.open]
        return min(
            waiting, key=lambda each: (not each.active, PRECEDENCE.index(each.kind), each.raised_mono_ns), default=None
        )

    @property
    def armed(self) -> bool:
        """A press would raise the alarm: the contact is watched and is not stuck closed."""
        return self.button_watched and not self.button_stuck
