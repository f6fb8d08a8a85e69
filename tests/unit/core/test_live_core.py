"""Core's part of the live call: commands judged, wishes made, events told, lines chained, the line watched."""

from typing import Any

import msgspec
import pytest

from tests.unit.core.desks import Clock
from unitd.config import BrokerTable, CallTable, CameraTable, Config, ControlRoomTable, EndpointTable, SoundTable
from unitd.core.commands import CommandDesk
from unitd.core.line_desk import LEFT_AFTER_NS, LineDesk
from unitd.core.live_commands import fitted
from unitd.core.live_events import Told, told
from unitd.core.panel import Panel
from unitd.core.settings import settings_of
from unitd.core.wishes import Wishes
from unitd.core.worker_events import LONGEST_WORDS, TEXT_PACE, WorkerEvents
from unitd.messages import control_room as wire
from unitd.messages import workers
from unitd.model import events as ev
from unitd.model.incident import State
from unitd.model.lamps import Lamps
from unitd.model.outputs import outputs
from unitd.model.step import step

INCIDENT = "11111111-1111-4111-8111-111111111111"
S = 1_000_000_000
CONFIG = Config(
    schema=1,
    brokers=(BrokerTable(name="a", host="a"), BrokerTable(name="b", host="b")),
    endpoints=tuple(EndpointTable(name=name, url=f"wss://{name}/") for name in ("shared", "council", "police")),
    call=CallTable(hosts=("media.example", "other.example:8443")),
    control_rooms=(
        ControlRoomTable(name="council", brokers=("a",), endpoints=("council",)),
        ControlRoomTable(name="police", brokers=("b",), endpoints=("police",)),
    ),
    cameras=(CameraTable(name="dome", main_url="rtsp://c/"),),
    sound=SoundTable(),
)
SETTINGS = settings_of(CONFIG)


class Unit:
    """A state that takes events at NOW, and the desk in front of it."""

    def __init__(self, config: Config = CONFIG, pressed: bool = True) -> None:
        self.now_ns = S
        self.state = State(boot=1)
        self.settings = settings_of(config)
        self.told: list[Told] = []
        self.desk = CommandDesk(
            7, lambda: self.now_ns // 1_000_000, lambda: self.state, self.apply, lambda name: name == "cctv",
            lambda: ev.Raised("t", "t", "test", self.now_ns, 0, "synced"), fitted=fitted(config),
            new_id=lambda: f"id-{self._seq}", mono_ns=lambda: self.now_ns,
        )  # fmt: skip
        self.wishes = Wishes(config)
        self._seq = 0
        if pressed:
            self.apply(ev.Pressed("p", INCIDENT, S, 0, "synced"))

    def apply(self, event: ev.Event) -> None:
        before = self.state
        self.state = step(before, event, self.now_ns, self.settings)
        self.told += told(before, self.state, self.settings)

    def order(self, kind: Any, via: str = "", by: str = "Ann", **fields: Any) -> wire.Reply:
        self._seq += 1
        command = kind(session=7, seq=self._seq, not_after_uptime_ms=10**9, by=by, **fields)
        return self.desk.take("operator", msgspec.json.encode(command), via)

    @property
    def desired(self) -> workers.Desired:
        return self.wishes(outputs(self.state, self.now_ns, self.settings), 1, 1)

    @property
    def call(self) -> workers.CallWanted:
        call = self.desired.call
        assert call is not None
        return call


# --- commands and wishes ----------------------------------------------------------------------------------------------


