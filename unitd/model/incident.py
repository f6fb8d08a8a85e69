"""What the unit is in: incidents, the control room's presence, orders still to be carried out. Plain frozen values."""

from typing import Literal

import msgspec

from unitd.model.call_goals import CallOrders, Guard, HandOver, SnapshotGoal, Watched, WatchGoal

Kind = Literal["panic", "voice", "intrusion", "tamper", "test"]
Stage = Literal["raised", "sent", "received", "accepted", "answered", "closing", "closed"]
Outcome = Literal["genuine", "hoax", "test", "fault", "unknown"]
Origin = Literal["press", "command", "periodic", "sensor"]

STAGES: tuple[Stage, ...] = ("raised", "sent", "received", "accepted", "answered", "closing", "closed")
TEST_HOURS = "test alarm"
"""Beside control rooms and duty numbers in `State.on_duty`; no name of the configuration has a blank."""
PRECEDENCE: tuple[Kind, ...] = ("panic", "voice", "intrusion", "tamper", "test")
"""Whom the outputs serve when incidents are concurrent: a person's press before everything else."""


class DutyNumber(msgspec.Struct, frozen=True):
    """Whom a text message reaches; `name` is what `on_duty` lists."""

    name: str
    number: str


class Routes(msgspec.Struct, frozen=True):
    """Whom to ask besides giving every broker every alarm, in order of preference, and after how long."""

    rooms: tuple[str, ...] = ()
    numbers: tuple[DutyNumber, ...] = ()
    unreceived_ask_next_ns: int = 15_000_000_000
    unreceived_sms_ns: int = 30_000_000_000
    unanswered_ask_next_ns: int = 45_000_000_000
    unanswered_sms_ns: int = 90_000_000_000
    sms_again_ns: int = 300_000_000_000
    sms_longest_pause_ns: int = 3_600_000_000_000


class Settings(msgspec.Struct, frozen=True):
    """The figures of the policy, from the configuration."""

    routes: Routes = Routes()
    close_after_ns: int | None = None
    test_every_ns: int | None = None
    test_answer_within_ns: int = 900_000_000_000
    test_hours: bool = False
    """Tests are made only while `TEST_HOURS` is on duty, as far as the time of day is known."""
    alone: bool = False
    """The unit has no broker: nobody will ever say `received`, and a closed incident waits for no word."""
    pre_roll_ns: int = 60_000_000_000
    post_roll_ns: int = 30_000_000_000
    review_us: int = 31 * 86_400_000_000
    """How long after its end somebody should look at a lock again, to release it or not; a hoax's sooner."""
    hoax_review_us: int = 7 * 86_400_000_000
    still_trying_after_ns: int = 60_000_000_000
    silent_after_ns: int = 90_000_000_000
    panel_preset: int | None = None
    dome_move_limit_ns: int = 2_000_000_000
    warn_after_ns: int | None = None
    """Operators are told so often how long a call has gone on; None: never."""
    warn_before_close_ns: int = 300_000_000_000


class Press(msgspec.Struct, frozen=True):
    """One accepted press: an alarm that is to reach the control room's system. `boot` is the one of its instant, 0 for
    its incident's."""

    press_id: str
    mono_ns: int
    utc_us: int
    clock: str
    sent: bool = False
    received: bool = False
    boot: int = 0


class SmsGoal(msgspec.Struct, frozen=True):
    """A text message that is wanted; `received`: it tells that the alarm was received and is not answered."""

    sms_id: str
    number: str
    received: bool = False


