"""The two timetables: who is asked, and to whom a text message goes, until received and until answered."""

import itertools
import random

import msgspec
import pytest

from unitd.model import events as ev
from unitd.model.incident import DutyNumber, Incident, Routes, Settings, State
from unitd.model.outputs import next_change_ns, outputs
from unitd.model.step import rebooted, step

S = 1_000_000_000
ROUTES = Routes(rooms=("council", "police", "region"), numbers=(DutyNumber("ann", "+441"), DutyNumber("bob", "+442")))
SETTINGS = Settings(routes=ROUTES)
PRESS = ev.Pressed("p1", "i1", 0, 0, "unknown")


class Life:
    """A state carried along by the instants that it asks for itself, as core does."""

    def __init__(self, settings: Settings = SETTINGS, state: State | None = None) -> None:
        self.settings, self.state, self.now_ns = settings, state or State(boot=1), 0

    def apply(self, event: ev.Event) -> "Life":
        self.state = step(self.state, event, self.now_ns, self.settings)
        return self

    def until(self, seconds: float) -> "Life":
        end_ns = int(seconds * S)
        while (due_ns := next_change_ns(self.state, self.now_ns, self.settings)) is not None and due_ns <= end_ns:
            self.now_ns = due_ns
            self.apply(ev.Tick())
        self.now_ns = end_ns
        return self.apply(ev.Tick())

    @property
    def incident(self) -> Incident:
        return self.state.incidents[0]

    def sms(self) -> list[str]:
        return [goal.number for _, goal in outputs(self.state, self.now_ns, self.settings).sms]

    def take_sms(self) -> list[str]:
        """What the modem would send now, sent."""
        goals = outputs(self.state, self.now_ns, self.settings).sms
        for _, goal in goals:
            self.apply(ev.SmsSent(goal.sms_id))
        return [goal.number for _, goal in goals]


def test_rooms_that_were_renamed_meanwhile_are_asked_too() -> None:
    before = Life().apply(PRESS).until(30)
    renamed = Settings(routes=msgspec.structs.replace(ROUTES, rooms=("county", "force")))
    after = Life(renamed, before.state).until(90)
    assert after.incident.asked[3:] == ("county", "force")


def test_unreceived_asks_one_room_after_the_other() -> None:
    life = Life().apply(PRESS)
    assert life.incident.asked == ("council",)
    assert life.until(14.9).incident.asked == ("council",)
    assert life.until(15).incident.asked == ("council", "police")
    assert life.until(30).incident.asked == ("council", "police", "region")
    assert life.until(3000).incident.asked == ("council", "police", "region")


def test_received_waits_for_an_answer_before_the_next_room() -> None:
    life = Life().apply(PRESS).until(2).apply(ev.AlarmReceived(("p1",)))
    assert life.until(46.9).incident.asked == ("council",)
    assert life.until(47).incident.asked == ("council", "police")
    assert life.until(92).incident.asked == ("council", "police", "region")


def test_answered_asks_nobody_else() -> None:
    life = Life().apply(PRESS).until(10).apply(ev.Answered("i1", "Ann"))
    assert life.until(4000).incident.asked == ("council",)
    assert life.sms() == []


def test_accepted_but_not_answered_goes_on_asking() -> None:
    life = Life().apply(PRESS).until(10).apply(ev.Accepted("i1", "Ann"))
    assert life.until(200).incident.asked == ("council", "police", "region")


def test_those_on_duty_come_first() -> None:
    life = Life().apply(ev.DutyKnown(("police", "bob"))).apply(PRESS)
    assert life.incident.asked == ("police",)
    assert life.until(30).incident.asked == ("police", "council", "region")
    assert life.sms() == ["+442"]


def test_when_no_number_is_on_duty_all_are_told() -> None:
    life = Life().apply(ev.DutyKnown(("council",))).apply(PRESS).until(30)
    assert life.sms() == ["+441", "+442"]


def test_a_change_of_duty_takes_no_asked_room_back() -> None:
    life = Life().apply(ev.DutyKnown(("council",))).apply(PRESS).apply(ev.DutyKnown(("police",)))
    assert life.incident.asked == ("council",)


def test_messages_come_again_with_longer_pauses_for_ever() -> None:
    life = Life(Settings(routes=ROUTES)).apply(PRESS)
    at = []
    for second in range(1, 40_000, 1):
        life.until(second)
        if life.take_sms():
            at.append(second)
    assert at[:5] == [30, 330, 930, 2130, 4530]
    assert all(b - a == 3600 for a, b in itertools.pairwise(at[4:]))
    assert len(at) > 10


def test_a_message_that_has_not_left_is_not_wanted_twice() -> None:
    life = Life().apply(PRESS).until(3000)
    assert life.sms() == ["+441", "+442"]


def test_received_takes_back_what_said_not_received_and_starts_the_other_timetable() -> None:
    life = Life().apply(PRESS).until(31)
    assert life.sms() == ["+441", "+442"]
    life.apply(ev.AlarmReceived(("p1",)))
    assert life.sms() == []
    assert life.until(120.9).sms() == []
    assert life.until(121).sms() == ["+441", "+442"]
    assert all(goal.received for _, goal in outputs(life.state, life.now_ns, SETTINGS).sms)


@pytest.mark.parametrize("kind", ["test", "tamper", "intrusion"])
def test_no_message_for_machines_and_tests(kind: str) -> None:
    life = Life().apply(ev.Raised("p1", "i1", kind, 0, 0, "unknown"))  # type: ignore[arg-type]
    assert life.until(5000).sms() == []
    assert len(life.incident.asked) == 3


def test_a_message_has_the_same_id_after_a_restart() -> None:
    life = Life().apply(PRESS).until(30)
    again = Life(state=msgspec.json.decode(msgspec.json.encode(life.state), type=State))
    again.now_ns = life.now_ns
    again.apply(ev.Tick())
    assert again.incident.sms == life.incident.sms


def test_a_power_cut_starts_the_waiting_afresh_and_loses_no_rung() -> None:
    life = Life().apply(PRESS).until(31)
    after = Life(state=rebooted(life.state, 2, 5 * S))
    after.now_ns = 5 * S
    after.apply(ev.Tick())
    assert after.incident.asked == ("council", "police", "region")
    assert after.sms() == ["+441", "+442"]


def test_time_is_cut_up_in_any_way_with_the_same_end() -> None:
    """Late ticks ask the same rooms as punctual ones."""
    for seed in range(200):
        rng = random.Random(seed)
        one, other = Life().apply(PRESS), Life().apply(PRESS)
        received_s = rng.uniform(0, 60)
        one.until(received_s).apply(ev.AlarmReceived(("p1",)))
        for _ in range(rng.randrange(6)):
            other.until(min(received_s, other.now_ns / S + rng.uniform(0, 20)))
        other.until(received_s).apply(ev.AlarmReceived(("p1",)))
        assert one.until(300).incident.asked == other.until(300).incident.asked, f"seed {seed}"


def test_without_routes_nothing_is_asked() -> None:
    life = Life(Settings()).apply(PRESS).until(5000)
    assert life.incident.asked == () and life.sms() == []