def test_dialling_back_raises_the_number_and_names_the_endpoint() -> None:
    unit = Unit()
    assert unit.order(wire.DialBack, incident_id=INCIDENT).result == "done"
    assert (unit.call.dial, unit.call.named) == (1, ())
    url, whep = "https://media.example/whip", "https://other.example:8443/whep"
    assert unit.order(wire.DialBack, incident_id=INCIDENT, url=url, whep_url=whep, token="t").result == "done"
    assert unit.call.dial == 2
    assert unit.call.named == (workers.NamedEndpoint(url=url, whep_url=whep, token="t"),)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"url": "https://evil.example/whip"}, "host evil.example is not in the unit's call.hosts"),
        ({"url": "https://media.example.evil.example/"}, "is not in the unit's call.hosts"),
        ({"url": "https://other.example/"}, "is not in the unit's call.hosts"),
        ({"url": "https://media.example@evil.example/"}, "a password does not belong in the URL"),
        ({"url": "https://media.example/", "whep_url": "https://evil.example/"}, "host evil.example is not"),
        ({"whep_url": "https://media.example/"}, "whep_url comes with a url"),
        ({"url": "https://media.example:x/"}, "this is no URL"),
        ({"url": "https://[/"}, "this is no URL"),
        ({"url": "https://"}, "https:// and a host"),
    ],
)
def test_a_host_that_the_site_does_not_allow_is_refused(fields: dict[str, str], reason: str) -> None:
    unit = Unit()
    reply = unit.order(wire.DialBack, incident_id=INCIDENT, **fields)
    assert (reply.result, reply.code) == ("refused", "impossible")
    assert reason in reply.reason
    assert unit.call.dial == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://media.example.:443/", "https://media.example:444\\@x/", "https://[::1]/", "https://xn--mdia-epa.example/",
        "https://media.example%2eevil.example/", "https://evil.example#media.example", "https://evil.example?media.example",
        "https://media.example\\.evil.example/",
    ],
)  # fmt: skip
def test_no_trick_makes_another_host_of_it(url: str) -> None:
    assert Unit().order(wire.DialBack, incident_id=INCIDENT, url=url).code == "impossible"


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://media.example/a\r\nHost: evil.example"}, {"url": "https://me\ndia.example/"},
        {"url": "https://media.example/\n"}, {"url": "https://media.example/ b"}, {"url": "https://\uff4dedia.example/"},
        {"url": "https://media.example/", "whep_url": "https://media.example/\x00"},
        {"url": "https://media.example/", "token": "t\r\nX: y"}, {"url": "https://media.example/", "token": "t\n"},
    ],
)  # fmt: skip
def test_what_would_go_into_a_request_and_is_no_url_or_token_is_malformed(fields: dict[str, str]) -> None:
    unit = Unit()
    assert unit.order(wire.DialBack, incident_id=INCIDENT, **fields).code == "malformed"
    upload = {"url": fields.get("whep_url", fields["url"]), "token": fields.get("token", "")}
    assert unit.order(wire.Upload, incident_id=INCIDENT, **upload).code == "malformed"
    assert (unit.call.dial, unit.desired.uploads) == (0, ())


def test_a_host_may_be_written_in_capitals() -> None:
    config = msgspec.structs.replace(CONFIG, call=CallTable(hosts=("Media.Example",)))
    assert Unit(config).order(wire.DialBack, incident_id=INCIDENT, url="https://MEDIA.example/w").result == "done"


def test_the_longest_of_everything_that_operators_may_say_is_one_line_for_the_workers() -> None:
    """A line that no worker would read takes all four from core."""
    unit = Unit()
    path, text = '"' * 1970, "\x01" * 300
    url, whep = f"https://media.example/{path}", f"https://media.example/{path}"
    for number in range(16):
        unit.order(
            wire.Upload, incident_id=INCIDENT, url=f"{url}{number}", token='"' * 500, camera='"' * 128
        )  # fmt: skip
        unit.order(wire.SendText, by="\x01" * 128, incident_id=INCIDENT, text="I" + text[1:])
        unit.order(wire.DialBack, incident_id=INCIDENT, url=f"{url}{number}", whep_url=whep, token='"' * 500)
    unit.order(wire.Speak, text="I" + text[1:])
    assert unit.order(wire.Upload, incident_id=INCIDENT, url=url, camera="c" * 129).code == "malformed"
    assert (len(unit.desired.uploads), len(unit.call.texts), len(unit.call.named)) == (16, 16, 4)
    assert len(msgspec.json.encode(unit.desired)) < workers.MAX_LINE_BYTES * 3 // 4


def test_a_hand_over_moves_the_call_and_is_told() -> None:
    unit = Unit()
    unit.order(wire.Answer, via="council", incident_id=INCIDENT)
    assert unit.call.endpoints[0] == "council"
    assert unit.order(wire.HandOver, incident_id=INCIDENT, room="police", note="knife").result == "done"
    assert unit.call.endpoints == ("police", "council", "shared")
    assert Told("handed_over", INCIDENT, {"by": "Ann", "room": "police", "note": "knife"}) in unit.told
    unit.now_ns += 45 * S
    unit.apply(ev.Tick())
    assert unit.told[-1] == Told("hand_over_unanswered", INCIDENT, {"by": "Ann", "room": "police"}, chained=True)


