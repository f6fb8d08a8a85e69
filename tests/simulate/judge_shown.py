"""Lamps, words and the microphone: nothing may be shown that is not so, and whoever waits is lit and spoken to."""

from tests.simulate.book import (
    DISK_AGAIN_NS,
    MICROPHONE_IN,
    SECOND_NS,
    SETTLED_NS,
    SILENT_NS,
    STARTED_NS,
)
from tests.simulate.bounds import BoundsJudge
from tests.simulate.judge_routes import RoutesJudge
from tests.simulate.ledger import Incident
from unitd.messages import workers as worker_wire


class ShownJudge(RoutesJudge, BoundsJudge):
    def lamp(self, lamp: str, level: str) -> None:
        """At every change: it may not say what is not so."""
        if level == "off" or self._hung:
            return
        may, making = self._lit_by()
        if lamp == "sounder":
            self._sounder_ns = self.now_ns
        elif lamp == "yellow" and not may and not making:
            self.finding("yellow is lit though nobody called", level)
        elif lamp == "yellow" and level == "steady":
            self._truly_received(may, "yellow is steady though no control room has it")
        elif lamp == "yellow":
            self._not_back(may, making)
        elif lamp == "green":
            if not any(each.answer_sent for each in self._serving(may)):
                self.finding("green is lit though nobody answered", level)
        elif lamp == "locator" and not may and not making:
            self._truly_armed()

    def _truly_received(self, may: list[Incident], words: str) -> None:
        if not any(each.held_ns is not None or each.taken_up for each in self._serving(may)):
            self.finding(words, ", ".join(map(str, may)))

    def _not_back(self, may: list[Incident], making: bool) -> None:
        """What a caller was shown once is not taken back: not even by a core that starts again."""
        waiting = [each for each in may if each.kind == "panic" and each.surely_open]
        disk_ns = self.day.last_disk_trouble_ns()
        making = making or self._closed or self.now_ns - self._edge_ns < SECOND_NS
        if making or len(waiting) != 1 or waiting[0].delivered_ns is None or self.now_ns - disk_ns < DISK_AGAIN_NS:
            return
        if self.now_ns - waiting[0].delivered_ns > SETTLED_NS:
            self.finding("yellow flashes though the unit was told that the alarm is held", str(waiting[0]))

    def _truly_armed(self) -> None:
        if self._heard_ns is None or self.now_ns - self._heard_ns > SILENT_NS:
            self.finding("the locator is lit though the control room is silent", str(self._heard_ns))
        if not self._watching:
            self.finding("the locator is lit though nobody watches the button", "")

    def desired(self, desired: worker_wire.Desired) -> None:
        """What core wants of its workers: the microphone's gate and the words."""
        self._desired, self._desired_ns = desired, self.now_ns
        self.live.desired(desired)
        may, making = self._lit_by()
        call, words = desired.call, desired.sound.prompt
        if call is not None and call.microphone:
            self.counts["times the microphone was wanted"] += 1
            if not making and not any(each.kind in MICROPHONE_IN for each in may):
                self.finding("the microphone is open outside an incident", call.incident_id)
            self._after_the_end(call.incident_id)
        if words == "received":
            self._truly_received(may, "the caller is told 'received' though no control room has it")
        if words == "still_trying":
            oldest_ns = min((each.began_ns for each in may), default=None)
            if not making and (oldest_ns is None or self.now_ns - oldest_ns < 59 * SECOND_NS):
                self.finding("'still trying' too early", str(oldest_ns))
        if words == "calling" and not may and not making:
            self.finding("the caller is told 'calling' though nobody called", "")
        if words == "ended" and not any(each.close_sent or each.doubtful for each in may):
            self.finding("the caller is told that the call has ended though nobody ended it", "")

    def _after_the_end(self, incident_id: str) -> None:
        """Of a call that is wanted: its incident goes on, and is one in which a microphone may be open."""
        incident = self.incidents.get(incident_id)
        if incident is None:
            return
        closed_ns = incident.closed_ns
        if closed_ns is not None and not incident.doubtful and self.now_ns - closed_ns > SETTLED_NS:
            self.finding("the microphone is open after the end of the call", str(incident))
        if incident.kind not in MICROPHONE_IN:
            self.finding("the microphone is open in an incident of a machine", str(incident))

    def slow_look(self) -> None:
        """Day and night: people are asked, tests come, and what core's workers were told last is still so."""
        now_ns = self.now_ns
        may, making = self._lit_by()
        self._tests_in_time(not may and not making)
        well = self._alive and not self._hung and now_ns - self._life_ns > STARTED_NS
        if not well:
            return
        self._texts_owed()
        self._asking()
        self._isolation_kept()
        call = self._desired.call if self._desired is not None else None
        if call is not None and self.day.helpers.call.connected and now_ns - self._desired_ns > 2 * SECOND_NS:
            self._after_the_end(call.incident_id)

    def look(self) -> None:
        """Now and then, when nothing has changed for a moment: what is so must be shown."""
        now_ns, pole = self.now_ns, self.day.pole
        self._looks += 1
        if self._looks % 32 == 0 and self._alive and not self._hung:
            self.bounds()
        well = self._alive and not self._hung and now_ns - self._life_ns > STARTED_NS
        if not well or now_ns - self.day.last_disk_trouble_ns() < 10 * SECOND_NS or self.day.medium.tmpfs_refuses:
            return
        may, making = self._lit_by()
        lamps = pole.lamps
        waiting = [
            each
            for each in self.touches[-100:]
            if each.incident_id is None and each.felt and not each.lost and now_ns - each.began_ns > SETTLED_NS
            and each in self._open_touches and not self._beyond_kept(each)
        ]  # fmt: skip
        open_panics = [each for each in may if each.kind == "panic" and each.surely_open and each.held_ns is not None]
        if (waiting or open_panics) and lamps["yellow"] == "off":
            self.finding("a caller is left in the dark", f"touches {[t.number for t in waiting][:5]} {open_panics[:1]}")
        if not may and not making:
            call = self._desired.call if self._desired is not None and self.day.helpers.call.connected else None
            if call is not None and not call.watch:
                self.finding("a call is wanted though nobody called", call.incident_id)
            if lamps["yellow"] != "off" or lamps["green"] != "off":
                self.finding("lamps are lit though nobody called", str(lamps))
            self._idle(lamps["locator"])
        if len(open_panics) == 1 and not making and not waiting:
            self._one_caller(open_panics[0], lamps)

    def _idle(self, locator: str) -> None:
        if locator == "off":
            armed = self._watching and not self._closed and self.now_ns - self._edge_ns > 3 * SECOND_NS
            heard = self._heard_ns is not None and SETTLED_NS < self.now_ns - self._heard_ns < 89 * SECOND_NS
            if armed and heard and self.now_ns - max(self._watch_ns, self._life_ns) > 5 * SECOND_NS:
                self.finding("the locator is dark though the unit is armed and heard", "")
        elif self._heard_ns is None or self.now_ns - self._heard_ns > SILENT_NS + SECOND_NS:
            self.finding("the locator stays lit though the control room is silent", str(self._heard_ns))
        elif self._closed and self.now_ns - self._edge_ns > 33 * SECOND_NS:
            self.finding("the locator is lit though the button is stuck", "")

    def _one_caller(self, incident: Incident, lamps: dict[str, str]) -> None:
        """One person waits, all else is quiet: the lamps' table to the letter."""
        now_ns = self.now_ns
        delivered = incident.delivered_ns is not None and now_ns - incident.delivered_ns > SETTLED_NS
        answered = incident.answered_ns is not None and now_ns - incident.answered_ns > SETTLED_NS
        if delivered and lamps["yellow"] != "steady":
            self.finding("received, and yellow is not steady", incident.incident_id)
        if answered and lamps["green"] != "steady":
            self.finding("answered, and green is not lit", incident.incident_id)
        if (
            self._desired is not None
            and self.day.helpers.call.connected
            and now_ns - self._desired_ns > SETTLED_NS
            and not incident.answer_sent
            and incident.incident_id not in self.live.quiet
        ):
            waited_ns = now_ns - max(incident.began_ns, self._boot_ns)
            words = self._desired.sound.prompt
            if waited_ns > 70 * SECOND_NS and words != "still_trying" and now_ns - self._boot_ns > 75 * SECOND_NS:
                self.finding("a minute without an answer, and the caller is not told", f"{words}")
            if words is None:
                self.finding("a caller who waits hears nothing", incident.incident_id)
