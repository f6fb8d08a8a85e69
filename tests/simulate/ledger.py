"""What really happened on the street and in the control rooms, kept apart from what the unit says of itself."""

from dataclasses import dataclass, field

BOUNCE_NS = 45_000_000
"""Openings shorter than this belong to one touch; from the filter's 50 ms on it is certainly the next."""
SURE_NS = 20_000_000
"""Closed so long without a break, a touch must be felt; shorter than GLITCH_NS it must not."""
GLITCH_NS = 5_000_000


@dataclass(eq=False)
class Touch:
    """One finger (or spark) on the button. Instants are of the day, not of a boot.

    `felt`: it was closed for SURE_NS in one go while core watched it, so it may not be lost. `answers` counts the
    alarms that it may rightly have: one, and one more for each core that began to watch while it was closed.
    """

    number: int
    began_ns: int
    boot: int
    ended_ns: int | None = None
    run_from_ns: int | None = None
    watched_from_ns: int | None = None
    felt: bool = False
    longest_ns: int = 0
    watcher_died: bool = False
    answers: int = 1
    alarms: set[str] = field(default_factory=set)
    incident_id: str | None = None
    lost: str = ""
    latch_refused: bool = False

    def covers(self, at_ns: int) -> bool:
        """Whether an alarm of that instant may stem from it."""
        return self.began_ns <= at_ns and (self.ended_ns is None or at_ns <= self.ended_ns)

    @property
    def glitch(self) -> bool:
        return self.ended_ns is not None and self.longest_ns < GLITCH_NS and not self.watcher_died


@dataclass(eq=False)
class Incident:
    """One incident as the world knows it: its cause, who holds it, what operators did. `doubtful`: a power cut may have
    undone the last word about it, so that open and closed are both right."""

    incident_id: str
    kind: str
    began_ns: int
    held_ns: int | None = None
    delivered_ns: int | None = None
    taken_up: bool = False
    """An operator has ordered something about it, and so knows of it."""
    answer_sent: bool = False
    answered_ns: int | None = None
    close_sent: bool = False
    closed_ns: int | None = None
    doubtful: bool = False
    presses: set[str] = field(default_factory=set)
    active_ns: int = 0
    """The last press: its closing limit counts from then, or from a later step of an operator."""
    step_ns: int = 0
    """The last order of an operator that was carried out."""
    shaken: bool = False
    """It has been `doubtful` because of a power cut or a refusing disk: it may be gone altogether."""
    extended_ns: int = 0
    """An operator's extension: not closed by the limit before."""
    periodic: bool = False
    code: str = ""
    asked: tuple[str, ...] = ()
    """The control rooms that the unit says it asks."""
    told_ns: int = 0
    """When the unit was last told that a control room holds it; not undone by anything."""
    texts: list[int] = field(default_factory=list)
    """When text messages about it left."""

    def __str__(self) -> str:
        return f"{self.kind} {self.incident_id} of {self.began_ns} ({len(self.presses)} presses)"

    @property
    def surely_open(self) -> bool:
        return self.closed_ns is None and not self.close_sent and not self.doubtful