def test_an_unknown_room_is_refused_with_the_known_ones() -> None:
    reply = Unit().order(wire.HandOver, incident_id=INCIDENT, room="army")
    assert reply.reason == "no such control room: army (configured: council, police)"


def test_a_second_operator_who_answers_is_told() -> None:
    unit = Unit()
    unit.order(wire.Answer, incident_id=INCIDENT)
    unit.told.clear()
    unit.order(wire.Answer, by="Bob", incident_id=INCIDENT)
    [event] = unit.told
    assert (event.name, event.data["by"]) == ("incident_answered", "Bob")


def test_sound_is_a_level_in_the_wish_and_each_change_an_event() -> None:
    unit = Unit()
    unit.order(wire.Answer, incident_id=INCIDENT)
    assert (unit.call.microphone, unit.call.voices, unit.call.quiet) == (True, True, False)
    unit.told.clear()
    unit.order(wire.SetSound, incident_id=INCIDENT, mute_microphone=True, mute_horn=True, quiet=True)
    unit.order(wire.SetSound, incident_id=INCIDENT, mute_microphone=True, mute_horn=True, quiet=True)
    assert (unit.call.microphone, unit.call.voices, unit.call.quiet) == (False, False, True)
    assert unit.desired.sound.prompt is None
    data = {"by": "Ann", "mute_microphone": True, "mute_horn": True, "quiet": True}
    assert unit.told == [Told("sound_set", INCIDENT, data)]


def test_texts_go_to_the_call_with_their_numbers() -> None:
    unit = Unit()
    unit.told.clear()
    unit.order(wire.SendText, incident_id=INCIDENT, text="I can see you.")
    unit.order(wire.SendText, by="Bob", incident_id=INCIDENT, text="Stay.")
    assert [(each.number, each.by, each.text) for each in unit.call.texts] == [
        (1, "Ann", "I can see you."), (2, "Bob", "Stay."),
    ]  # fmt: skip
    assert [each.data["words"] for each in unit.told] == ["I can see you.", "Stay."]
    assert unit.order(wire.SendText, incident_id=INCIDENT, text=" \n").reason == "the text is empty"


def test_speech_and_warnings_share_their_numbers() -> None:
    unit = Unit(pressed=False)
    unit.order(wire.PlayWarning, name="cctv")
    unit.order(wire.Speak, text="Stay back.", language="pl")
    assert unit.desired.sound.warning == workers.WarningWanted(number=2, name="", speak="Stay back.", language="pl")


def test_a_picture_is_wanted_of_the_incident_that_is_served() -> None:
    unit = Unit()
    unit.order(wire.Snapshot, incident_id=INCIDENT)
    assert unit.desired.record.snapshot == 1
    assert unit.order(wire.Snapshot, incident_id=INCIDENT).reason == "pictures are being taken: wait a moment"
    unit.now_ns += 11 * S
    assert unit.desired.record.snapshot == 0


def test_a_watch_is_a_call_without_an_incident() -> None:
    unit = Unit(pressed=False)
    assert unit.order(wire.Watch, via="police", for_s=60, reason="a fight").result == "done"
    assert unit.desired.incident is None
    assert (unit.call.incident_id, unit.call.watch, unit.call.microphone, unit.call.voices) == (
        "id-1",
        True,
        False,
        False,
    )
    assert unit.call.endpoints == ("police", "shared")
    assert not unit.desired.sound.announce
    unit.order(wire.Announce, for_s=30, reason="a fight")
    assert (unit.call.incident_id, unit.call.microphone, unit.call.voices) == ("id-1", False, True)
    assert unit.desired.sound.announce
    unit.now_ns += 5 * S
    unit.order(wire.EndWatch, by="Bob")
    assert unit.desired.call is None
    assert [(each.name, each.chained) for each in unit.told] == [
        ("watch_began", True), ("watch_began", True), ("watch_ended", True),
    ]  # fmt: skip
    assert unit.told[-1].data == {"watch_id": "id-1", "watcher": "Ann", "by": "Bob", "reason": "", "seconds": 5}


def test_a_watch_is_never_shown_to_another_room_alone() -> None:
    rooms = (ControlRoomTable(name="council", brokers=("a",)), CONFIG.control_rooms[1])
    dark = Unit(msgspec.structs.replace(CONFIG, control_rooms=rooms, endpoints=CONFIG.endpoints[2:]), pressed=False)
    assert dark.order(wire.Watch, via="council", for_s=60, reason="a fight").reason == "no endpoint belongs to council"
    assert dark.desired.call is None
    assert dark.order(wire.Watch, via="police", for_s=60, reason="a fight").result == "done"
    assert dark.call.endpoints == ("police",)


