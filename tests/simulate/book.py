"""What the judge knows: a book of what people did at the button, what the control rooms hold and what operators
ordered; and how a broken requirement is told. The `judge_*` files compare the product with it, each in one subject."""

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from tests.simulate.judge_evidence import EvidenceJudge
from tests.simulate.judge_live import LiveJudge
from tests.simulate.ledger import Incident, Touch
from unitd.messages import control_room as wire
from unitd.messages import workers as worker_wire

if TYPE_CHECKING:
    from tests.simulate.day import Day

MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
SETTLED_NS = 700 * MS_NS
"""After so long lamps and words must have followed."""
STARTED_NS = 4 * SECOND_NS
"""A core that is older has read its disk, or goes on without it (3 s)."""
AFTER_CLOSE_NS = 32 * SECOND_NS
"""Post-roll (30 s): so long after an operator's close the place may stay lit."""
DISK_AGAIN_NS = 15 * SECOND_NS
"""After a disk has healed, so long until everything that it refused is on it."""
SILENT_NS = 91 * SECOND_NS
PERSISTED_NS = 500 * MS_NS
"""On a sound disk and a core that runs, a press is durable by then."""
MICROPHONE_IN = ("panic", "voice", "test")
TEST_NS = 1000 * SECOND_NS
"""A periodic test has ended by itself (answer_within_s and post-roll)."""
PERIODIC_ENDS_S = 140
"""A periodic test that was accepted and then answered ends by itself within so long."""
MOST_KEPT = 64
MOST_IN_MEMORY = 520
"""The largest bound that the product sets itself is 500 (calls that wait for the disk)."""


class Book:
    def __init__(self, day: "Day") -> None:
        self.day = day
        self.findings: list[str] = []
        self.counts: Counter[str] = Counter()
        self.touches: list[Touch] = []
        self.incidents: dict[str, Incident] = {}
        self.evidence = EvidenceJudge()
        self.live = LiveJudge(self)
        self._press_touch: dict[str, Touch] = {}
        self._boot = 0
        self._boot_ns = 0
        self._boots: list[tuple[int, int, int]] = []
        """Of each boot: when its clock was 0, when it began and when its power went."""
        self._cut_ns = 0
        self._relit: list[Incident] = []
        self._edge_ns = -(10**12)
        self._closed = False
        self._life_ns = 0
        self._alive = self._hung = self._watching = False
        self._watch_ns = 0
        self._lives_ended_ns = -(10**12)
        self._heard_ns: int | None = None
        self._read_ns: int | None = None
        """From when on core knows what only the disk knew at this boot; None: the disk has hung since then."""
        self._replies: dict[tuple[int, int], tuple[str, str]] = {}
        self._orders: dict[tuple[int, int], tuple[wire.Command, str]] = {}
        self._tests_allowed = 0
        self._test_alarms: set[str] = set()
        self._open_touches: list[Touch] = []
        self._desired: worker_wire.Desired | None = None
        self._desired_ns = 0
        self._sounder_ns = self._looks = 0
        self._final = False
        self._unheld: list[Touch] = []
        self.clock_doubted = False
        """The clock has been unknown or wrong in this day: hours and dates are not judged."""
        self._periodic_ns: int | None = None
        """The last periodic test of this boot."""
        self._test_doubt = False
        """A disk and a tmpfs that refused may have made the unit forget it: the next one may come sooner."""
        self._test_free_ns = 0
        """Since when nothing has stood in the way of a periodic test."""
        self._isolated_until_ns: int | None = None
        self._isolation_order = 0
        self._isolated_ns = 0
        """The last answer to an order about it."""
        self._isolation_doubt = False
        self._early_texts: list[tuple[int, str]] = []
        """Texts about incidents that no broker has been told of: when, and their code."""
        self._state: wire.State | None = None
        self._state_ns = 0
        self._felt_ns: list[int] = []
        """When the touches that were felt began, in order."""

    @property
    def now_ns(self) -> int:
        return self.day.timeline.now_ns

    def finding(self, rule: str, detail: str) -> None:
        """A requirement was broken."""
        if len(self.findings) < 20:
            self.findings.append(f"{rule}: {detail} [at {self.now_ns}]")
            self.day.trace.say("FINDING", rule, detail)

    @property
    def _boot_began_ns(self) -> int:
        """When the power came."""
        return self._boots[-1][1] if self._boots else 0

    def _held_by_nobody(self, touch: Touch) -> bool:
        return not any(press in room.held for press in touch.alarms for room in self.day.rooms)

    def _beyond_kept(self, touch: Touch) -> bool:
        """One of so many presses that its incident's alarm went out long ago, and it only counts."""
        felt_ns = self._felt_ns
        if sum(each.felt and each.began_ns < touch.began_ns for each in self._open_touches) >= MOST_KEPT:
            return True  # of an incident that no broker could be told of
        for incident in self.incidents.values():
            if incident.began_ns <= touch.began_ns and (
                incident.closed_ns is None or touch.began_ns < incident.closed_ns
            ):
                before = bisect_left(felt_ns, touch.began_ns) - bisect_left(felt_ns, incident.began_ns)
                if len(incident.presses) >= MOST_KEPT or before >= MOST_KEPT:
                    return True
        return False
