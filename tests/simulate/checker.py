"""The judge: written from the requirements, knows nothing of the product's model, and looks at every change.

It keeps a book (`book.py`) of what people did at the button, what the control rooms hold and what operators ordered,
and compares lamps, words, the microphone and what is sent with that. A rule that may be broken for a moment (a core
that starts, a press in the making) says for how long.
"""

import msgspec

from tests.simulate.book import AFTER_CLOSE_NS, TEST_NS
from tests.simulate.judge_shown import ShownJudge
from tests.simulate.ledger import SURE_NS
from tests.simulate.memory_disk import ROOT, VOLATILE
from unitd.messages import control_room as wire


class Checker(ShownJudge):
    def the_end(self) -> None:
        """All faults are lifted and time has passed: everything that was owed has arrived, nothing is left over."""
        self._final = True
        day, medium = self.day, self.day.medium
        for touch in self.touches:
            if not touch.felt:
                if touch.longest_ns >= SURE_NS:
                    self.counts["lost: nobody watched the button (restart, boot, power)"] += 1
            elif touch.lost and self._held_by_nobody(touch):
                self.counts[f"lost: {touch.lost}"] += 1
            elif self._beyond_kept(touch) and self._held_by_nobody(touch):
                self.counts["presses that only count (more than 64 of one incident)"] += 1
            elif self._held_by_nobody(touch):
                self.finding("a press was lost", f"touch {touch.number} of boot {touch.boot} at {touch.began_ns}")
        lamps = day.pole.lamps
        self._left_over()
        if any(
            each.kind == "test"
            and self.now_ns - each.began_ns < TEST_NS
            and (each.closed_ns is None or self.now_ns - each.closed_ns < AFTER_CLOSE_NS)
            for each in self.incidents.values()
        ):
            return  # a periodic test is under way
        if lamps["yellow"] != "off" or lamps["green"] != "off" or lamps["sounder"] != "off":
            self.finding("lamps are lit at the end", str(lamps))
        if lamps["locator"] == "off":
            self.finding("the locator is dark at the end", str(lamps))
        for broker in day.network.brokers.values():
            if broker.retained is None:
                self.finding("no retained state at the end", broker.name)
                continue
            state = msgspec.json.decode(broker.retained, type=wire.State)
            if not state.online or not state.armed or state.open_incidents:
                self.finding("the retained state is not so", f"{broker.name}: {state.online} {state.armed} "
                             f"{[each.incident_id for each in state.open_incidents]}")  # fmt: skip
        locks, released = medium.files(f"{ROOT}/state/locks"), medium.files(f"{ROOT}/state/locks/released")
        for wrong in self.evidence.at_the_end(medium.files(f"{ROOT}/state"), locks):
            self.finding("evidence", wrong)
        for incident in self.incidents.values():
            name = f"{incident.incident_id}.json"
            lock = locks.get(name, released.get(name))
            if incident.kind == "panic" and lock is None and not incident.doubtful and not incident.shaken:
                self.finding("no lock was written for an incident", str(incident))
            elif lock is not None and msgspec.json.decode(lock)["to_mono_ns"] is None:
                self.finding("an incident's lock was never completed", incident.incident_id)

    def _left_over(self) -> None:
        for directory in (f"{ROOT}/state/outbox", f"{VOLATILE}/latch"):
            left = [name for name in self.day.medium.files(directory) if name.endswith(".json")]
            if left:
                self.finding("something is left behind", f"{directory}: {left[:4]}")
