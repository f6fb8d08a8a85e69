"""Maintenance and periodic tests: an isolation rests only what it may and ends by itself; tests come in time."""

from tests.simulate.book import SECOND_NS, STARTED_NS
from tests.simulate.configured import Duty
from tests.simulate.judge_machine import MachineJudge
from tests.simulate.ledger import Incident
from tests.simulate.memory_disk import ROOT
from unitd.messages import control_room as wire

TEST_LATE_NS = 120 * SECOND_NS
"""So long after a test is due and nothing stands in its way, it must have been raised."""
ORDERED_NS = 90 * SECOND_NS

OUTBOX = f"{ROOT}/state/outbox"


class UpkeepJudge(MachineJudge):
    @property
    def _surely_isolated(self) -> bool:
        until_ns = self._isolated_until_ns
        return until_ns is not None and self.now_ns < until_ns - 2 * SECOND_NS and not self._isolation_doubt

    def _maybe_isolated(self) -> bool:
        """Or an order is under way."""
        until_ns = self._isolated_until_ns
        ordered = any(
            isinstance(command, wire.Isolate) and key not in self._replies
            for key, (command, _) in list(self._orders.items())[-20:]
        )
        return ordered or self._isolation_doubt or (until_ns is not None and self.now_ns < until_ns + SECOND_NS)

    def _ending(self) -> bool:
        """The end of the isolation has been ordered, and perhaps obeyed."""
        return any(
            isinstance(command, wire.EndIsolation | wire.Isolate) and key not in self._replies
            for key, (command, _) in list(self._orders.items())[-20:]
        )

    def _isolation(self, alarm: wire.Alarm) -> None:
        if alarm.isolated and not self._maybe_isolated():
            self.finding("an alarm says that the unit is isolated, and it is not", alarm.press_id)
        if self._surely_isolated and not self._ending():
            self.counts["alarms sent while isolated"] += 1
            if not alarm.isolated and alarm.attempt == 1:
                self.finding("an alarm does not say that somebody works on the unit", alarm.press_id)

    def _isolation_told(self, state: wire.State) -> None:
        if state.isolation is not None and not self._maybe_isolated():
            self.finding("the unit is isolated though nobody wants it so", str(state.isolation))

    def _isolation_kept(self) -> None:
        """Now and then: what was ordered is so, also after a restart of core."""
        state, now_ns = self._state, self.now_ns
        if state is None or state.isolation is not None or not self._surely_isolated or self._ending():
            return
        settled = now_ns - max(self._life_ns, self._isolated_ns) > 10 * SECOND_NS
        if settled and self.day.well_since(now_ns - 20 * SECOND_NS):
            self.finding("an isolation is forgotten", str(self._isolated_until_ns))

    # --- periodic tests ---

    def _every_ns(self) -> int | None:
        every_s = self.day.config.test_alarm.every_s
        return None if every_s is None else int(every_s * SECOND_NS)

    def _periodic_test(self, raised_ns: int) -> None:
        """One was raised: not too early, not in an isolation, not in the midst of a call."""
        self.counts["periodic tests"] += 1
        every_ns = self._every_ns()
        if every_ns is None:
            self.finding("a periodic test that is not configured", "")
        elif raised_ns < self._boot_began_ns:
            return  # in an earlier boot, and told only now: what stood in its way then is no longer known
        elif (
            self._periodic_ns is not None
            and not self._test_doubt
            and raised_ns - self._periodic_ns < every_ns - SECOND_NS
        ):
            self.finding("a periodic test too early", f"{(raised_ns - self._periodic_ns) / 1e9} s")
        if self._surely_isolated and not self._ending() and self._heard_all():
            self.finding("a periodic test while somebody works on the unit", "")
        if any(each.kind == "panic" and each.surely_open for each in self.incidents.values()) and self._heard_all():
            self.finding("a periodic test in the midst of a call", "")
        tests = self.day.duty.tests
        if tests is not None and not self.clock_doubted and self._heard_all() and self._out_of_hours(600):
            self.finding("a periodic test outside its hours", str(tests))
        self._periodic_ns, self._test_doubt = raised_ns, False

    def _out_of_hours(self, margin_s: int) -> bool:
        """Of tests: now, and some time ago and later."""
        wall_ns = self.day.wall_ns()
        instants = (wall_ns - margin_s * SECOND_NS, wall_ns, wall_ns + margin_s * SECOND_NS)
        return not any(Duty.on({"test": self.day.duty.tests}, each) for each in instants)

    def _heard_all(self) -> bool:
        """The network has been sound, so that what is sent now was raised now."""
        return self.day.well_since(self.now_ns - 5 * SECOND_NS) and self.now_ns - self._life_ns > 60 * SECOND_NS

    def _test_unheard(self) -> bool:
        """A periodic test may be under way that no broker was told of."""
        every_ns = self._every_ns()
        if every_ns is None or self._heard_all():
            return False
        due = self._periodic_ns is None or self._test_doubt or self.now_ns - self._periodic_ns >= every_ns - SECOND_NS
        life = self.day.pole.life
        return due and life is not None and self.now_ns - max(self.day.faults.last_ns, self._life_ns) < 600 * SECOND_NS

    def _tests_in_time(self, idle: bool) -> None:
        """Now and then; `idle`: nothing is open, and nobody touches the button."""
        now_ns, every_ns = self.now_ns, self._every_ns()
        if every_ns is None:
            return
        tests = self.day.duty.tests
        outside = tests is not None and (self._out_of_hours(0) or self.clock_doubted)
        sound = self._alive and not self._hung and now_ns - self._life_ns > STARTED_NS and self.day.well_since(now_ns)
        held = not self._isolated_until_ns and not self._isolation_doubt and self._held_everything()
        if outside or not sound or not held or not idle:
            self._test_free_ns = now_ns
        due_ns = self._periodic_ns
        if due_ns is None and (self._boot == 1 or not self.clock_doubted):
            due_ns = self._boot_ns
        since_ns = None if due_ns is None else max(due_ns + every_ns, self._test_free_ns, self._life_ns)
        if since_ns is not None and now_ns - since_ns > TEST_LATE_NS:
            self.finding("a periodic test is overdue", f"by {(now_ns - since_ns) / 1e9:.0f} s")
            self._test_free_ns = now_ns

    def _held_everything(self) -> bool:
        """No alarm waits to be received: one that does keeps its incident."""
        life = self.day.pole.life
        return life is not None and not [name for name in self.day.medium.files(OUTBOX) if name.endswith(".json")]

    # --- said by the judges above ---

    def _told(self, state: wire.State) -> None:
        raise NotImplementedError

    def _asked(self, incident: Incident, asked: tuple[str, ...]) -> None:
        raise NotImplementedError
