"""Alarms and replies, and what came to the control rooms: every alarm has a cause, every press one id."""

import msgspec

from tests.simulate.book import SECOND_NS
from tests.simulate.judge_upkeep import UpkeepJudge
from tests.simulate.ledger import Incident, Touch
from unitd.messages import control_room as wire


class SentJudge(UpkeepJudge):
    def published(self, broker: str, topic: str, payload: bytes) -> None:
        if len(payload) > wire.MAX_PAYLOAD_BYTES:
            self.finding("a payload is too large", f"{topic} {len(payload)}")
        what = topic.rpartition("/")[2]
        if what == "alarm":
            self._alarm(msgspec.json.decode(payload, type=wire.Alarm))
        elif what == "reply":
            self._reply(msgspec.json.decode(payload, type=wire.Reply))
        elif what == "state":
            self._told(msgspec.json.decode(payload, type=wire.State))
        elif what == "beat":
            self.counts["heartbeats"] += 1

    def _alarm(self, alarm: wire.Alarm) -> None:
        """Every sending of an alarm: it must have a cause, and one press keeps one id."""
        self.counts["alarm messages"] += 1
        incident = self.incidents.get(alarm.incident_id)
        self._isolation(alarm)
        if incident is not None:
            self._asked(incident, alarm.asked)
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
            raised_ns = self._raised_ns(alarm.pressed.mono_ns)
            if alarm.origin == "periodic":
                self._periodic_test(raised_ns)
            every_s = self.day.config.test_alarm.every_s
            periodic = 0 if every_s is None else 1 + self._boot + self.now_ns // int(every_s * 1e9)
            if len(self._test_alarms) > self._tests_allowed + periodic:
                self.finding("a test alarm that nobody ordered", alarm.press_id)
            began_ns = raised_ns
        else:
            self.finding("an alarm of a kind that nothing raised", alarm.kind)
            return
        if incident is None:
            incident = self.incidents[alarm.incident_id] = Incident(alarm.incident_id, alarm.kind, began_ns)
            incident.periodic, incident.code = alarm.origin == "periodic", alarm.code
            incident.texts = [at_ns for at_ns, code in self._early_texts if code == alarm.code]
            self.counts["incidents"] += 1
            self._asked(incident, alarm.asked)
        incident.presses.add(alarm.press_id)
        incident.active_ns = max(incident.active_ns, began_ns)

    def _cause(self, alarm: wire.Alarm) -> Touch | None:
        mono_ns = alarm.pressed.mono_ns
        for booted_ns, from_ns, until_ns in reversed(self._boots):
            if from_ns <= mono_ns + booted_ns <= min(until_ns, self.now_ns):
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
                if from_ns <= mono_ns + booted_ns <= min(until_ns, self.now_ns) and touch.covers(mono_ns + booted_ns)
            ),
            touch.began_ns,
        )

    def _raised_ns(self, mono_ns: int) -> int:
        """When in the day a test was raised: before a power cut, if no broker could be told of it until now."""
        return next(
            (
                mono_ns + booted_ns
                for booted_ns, from_ns, until_ns in reversed(self._boots)
                if from_ns <= mono_ns + booted_ns <= min(until_ns, self.now_ns)
            ),
            max(self._boot_began_ns, min(self.now_ns, mono_ns + self._boot_ns)),
        )

    def _reply(self, reply: wire.Reply) -> None:
        key = (reply.session, reply.seq)
        answer = (reply.result, reply.reason)
        if key not in self._replies and key in self._orders and reply.code not in ("late", "replayed"):
            self._heard_ns = self.now_ns
        again = key in self._replies
        known = self._replies.setdefault(key, answer)
        if known != answer and known[0] == "done" and reply.seq >= 0:
            self.finding("one command answered in two ways", f"{key}: {known} then {answer}")
        order = self._orders.get(key)
        if order is None or reply.result != "done":
            if order is not None and isinstance(order[0], wire.Close) and self._knows_better(reply):
                self._closed_now(order[0].incident_id)
            return
        command = order[0]
        if again:
            return
        self.live.done(command)
        if isinstance(command, wire.Close):
            self._closed_now(command.incident_id)
        elif isinstance(command, wire.Answer):
            incident = self.incidents.get(command.incident_id)
            if incident is not None and incident.answered_ns is None:
                incident.answered_ns = self.now_ns
        elif isinstance(command, wire.Extend):
            incident = self.incidents.get(command.incident_id)
            if incident is not None:
                incident.extended_ns = self.now_ns + command.for_s * SECOND_NS
        elif isinstance(command, wire.Isolate | wire.EndIsolation) and reply.seq < self._isolation_order:
            return  # obeyed before the last one, and answered only now
        elif isinstance(command, wire.Isolate):
            self._isolation_order = reply.seq
            self._isolated_until_ns, self._isolation_doubt = self.now_ns + command.for_s * SECOND_NS, False
            self._isolated_ns = self.now_ns
            self.counts["isolations"] += 1
        elif isinstance(command, wire.EndIsolation):
            self._isolation_order = reply.seq
            self._isolated_until_ns, self._isolation_doubt = None, False
        incident = self.incidents.get(getattr(command, "incident_id", ""))
        if incident is not None:
            incident.step_ns = self.now_ns

    def _knows_better(self, reply: wire.Reply) -> bool:
        """What it was to close is closed. `No such incident` is no last word of a unit whose disk is unsound."""
        sound_ns = max(self._life_ns, self.day.last_disk_trouble_ns()) + 60 * SECOND_NS
        return "already" in reply.reason or (reply.code == "impossible" and self.now_ns > sound_ns)

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
        if event.name in ("checkpoint", "lock_released"):
            self.counts[event.name] += 1
        for wrong in self.evidence.told(event.name, event.incident_id, event.data):
            self.finding("evidence", wrong)

    def ordered(self, command: wire.Command, role: str) -> None:
        """An operator has given an order; when it takes effect nobody knows before the reply."""
        self._orders[command.session, command.seq] = (command, role)
        self.live.ordered(command)
        if isinstance(command, wire.RaiseTest):
            self._tests_allowed += 1
        incident = self.incidents.get(getattr(command, "incident_id", ""))
        if incident is not None:
            incident.taken_up = True
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
                    if press_id in incident.presses:
                        incident.told_ns = self.now_ns
                        if incident.delivered_ns is None:
                            incident.delivered_ns = self.now_ns