def test_a_watch_without_a_reason_is_refused() -> None:
    unit = Unit(pressed=False)
    assert unit.order(wire.Watch, for_s=60, reason=" \t ").reason == "say why"
    assert unit.order(wire.Announce, for_s=60, reason="    ").reason == "say why"


def test_an_incident_tells_that_the_watch_has_ended() -> None:
    unit = Unit(pressed=False)
    unit.order(wire.Watch, for_s=60, reason="a fight")
    unit.apply(ev.Pressed("p", INCIDENT, S, 0, "synced"))
    assert unit.told[-1].data["reason"] == "an incident began"
    assert (unit.call.incident_id, unit.call.watch) == (INCIDENT, False)
    assert unit.order(wire.Watch, for_s=60, reason="a fight").reason == "the call shows it"
    assert unit.order(wire.Announce, for_s=60, reason="a fight").reason == "answer opens the voices"


def test_what_is_not_fitted_is_refused() -> None:
    bare = Unit(Config(schema=1, brokers=CONFIG.brokers), pressed=False)
    assert bare.order(wire.Speak, text="x").reason == "no sound card is fitted"
    assert bare.order(wire.PlayWarning, name="cctv").reason == "no sound card is fitted"
    assert bare.order(wire.Watch, for_s=1, reason="why").reason == "no endpoint is configured"
    bare.apply(ev.Pressed("p", INCIDENT, S, 0, "synced"))
    assert bare.order(wire.DialBack, incident_id=INCIDENT).reason == "no endpoint is configured"
    assert bare.order(wire.Snapshot, incident_id=INCIDENT).reason == "no camera is fitted"


def test_a_maintainer_may_not_watch() -> None:
    command = wire.Watch(session=7, seq=1, not_after_uptime_ms=10**9, by="Meg", for_s=60, reason="curious")
    assert Unit(pressed=False).desk.take("maintainer", msgspec.json.encode(command)).code == "malformed"


def test_an_outcome_reaches_the_state_whatever_it_is() -> None:
    for outcome in ("genuine", "hoax", "test", "fault", "unknown"):
        unit = Unit()
        unit.order(wire.Close, incident_id=INCIDENT, outcome=outcome, note="n")
        [incident] = unit.state.incidents
        assert (incident.outcome, incident.note, incident.closed_by) == (outcome, "n", "Ann")


def test_a_long_call_is_told_of_with_the_time_to_its_limit() -> None:
    unit = Unit()
    unit.order(wire.Answer, incident_id=INCIDENT)
    unit.now_ns += 1800 * S
    unit.apply(ev.Tick())
    assert unit.told[-1] == Told(
        "call_time_warning", INCIDENT, {"seconds": 1800, "closes_in_s": 14_400 - 1800, "on_line": False}
    )


# --- who is on the line -----------------------------------------------------------------------------------------------


class Line:
    def __init__(self) -> None:
        self.unit, self.clock = Unit(), Clock()
        self.facts: dict[str, Any] = {}
        self.desk = LineDesk(lambda: self.facts, lambda: self.unit.state, self.unit.apply, self.clock)

    def seen(self, after_s: float, **facts: Any) -> bool:
        self.clock.now_ns += int(after_s * S)
        self.facts = facts
        self.desk.look()
        return self.unit.state.incidents[0].guard.on_line


def test_a_console_that_is_connected_is_on_the_line_and_a_short_loss_is_none() -> None:
    line = Line()
    assert not line.seen(0, peers=0, incident=INCIDENT)
    assert line.seen(1, peers=2, incident=INCIDENT)
    assert line.seen(29)
    assert not line.seen(LEFT_AFTER_NS / S - 29)
    assert line.seen(1, peers=1, incident=INCIDENT)


@pytest.mark.parametrize(
    "facts", [{}, {"peers": 1}, {"peers": 1, "incident": "another"}, {"peers": "x", "incident": INCIDENT}]
)
def test_who_is_not_in_this_call_is_not_on_its_line(facts: dict[str, Any]) -> None:
    assert not Line().seen(1, **facts)


# --- what workers tell ------------------------------------------------------------------------------------------------


