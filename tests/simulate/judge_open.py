"""Which incidents may be open now, so that the place may be lit and people be asked to answer."""

from tests.simulate.book import AFTER_CLOSE_NS, PERIODIC_ENDS_S, SECOND_NS
from tests.simulate.judge_sent import SentJudge
from tests.simulate.ledger import GLITCH_NS, Incident


class OpenJudge(SentJudge):
    def _lit_by(self) -> tuple[list[Incident], bool]:
        """Incidents that may light the place now, and whether a touch is not yet known to belong to one."""
        now_ns = self.now_ns
        self._limits()
        may = [
            each
            for each in self.incidents.values()
            if each.doubtful or each.closed_ns is None or now_ns - each.closed_ns < AFTER_CLOSE_NS
        ]
        making = self._closed and (not self._watching or now_ns - self._watch_ns < 2 * SECOND_NS)
        making = making or self._test_unheard()
        left = []
        for touch in self._open_touches:
            if touch.incident_id is not None:
                continue
            young = touch.ended_ns is None or now_ns - touch.ended_ns < SECOND_NS
            if touch.lost and not young and self._boot != touch.boot and now_ns - self._life_ns > 30 * SECOND_NS:
                continue
            if not young and not touch.felt and not touch.watcher_died and touch.longest_ns < GLITCH_NS:
                continue
            if touch.felt and not young and now_ns - touch.began_ns > 30 * SECOND_NS and self._beyond_kept(touch):
                touch.incident_id = "it only counted"
                continue
            left.append(touch)
            making = True
        self._open_touches = left
        return may, making

    def _limits(self) -> None:
        """The unit itself ends a periodic test, and what reaches the configured limit: so long after the last press or
        step, and not before the end of an extension. Presses that only count are not known to belong to an incident, so
        that its end is not known to the second; some time later it must be over."""
        limit_s = self.day.config.incident.close_after_s
        began_ns = max(self._boot_began_ns, self._life_ns)
        touched_ns = self.touches[-1].ended_ns or self.now_ns if self.touches else 0
        for incident in self.incidents.values():
            if incident.closed_ns is not None and not incident.doubtful:
                continue
            if incident.periodic:
                last_ns = max(incident.step_ns, incident.began_ns, began_ns)
                ends_ns = last_ns + (PERIODIC_ENDS_S + int(self.day.config.test_alarm.answer_within_s)) * SECOND_NS
            elif limit_s is not None:
                limit_ns = int(limit_s * SECOND_NS)
                if self.now_ns > max(incident.active_ns + limit_ns, incident.extended_ns) - 2 * SECOND_NS:
                    incident.doubtful = True
                ends_ns = max(incident.active_ns, incident.step_ns, incident.told_ns, touched_ns, began_ns) + limit_ns
                ends_ns = max(ends_ns, incident.extended_ns) + 60 * SECOND_NS
            else:
                continue
            if self.now_ns > ends_ns and self._alive and not self._hung:
                incident.closed_ns, incident.doubtful = ends_ns, False
                for touch in self._open_touches:
                    if touch.incident_id is None and incident.began_ns <= touch.began_ns:
                        touch.incident_id = incident.incident_id  # it only counted
                self.counts["incidents ended by the unit"] += 1

    def _serving(self, may: list[Incident]) -> list[Incident]:
        """Of those the ones that the lamps may speak of: a person who waits comes before everything else."""
        panics = [each for each in may if each.kind == "panic" and each.surely_open]
        return panics or may
