"""Which incidents may be open now, so that the place may be lit and people be asked to answer."""

from tests.simulate.book import AFTER_CLOSE_NS, SECOND_NS
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
        left = []
        for touch in self._open_touches:
            if touch.incident_id is not None:
                continue
            young = touch.ended_ns is None or now_ns - touch.ended_ns < SECOND_NS
            if touch.lost and not young and self._boot != touch.boot and now_ns - self._life_ns > 30 * SECOND_NS:
                continue
            if not young and not touch.felt and not touch.watcher_died and touch.longest_ns < GLITCH_NS:
                continue
            left.append(touch)
            making = True
        self._open_touches = left
        return may, making

    def _limits(self) -> None:
        """An incident may be closed by its configured limit, so long after the last press or step. Presses that only
        count are not known to belong to it, so that its end is not known to the second."""
        limit_s = self.day.config.incident.close_after_s
        if limit_s is None:
            return
        for incident in self.incidents.values():
            if incident.closed_ns is None and self.now_ns - incident.active_ns > (limit_s - 2) * SECOND_NS:
                incident.doubtful = True

    def _serving(self, may: list[Incident]) -> list[Incident]:
        """Of those the ones that the lamps may speak of: a person who waits comes before everything else."""
        panics = [each for each in may if each.kind == "panic" and each.surely_open]
        return panics or may