class Desk:
    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.applied: list[ev.Event] = []
        self.lost = 0
        self.desk = WorkerEvents(
            self.applied.append, lambda event: self.told.append(("still", event)),
            lambda name, **fields: self.told.append((name, fields)),
            lambda name, *fields: self.told.append((name, fields)), self, self.clock,
        )  # fmt: skip

    def add(self, kind: str, *, once: object = None, **fields: Any) -> None:
        self.lines.append({"kind": kind, **fields})

    def count_lost(self) -> None:
        self.lost += 1

    def take(self, worker: str, name: str, /, **data: Any) -> None:
        self.desk.take(worker, workers.Event(name=name, mono_ns=5, incident_id=INCIDENT, data=data))


def test_a_caller_s_line_is_an_event_and_a_line_of_the_chain() -> None:
    desk = Desk()
    desk.take("call", "text", **{"from": "caller", "by": "", "words": "someone is following me"})
    [(name, fields)] = desk.told
    assert (name, fields["data"]["from"], fields["data"]["words"]) == ("text", "caller", "someone is following me")
    [line] = desk.lines
    assert (line["kind"], line["event"], line["incident_id"]) == ("call", "text", INCIDENT)
    assert (line["from"], line["words"]) == ("caller", "someone is following me")


def test_a_flood_of_lines_is_bounded_and_counted() -> None:
    desk = Desk()
    for _ in range(TEXT_PACE.burst + 40):
        desk.take("call", "text", **{"from": 7, "by": "x" * 5000, "words": "y" * 5000})
    assert len(desk.told) == len(desk.lines) == TEXT_PACE.burst
    assert (desk.desk.texts_dropped, desk.lost) == (40, 40)
    assert desk.lines[0]["from"] == "operator"
    assert len(desk.lines[0]["words"]) == LONGEST_WORDS


@pytest.mark.parametrize("name", ["warning_played", "spoken", "speak_failed"])
def test_what_came_out_of_the_horn_is_on_the_record(name: str) -> None:
    desk = Desk()
    desk.take("call", name, number=3, name="cctv", words="Stay back.", language="en", event="x", kind="y")
    [line] = desk.lines
    assert (line["event"], line["number"], line["words"]) == (name, 3, "Stay back.")
    assert desk.told[0][0] == name
    desk.take("record", name, number=3)
    assert len(desk.lines) == 1


def test_a_call_process_gone_mad_fills_no_record() -> None:
    desk = Desk()
    for _ in range(TEXT_PACE.burst + 40):
        desk.take("call", "spoken", number=2**62, words="y" * 5000, language="z" * 5000, error=1.5)
    assert len(desk.lines) == TEXT_PACE.burst
    assert desk.lost == 40
    assert (desk.lines[0]["number"], desk.lines[0]["error"], len(desk.lines[0]["language"])) == (
        0,
        "1.5",
        LONGEST_WORDS,
    )
    desk = Desk()
    for name in ("text", "spoken"):
        desk.desk.take("call", workers.Event(name=name, mono_ns=-(2**60), incident_id="i" * 9999, data={"words": "x"}))
    assert [(line["at_mono_ns"], len(line["incident_id"])) for line in desk.lines] == [(0, 64), (0, 64)]


def test_other_events_go_their_ways() -> None:
    desk = Desk()
    desk.take("record", "upload_done", upload_id="u")
    desk.take("field", "sms_sent", sms_id="s")
    desk.take("record", "segment_closed")
    desk.take("record", "still")
    assert desk.applied == [ev.UploadEnded("u"), ev.SmsSent("s")]
    assert [name for name, _ in desk.told] == ["upload_done", "sms_sent", "still"]
    assert desk.lines == []


# --- the panel --------------------------------------------------------------------------------------------------------


def test_a_press_in_a_quiet_call_lights_the_lamp_and_makes_no_sound() -> None:
    class Lamp:
        level = "off"

        def show(self, level: str) -> None:
            self.level = level

        def close(self) -> None: ...

    panel, sounder, yellow = Panel(), Lamp(), Lamp()
    panel.fit("sounder", sounder)
    panel.fit("yellow", yellow)
    panel.show(Lamps("off", "off", "steady"), False, True)
    panel.first_light()
    assert (yellow.level, sounder.level) == ("flashing", "off")
    panel.show(Lamps("off", "off", "steady"), False)
    assert sounder.level == "steady"
