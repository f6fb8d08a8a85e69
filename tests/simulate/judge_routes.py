"""Who is asked to answer, and when: text messages to duty numbers, and one control room after the other."""

import re

from tests.simulate.book import SECOND_NS, SETTLED_NS, STARTED_NS
from tests.simulate.configured import Duty
from tests.simulate.judge_open import OpenJudge
from tests.simulate.ledger import Incident
from tests.simulate.life import QUIET
from unitd.messages import control_room as wire
from unitd.messages import workers as worker_wire

MODEM_NS = 25 * SECOND_NS
"""Field, the modem and a message before it."""
DUTY_NS = int((4 * QUIET.look_s + 10) * SECOND_NS)
"""So long after they have changed, a core at the simulation's quiet pace has looked at the hours of duty."""
CODE = re.compile(r"HELP POINT ALARM ([0-9A-F]{6})")


class RoutesJudge(OpenJudge):
    # --- text messages ---

    def texted(self, sms: worker_wire.SmsWanted) -> None:
        """A text message has left: only for a person who waits, or waited a moment ago, and not before its time."""
        self.counts["text messages"] += 1
        may, making = self._lit_by()
        if not making and not any(each.kind in ("panic", "voice") for each in may):
            self.finding("a text message though nobody called", sms.text)
        if len(sms.text) > 160:
            self.finding("a text message is too long", sms.text)
        if sms.number not in self.day.duty.numbers:
            self.finding("a text message to a stranger", sms.number)
        incident = self._about(sms)
        if incident is None:
            found = CODE.search(sms.text)
            self._early_texts.append((self.now_ns, found[1] if found else ""))
            return
        incident.texts.append(self.now_ns)
        if self.now_ns - incident.began_ns < self.day.config.escalation.unreceived_sms_s * SECOND_NS:
            self.finding("a text message before its time", str(incident))
        on_duty = Duty.on(self.day.duty.numbers, self.day.wall_ns())
        was_on_duty = Duty.on(self.day.duty.numbers, self.day.wall_ns() - 900 * SECOND_NS)
        sure = not self.clock_doubted and self.now_ns - self._life_ns > 900 * SECOND_NS and on_duty == was_on_duty
        if sure and on_duty and sms.number not in on_duty:
            self.finding("a text message to somebody off duty while another is on duty", sms.number)

    def texts_wanted(self, wanted: tuple[worker_wire.SmsWanted, ...]) -> None:
        """What field is told: nothing about tests, nor after an answer or the end, and nothing that is not so."""
        now_ns = self.now_ns
        for sms in wanted:
            incident = self._about(sms)
            if incident is None or incident.doubtful:
                continue
            if incident.kind not in ("panic", "voice"):
                self.finding("a text message for what is no call", sms.text)
            if incident.answered_ns is not None and now_ns - incident.answered_ns > SETTLED_NS:
                self.finding("a text message after an answer", str(incident))
            if incident.closed_ns is not None and now_ns - incident.closed_ns > SETTLED_NS:
                self.finding("a text message after the end", str(incident))
            if (
                "not received" in sms.text
                and incident.delivered_ns is not None
                and now_ns - incident.delivered_ns > SETTLED_NS
            ):
                self.finding("a text message says 'not received' though the unit knows better", str(incident))

    def _about(self, sms: worker_wire.SmsWanted) -> Incident | None:
        found = CODE.search(sms.text)
        codes = [each for each in self.incidents.values() if found is not None and each.code == found[1]]
        return codes[-1] if codes else None

    def _texts_owed(self) -> None:
        """Whoever waits unanswered is texted about: in time, and again and again."""
        helpers = self.day.helpers
        if not self.day.duty.numbers or not helpers.field.connected or not helpers.modem_works:
            return
        ready_ns = max(
            self._life_ns + STARTED_NS, self._boot_began_ns, helpers.field.connected_ns, helpers.modem_since_ns
        )
        for incident in self.incidents.values():
            if incident.kind == "panic" and incident.surely_open and not incident.answer_sent:
                if incident.began_ns >= self._boot_began_ns:
                    self._text_owed(incident, ready_ns)
                elif self._read_ns is not None:  # before, only a disk that hangs knows of it
                    self._text_owed(incident, max(ready_ns, self._read_ns))
        waiting = [each for each in self._open_touches if each.felt and not each.lost and each.incident_id is None]
        others = any(each.closed_ns is None or each.doubtful for each in self.incidents.values())
        if waiting and not others and not self.day.last_disk_trouble_ns() > self.now_ns - 60 * SECOND_NS:
            unheard = Incident("unheard", "panic", waiting[0].began_ns)
            unheard.texts = [at_ns for at_ns, _ in self._early_texts if at_ns > unheard.began_ns]
            self._text_owed(unheard, ready_ns)

    def _text_owed(self, incident: Incident, ready_ns: int) -> None:
        table = self.day.config.escalation
        allowed_s = table.unreceived_sms_s
        if incident.held_ns is not None:
            allowed_s = max(allowed_s, table.unanswered_sms_s)
        last_ns = incident.texts[-1] if incident.texts else 0
        if incident.texts:  # the pauses double: the next is as long as all before it, and one
            pause_s = table.sms_again_s + (last_ns - incident.began_ns) / SECOND_NS
            allowed_s = max(allowed_s, min(table.sms_longest_pause_s, pause_s))
        since_ns = max(incident.began_ns, last_ns, incident.told_ns, ready_ns)
        late_ns = self.now_ns - since_ns - int(allowed_s * SECOND_NS) - MODEM_NS
        if late_ns > 0:
            self.finding("nobody is texted", f"{incident}, {len(incident.texts)} texts, {late_ns / 1e9:.0f} s late")
            incident.texts.append(self.now_ns)  # told once

    # --- control rooms ---

    def _told(self, state: wire.State) -> None:
        """The unit's state as it leaves."""
        self._state, self._state_ns = state, self.now_ns
        self._isolation_told(state)
        for each in state.open_incidents:
            incident = self.incidents.get(each.incident_id)
            if incident is not None:
                self._asked(incident, each.asked)

    def _asked(self, incident: Incident, asked: tuple[str, ...]) -> None:
        """Whom the unit says it asks: only ever more, none twice, none before its time, nobody after an answer."""
        rooms = self.day.duty.rooms
        if len(set(asked)) != len(asked) or not set(asked) <= set(rooms) or (rooms and not asked):
            self.finding("the asked control rooms are not those of the configuration", f"{asked}")
        if incident.incident_id in self.live.handed:  # by an operator's word, in his order and at his time
            incident.asked = asked
            return
        if asked[: len(incident.asked)] != incident.asked and not incident.doubtful:
            self.finding("a control room is no longer asked", f"{incident.asked} {asked} {incident}")
        waited_ns = (len(asked) - 1) * int(self.day.config.escalation.unreceived_ask_next_s * SECOND_NS)
        if self.now_ns - incident.began_ns < waited_ns:
            self.finding("a control room is asked before its time", f"{asked} {incident}")
        answered_ns = incident.answered_ns
        grown = len(asked) > len(incident.asked) > 0
        if grown and answered_ns is not None and self.now_ns - answered_ns > SETTLED_NS and not incident.doubtful:
            self.finding("a control room is asked after an answer", f"{asked} {incident}")
        if asked and not incident.asked and self.now_ns - incident.began_ns < SECOND_NS:
            self._first_asked(asked[0])
        incident.asked = asked

    def _first_asked(self, room: str) -> None:
        on_duty = Duty.on(self.day.duty.rooms, self.day.wall_ns())
        was_on_duty = Duty.on(self.day.duty.rooms, self.day.wall_ns() - DUTY_NS)
        sure = not self.clock_doubted and self.now_ns - self._life_ns > 120 * SECOND_NS and on_duty == was_on_duty
        if not sure or self._hung:
            return
        self.counts["first asked, hours known"] += 1
        first = next((each for each in self.day.duty.rooms if each in on_duty), next(iter(self.day.duty.rooms)))
        if room != first:
            self.finding("the first control room on duty is not the first asked", f"{room}, not {first}")

    def _asking(self) -> None:
        """Whoever waits unanswered: one control room more in each step of the timetable."""
        rooms, table = self.day.duty.rooms, self.day.config.escalation
        if not rooms or not self.day.well_since(self.now_ns - 60 * SECOND_NS):
            return
        from_ns = max(self._life_ns + STARTED_NS, self.day.faults.last_ns + 60 * SECOND_NS)
        for incident in self.incidents.values():
            if incident.kind != "panic" or not incident.surely_open or incident.answer_sent:
                continue
            waited_ns = self.now_ns - max(incident.began_ns, incident.told_ns, from_ns) - 10 * SECOND_NS
            owed = min(len(rooms), 1 + waited_ns // int(table.unanswered_ask_next_s * SECOND_NS))
            if len(incident.asked) < owed:
                self.finding("too few control rooms are asked", f"{incident.asked}, not {owed}: {incident}")
