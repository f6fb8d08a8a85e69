"""The judge: written from the requirements, knows nothing of the product's model, and looks at every change.

It keeps a ledger of what people did at the button, what the control rooms hold and what operators ordered, and compares
lamps, words, the microphone and what is sent with that. A rule that may be broken for a moment (a core that starts, a
press in the making) says for how long.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulate.ledger import BOUNCE_NS, GLITCH_NS, SURE_NS, Incident, Touch
from tests.simulate.memory_disk import ROOT, VOLATILE
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
MOST_KEPT = 64
MOST_IN_MEMORY = 520
"""The largest bound that the product sets itself is 500 (calls that wait for the disk)."""


class Checker:
    def __init__(self, day: "Day") -> None:
        self.day = day
        self.findings: list[str] = []
        self.counts: Counter[str] = Counter()
        self.touches: list[Touch] = []
        self.incidents: dict[str, Incident] = {}
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

    @property
    def now_ns(self) -> int:
        return self.day.timeline.now_ns

    def finding(self, rule: str, detail: str) -> None:
        """A requirement was broken."""
        if len(self.findings) < 20:
            self.findings.append(f"{rule}: {detail} [at {self.now_ns}]")
            self.day.trace.say("FINDING", rule, detail)

    # --- the machine ---

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
                incident.doubtful = incident.closed_ns is None or now_ns - incident.closed_ns < 600 * SECOND_NS
            if refused or (incident.delivered_ns is not None and now_ns - incident.delivered_ns < 100 * MS_NS):
                incident.delivered_ns = None
                incident.answered_ns = None
        self._desired = None

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
                incident.doubtful = True
            if incident.closed_ns is not None and now_ns - incident.closed_ns < AFTER_CLOSE_NS:
                self._relit.append(incident)
            incident.delivered_ns = incident.answered_ns = None
        self._heard_ns = None

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

    # --- the button ---

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

    def _held_by_nobody(self, touch: Touch) -> bool:
        return not any(press in room.held for press in touch.alarms for room in self.day.rooms)

    def _beyond_kept(self, touch: Touch) -> bool:
        """One of so many presses that its incident's alarm went out long ago, and it only counts."""
        for incident in self.incidents.values():
            if incident.began_ns <= touch.began_ns and (
                incident.closed_ns is None or touch.began_ns < incident.closed_ns
            ):
                before = sum(incident.began_ns <= each.began_ns < touch.began_ns and each.felt for each in self.touches)
                if len(incident.presses) >= MOST_KEPT or before >= MOST_KEPT:
                    return True
        return False

    # --- what the unit sends ---

    def published(self, broker: str, topic: str, payload: bytes) -> None:
        if len(payload) > wire.MAX_PAYLOAD_BYTES:
            self.finding("a payload is too large", f"{topic} {len(payload)}")
        what = topic.rpartition("/")[2]
        if what == "alarm":
            self._alarm(msgspec.json.decode(payload, type=wire.Alarm))
        elif what == "reply":
            self._reply(msgspec.json.decode(payload, type=wire.Reply))
        elif what == "beat":
            self.counts["heartbeats"] += 1

    def _alarm(self, alarm: wire.Alarm) -> None:
        """Every sending of an alarm: it must have a cause, and one press keeps one id."""
        self.counts["alarm messages"] += 1
        incident = self.incidents.get(alarm.incident_id)
        if alarm.press_id in self._press_touch or alarm.press_id in self._test_alarms:
            return
        if alarm.kind == "panic":
            touch = self._cause(alarm)
            if touch is None:
                self.finding("an alarm without a cause", f"{alarm.press_id} pressed at {alarm.pressed.mono_ns}")
                return
            touch.alarms.add(alarm.press_id)
            if len(touch.alarms) > touch.answers:
                self.finding("one touch raised more than its alarms", f"touch {touch.number}: {sorted(touch.alarms)}")
            if touch.glitch:
                self.finding("a spark raised an alarm", f"touch {touch.number}, {touch.longest_ns} ns")
            self._press_touch[alarm.press_id] = touch
            touch.incident_id = alarm.incident_id
            began_ns = self._instant_ns(alarm.pressed.mono_ns, touch)
        elif alarm.kind == "test":
            self._test_alarms.add(alarm.press_id)
            every_s = self.day.config.test_alarm.every_s
            periodic = 0 if every_s is None else 1 + self._boot + self.now_ns // int(every_s * 1e9)
            if len(self._test_alarms) > self._tests_allowed + periodic:
                self.finding("a test alarm that nobody ordered", alarm.press_id)
            began_ns = self.now_ns
        else:
            self.finding("an alarm of a kind that nothing raised", alarm.kind)
            return
        if incident is None:
            incident = self.incidents[alarm.incident_id] = Incident(alarm.incident_id, alarm.kind, began_ns)
            self.counts["incidents"] += 1
        incident.presses.add(alarm.press_id)
        incident.active_ns = max(incident.active_ns, began_ns)

    def _cause(self, alarm: wire.Alarm) -> Touch | None:
        mono_ns = alarm.pressed.mono_ns
        for booted_ns, from_ns, until_ns in reversed(self._boots):
            if from_ns <= mono_ns + booted_ns <= until_ns:
                for touch in reversed(self.touches):
                    if touch.covers(mono_ns + booted_ns):
                        return touch
        return None

    def _instant_ns(self, mono_ns: int, touch: Touch) -> int:
        """When in the day the unit says the press was: a finger that leans through a restart is felt anew."""
        return next(
            (
                mono_ns + booted_ns
                for booted_ns, from_ns, until_ns in reversed(self._boots)
                if from_ns <= mono_ns + booted_ns <= until_ns and touch.covers(mono_ns + booted_ns)
            ),
            touch.began_ns,
        )

    def _reply(self, reply: wire.Reply) -> None:
        key = (reply.session, reply.seq)
        answer = (reply.result, reply.reason)
        if key not in self._replies and key in self._orders and reply.code != "late":
            self._heard_ns = self.now_ns
        known = self._replies.setdefault(key, answer)
        if known != answer and known[0] == "done" and reply.seq >= 0:
            self.finding("one command answered in two ways", f"{key}: {known} then {answer}")
        order = self._orders.get(key)
        if order is None or reply.result != "done":
            if order is not None and isinstance(order[0], wire.Close) and "already" in reply.reason:
                self._closed_now(order[0].incident_id)
            return
        command = order[0]
        if isinstance(command, wire.Close):
            self._closed_now(command.incident_id)
        elif isinstance(command, wire.Answer):
            incident = self.incidents.get(command.incident_id)
            if incident is not None and incident.answered_ns is None:
                incident.answered_ns = self.now_ns

    def _closed_now(self, incident_id: str) -> None:
        incident = self.incidents.get(incident_id)
        if incident is None:
            return
        if incident.closed_ns is None:
            incident.closed_ns = self.now_ns
        for touch in self._open_touches:
            if touch.incident_id is None and incident.began_ns <= touch.began_ns < self.now_ns - SECOND_NS:
                touch.incident_id = incident_id  # it only counted

    def event(self, event: wire.Event) -> None:
        self.counts["events"] += 1

    # --- the control room ---

    def ordered(self, command: wire.Command, role: str) -> None:
        """An operator has given an order; when it takes effect nobody knows before the reply."""
        self._orders[command.session, command.seq] = (command, role)
        if isinstance(command, wire.RaiseTest):
            self._tests_allowed += 1
        incident = self.incidents.get(getattr(command, "incident_id", ""))
        if incident is not None and isinstance(command, wire.Answer):
            incident.answer_sent = True
        if incident is not None and isinstance(command, wire.Close):
            incident.close_sent = True

    def held(self, room: str, alarm: wire.Alarm) -> None:
        if alarm.press_id not in self._press_touch and alarm.press_id not in self._test_alarms:
            self.finding("the control room holds an alarm that was never sent", alarm.press_id)
        incident = self.incidents.get(alarm.incident_id)
        if incident is not None and incident.held_ns is None:
            incident.held_ns = self.now_ns
        touch = self._press_touch.get(alarm.press_id)
        if touch is not None and touch in self._unheld:
            self._unheld.remove(touch)
            self.counts["presses delivered"] += 1

    def delivered(self, topic: str, payload: bytes) -> None:
        """A message reaches core; one that hangs reads nothing."""
        if self._hung:
            return
        if topic.endswith("/received"):
            try:
                received = msgspec.json.decode(payload, type=wire.Received)
            except msgspec.MsgspecError:
                return
            if received.press_ids or received.heard:
                self._heard_ns = self.now_ns
            for press_id in received.press_ids:
                for incident in self.incidents.values():
                    if press_id in incident.presses and incident.delivered_ns is None:
                        incident.delivered_ns = self.now_ns

    def texted(self, sms: worker_wire.SmsWanted) -> None:
        """A text message has left: only for a person who waits, or waited a moment ago."""
        self.counts["text messages"] += 1
        may, making = self._lit_by()
        if not making and not any(each.kind in ("panic", "voice") for each in may):
            self.finding("a text message though nobody called", sms.text)
        if len(sms.text) > 160:
            self.finding("a text message is too long", sms.text)

    # --- what may be shown ---

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
        if not any(each.held_ns is not None for each in self._serving(may)):
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
        may, making = self._lit_by()
        call, words = desired.call, desired.sound.prompt
        if call is not None and call.microphone:
            self.counts["times the microphone was wanted"] += 1
            if not making and not any(each.kind in MICROPHONE_IN for each in may):
                self.finding("the microphone is open outside an incident", call.incident_id)
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

    # --- what must be shown ---

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
            if each.felt and not each.lost and now_ns - each.began_ns > SETTLED_NS and each.incident_id is None
            and each in self._open_touches and not self._beyond_kept(each)
        ]  # fmt: skip
        open_panics = [each for each in may if each.kind == "panic" and each.surely_open and each.held_ns is not None]
        if (waiting or open_panics) and lamps["yellow"] == "off":
            self.finding("a caller is left in the dark", f"touches {[t.number for t in waiting][:5]} {open_panics[:1]}")
        if not may and not making:
            if self._desired is not None and self._desired.call is not None and self.day.helpers.call.connected:
                self.finding("a call is wanted though nobody called", self._desired.call.incident_id)
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
        ):
            waited_ns = now_ns - max(incident.began_ns, self._boot_ns)
            words = self._desired.sound.prompt
            if waited_ns > 70 * SECOND_NS and words != "still_trying" and now_ns - self._boot_ns > 75 * SECOND_NS:
                self.finding("a minute without an answer, and the caller is not told", f"{words}")
            if words is None:
                self.finding("a caller who waits hears nothing", incident.incident_id)

    def bounds(self) -> None:
        """Nothing in core's memory or on its disk grows without limit."""
        life, medium = self.day.pole.life, self.day.medium
        if life is None or life.core is None:
            return
        for name, size in sizes(life.core).items():
            if size > MOST_IN_MEMORY:
                self.finding("a queue is not bounded", f"{name} holds {size}")
        if len(medium.names) > 1500:
            self.finding("files pile up", str(len(medium.names)))
        if life.loop.most_ready > 5000:
            self.finding("callbacks pile up on the loop", str(life.loop.most_ready))
        for uplink in life.uplinks:
            if uplink.unacked > 200:
                self.finding("messages pile up at an uplink", str(uplink.unacked))

    # --- the end ---

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
        if any(each.kind == "test" and self.now_ns - each.began_ns < TEST_NS for each in self.incidents.values()):
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
        for incident in self.incidents.values():
            lock = medium.files(f"{ROOT}/state/locks").get(f"{incident.incident_id}.json")
            if incident.kind == "panic" and lock is None and not incident.doubtful:
                self.finding("no lock was written for an incident", str(incident))
            elif lock is not None and msgspec.json.decode(lock)["to_mono_ns"] is None:
                self.finding("an incident's lock was never completed", incident.incident_id)

    def _left_over(self) -> None:
        for directory in (f"{ROOT}/state/outbox", f"{VOLATILE}/latch"):
            left = [name for name in self.day.medium.files(directory) if name.endswith(".json")]
            if left:
                self.finding("something is left behind", f"{directory}: {left[:4]}")


def sizes(root: Any) -> dict[str, int]:
    """The lengths of all containers that hang on objects of the product below `root`, by class and attribute."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    queue = [root]
    while queue:
        thing = queue.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        for name, value in getattr(thing, "__dict__", {}).items():
            if hasattr(value, "__len__") and not isinstance(value, str | bytes | type):
                key = f"{type(thing).__name__}.{name}"
                found[key] = max(found.get(key, 0), len(value))
            if type(value).__module__.startswith("unitd.") and hasattr(value, "__dict__"):
                queue.append(value)
    return found
