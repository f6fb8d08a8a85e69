"""Power and core's lives: what must outlive them."""

import msgspec

from tests.simulate.book import AFTER_CLOSE_NS, DISK_AGAIN_NS, MS_NS, PERSISTED_NS, SECOND_NS, STARTED_NS
from tests.simulate.judge_button import ButtonJudge
from tests.simulate.ledger import Incident
from tests.simulate.memory_disk import ROOT


class MachineJudge(ButtonJudge):
    def booted(self, boot: int, booted_ns: int) -> None:
        self._boot, self._boot_ns = boot, booted_ns
        if self._boots:
            self._boots[-1] = (*self._boots[-1][:2], self._cut_ns)
        self._boots.append((booted_ns, self.now_ns, 10**18))
        self._heard_ns = None

    def life_began(self) -> None:
        for incident in self._relit:  # it was closing when the power went: the post-roll begins again
            incident.closed_ns = self.now_ns + STARTED_NS
        self._relit = []
        self._alive, self._hung, self._life_ns = True, False, self.now_ns
        self.counts["starts of core"] += 1
        self._reads_disk(self.now_ns)

    def _reads_disk(self, life_ns: int, again_ns: int = 0) -> None:
        """A core has read its disk within a second, unless it hangs: then soon after it is back."""

        def look() -> None:
            if self._read_ns is not None or life_ns != self._life_ns or not self._alive:
                return
            if self.day.pole.disk_hangs:
                self._reads_disk(life_ns, DISK_AGAIN_NS)
            else:
                self._read_ns = self.now_ns + again_ns

        self.day.timeline.at(self.now_ns + SECOND_NS, look)

    def watched(self, watching: bool) -> None:
        """A core begins to watch the button; a contact that is closed now counts from now."""
        self._watching, self._watch_ns = watching, self.now_ns
        touch = self._touch()
        if touch is not None and self._closed:
            touch.answers += 1
            touch.watched_from_ns = self.now_ns
            self._later_sure(touch)

    def loop_hangs(self) -> None:
        self._hung = True

    def life_ended(self) -> None:
        now_ns = self.now_ns
        if self._alive:
            self._lives_ended_ns = now_ns
        refused = self.day.medium.tmpfs_refuses != 0 or self.day.pole.died_within
        self._alive = self._watching = self._hung = False
        for touch in self.touches[-80:]:
            if touch.boot == self._boot and now_ns - (touch.ended_ns or now_ns) < 80 * MS_NS:
                touch.watcher_died = True
            if touch.latch_refused and not touch.alarms and not touch.lost and self._held_by_nobody(touch):
                touch.lost = "the latch was refused and core died"
        touch = self._touch()
        if touch is not None:
            self._close_run(touch, now_ns)
            touch.watched_from_ns = None
        for incident in self.incidents.values():
            if refused and now_ns - self.day.last_disk_trouble_ns() < 60 * SECOND_NS:  # neither took the last word
                if incident.closed_ns is None or now_ns - incident.closed_ns < 600 * SECOND_NS:
                    incident.doubtful = True  # and what was doubtful stays so
                incident.asked = ()
                incident.shaken = True
            if refused or (incident.delivered_ns is not None and now_ns - incident.delivered_ns < 100 * MS_NS):
                incident.delivered_ns = None
                incident.answered_ns = None
        if refused:
            self._isolation_doubt = self._test_doubt = True
        self._desired = self._state = None

    def power_cut(self) -> None:
        """The tmpfs goes. Only what was durable, or is held elsewhere, must come back."""
        now_ns = self._cut_ns = self.now_ns
        sound_ns = max(self._sound_since_ns(), self.day.last_disk_trouble_ns() + DISK_AGAIN_NS)
        durable = self._durable_instants()
        for touch in self.touches:
            if touch.boot != self._boot or not touch.felt or touch.lost or not self._held_by_nobody(touch):
                continue
            if any(touch.covers(each + self._boot_ns) for each in durable) or self._beyond_kept(touch):
                continue
            if now_ns - max(touch.began_ns, sound_ns) < PERSISTED_NS:
                touch.lost = "power cut before it was durable"
            else:
                self.finding("a press was not durable in time", f"touch {touch.number}")
        for incident in self.incidents.values():
            if now_ns - max(self._last_word_ns(incident), sound_ns) < 2 * SECOND_NS:
                incident.doubtful = incident.shaken = True
            if incident.closed_ns is not None and now_ns - incident.closed_ns < AFTER_CLOSE_NS:
                self._relit.append(incident)
            incident.delivered_ns = incident.answered_ns = None
            incident.asked, incident.extended_ns = (), 0
        self._heard_ns = self._read_ns = self._periodic_ns = self._isolated_until_ns = self._state = None
        self._isolation_doubt = self._test_doubt = False
        self._isolation_order = 0

    def _last_word_ns(self, incident: Incident) -> int:
        return max(incident.began_ns, incident.closed_ns or 0, incident.answered_ns or 0, incident.delivered_ns or 0)

    def _durable_instants(self) -> list[int]:
        head = f"{ROOT}/state/outbox/"
        found = []
        for path in list(self.day.medium.durable):
            if path.startswith(head) and path.endswith(".json") and "/." not in path:
                data = self.day.medium.durably(path)
                if data:
                    found.append(int(msgspec.json.decode(data)["entry"]["mono_ns"]))
        return found

    def _sound_since_ns(self) -> int:
        """Since when core has been up and running."""
        if not self._alive or self._hung:
            return self.now_ns
        return self._life_ns + STARTED_NS
