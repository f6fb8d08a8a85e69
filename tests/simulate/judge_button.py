"""The button: what fingers and sparks did, and which of them must be felt."""

from bisect import insort

from tests.simulate.book import SECOND_NS, Book
from tests.simulate.ledger import BOUNCE_NS, SURE_NS, Touch
from tests.simulate.memory_disk import VOLATILE


class ButtonJudge(Book):
    def _touch(self) -> Touch | None:
        """The touch that is going on, its bounce included."""
        if self.touches and (self._closed or self.now_ns - self._edge_ns < BOUNCE_NS):
            return self.touches[-1]
        return None

    def edge(self, closed: bool, watching: bool) -> None:
        now_ns = self.now_ns
        touch = self._touch()
        if closed:
            if touch is None:
                touch = Touch(len(self.touches), now_ns, self._boot)
                self.touches.append(touch)
                self._open_touches.append(touch)
                self.counts["touches"] += 1
            touch.ended_ns = None
            touch.run_from_ns = now_ns
            if watching:
                touch.watched_from_ns = now_ns
                touch.latch_refused = touch.latch_refused or self._latch_full()
                self._later_sure(touch)
        elif touch is not None:
            self._close_run(touch, now_ns)
            touch.ended_ns = now_ns
            touch.watched_from_ns = None
        self._closed, self._edge_ns = closed, now_ns

    def _latch_full(self) -> bool:
        medium = self.day.medium
        return medium.tmpfs_refuses != 0 or len(medium.files(VOLATILE + "/latch")) >= 250

    def _close_run(self, touch: Touch, now_ns: int) -> None:
        if touch.run_from_ns is not None and self._closed:
            touch.longest_ns = max(touch.longest_ns, now_ns - touch.run_from_ns)
            if touch.watched_from_ns is not None and now_ns - touch.watched_from_ns >= SURE_NS:
                self._felt(touch)
        touch.run_from_ns = None

    def _later_sure(self, touch: Touch) -> None:
        from_ns = touch.watched_from_ns

        def look() -> None:
            if touch.watched_from_ns == from_ns and self._closed and self._alive:
                self._felt(touch)

        self.day.timeline.at(self.now_ns + SURE_NS, look)

    def _felt(self, touch: Touch) -> None:
        if touch.felt:
            return
        touch.felt = True
        insort(self._felt_ns, touch.began_ns)
        self._unheld.append(touch)
        self.counts["presses felt"] += 1
        began_ns = touch.began_ns
        if self.day.well_since(began_ns - 75 * SECOND_NS) and self._life_ns < began_ns - 10 * SECOND_NS:
            self.day.timeline.at(began_ns + 10 * SECOND_NS, lambda: self._prompt_enough(touch))

    def _prompt_enough(self, touch: Touch) -> None:
        well = self.day.well_since(touch.began_ns - 75 * SECOND_NS) and self._life_ns < touch.began_ns
        if well and self._held_by_nobody(touch) and not self._beyond_kept(touch):
            self.finding("not at the control room within 10 s though all was well", f"touch {touch.number}")
        elif well:
            self.counts["presses in fair weather"] += 1