class Incident(msgspec.Struct, frozen=True):
    """`raised_mono_ns` is an instant of boot `boot`; the other instants are of the present boot.

    `since_mono_ns`: from when the caller's wait is counted (the raising, or this boot's start after a power cut).
    `count` counts every press, also those beyond what `presses` keeps. `asked` are the control rooms that are asked to
    answer, the last since `asked_mono_ns`; `sms` the text messages that have not left yet. `recent` and
    `recent_hoaxes` count this unit's earlier incidents of a day: for the operator to see, for nothing else.
    `extended_mono_ns`: not closed by the limit before that, by an operator's word.
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
    origin: Origin = "press"
    asked: tuple[str, ...] = ()
    asked_mono_ns: int = 0
    received_mono_ns: int | None = None
    sms: tuple[SmsGoal, ...] = ()
    sms_rounds: int = 0
    sms_mono_ns: int = 0
    sms_received: bool = False
    recent: int = 0
    recent_hoaxes: int = 0
    extended_mono_ns: int = 0
    taken_by: str = ""
    """The control room that answered last, or before that accepted last, if it is known: the call goes there."""
    orders: CallOrders = CallOrders()
    guard: Guard = Guard()
    handed_over: HandOver | None = None

    @property
    def open(self) -> bool:
        """Not yet closed, closing included."""
        return self.stage != "closed"

    @property
    def active(self) -> bool:
        """A person may still be waiting: neither closing nor closed."""
        return self.stage not in ("closing", "closed")

    @property
    def unanswered(self) -> bool:
        """A person may be waiting, and nobody has answered."""
        return self.active and self.stage != "answered"

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
    """The last warning ordered, and when; kept after its time so that numbers go on rising. With `speak` it is those
    words, in `language` ("" = the unit's first), and `name` is empty."""

    number: int
    name: str
    ordered_mono_ns: int = 0
    speak: str = ""
    language: str = ""


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
    review_utc_us: int | None = None
    """When somebody should look at it again, to release it or not; None while open, or with an unknown time."""


class Release(msgspec.Struct, frozen=True):
    """An authorised person's word that an incident's footage need not be kept, until it has been carried out."""

    incident_id: str
    by: str
    reason: str


class Past(msgspec.Struct, frozen=True):
    """An earlier incident that a person raised, and what the operator called it once it was closed."""

    incident_id: str
    boot: int
    mono_ns: int
    utc_us: int
    clock: str
    outcome: Outcome | None = None


class Isolation(msgspec.Struct, frozen=True):
    """Maintenance: machines' own alarms and periodic tests rest until `until_mono_ns`. A press never does."""

    by: str
    reason: str
    until_mono_ns: int


class State(msgspec.Struct, frozen=True):
    """Everything the outputs depend on. Closed incidents leave once their lock is complete (`locks` keeps those)."""

    incidents: tuple[Incident, ...] = ()
    boot: int = 0
    boot_id: str = ""
    """The kernel's id of the boot whose instants these are: the number may be unknown (0) or given twice."""
    button_watched: bool = False
    button_stuck: bool = False
    button_fault: str = ""
    """What is wrong with the contact's cable: "", `button_cable` or `button_disagrees`."""
    heard_mono_ns: int | None = None
    dome: DomeGoal = DomeGoal()
    warning: WarningGoal | None = None
    uploads: tuple[UploadGoal, ...] = ()
    closed_locks: tuple[Lock, ...] = ()
    releases: tuple[Release, ...] = ()
    """Locks that are to go, and have not gone yet."""
    ended_mono_ns: int | None = None
    on_duty: tuple[str, ...] | None = None
    """Control rooms and duty numbers whose hours these are; None while the time of day is not known."""
    past: tuple[Past, ...] = ()
    isolation: Isolation | None = None
    suppressed: int = 0
    """Machines' own alarms that rested because of an isolation, since core's first start."""
    utc_offset_us: int | None = None
    """UTC minus CLOCK_MONOTONIC in this boot, once the clock can be trusted."""
    tested_mono_ns: int | None = None
    """The last periodic test of this boot, and by the wall clock below."""
    tested_utc_us: int | None = None
    test_unanswered: bool = False
    watch: WatchGoal | None = None
    watched: Watched | None = None
    snapshot: SnapshotGoal | None = None

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
        """A press would raise the alarm: the contact is watched, is not stuck closed, and its cable is not cut.

        With one of two lines open for good the other may work, but most often a cable is cut whole: no promise.
        Lines that disagree are a fault, but a press is felt by one of them.
        """
        return self.button_watched and not self.button_stuck and self.button_fault != "button_cable"
