"""States to test from: every stage of every kind, and what leads there."""

from collections.abc import Iterator

from unitd.model import events as ev
from unitd.model.incident import PRECEDENCE, STAGES, Kind, Routes, Settings, Stage, State
from unitd.model.step import step

S = 1_000_000_000
SETTINGS = Settings(
    panel_preset=1,
    test_every_ns=259_200 * S,
    routes=Routes(rooms=("council", "police")),  # text messages come for ever: test_routes has them
)
INCIDENT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
PRESS = "33333333-3333-4333-8333-333333333333"
SECOND = "44444444-4444-4444-8444-444444444444"


def pressed(press_id: str = PRESS, incident_id: str = INCIDENT, at_ns: int = 0) -> ev.Pressed:
    return ev.Pressed(press_id, incident_id, at_ns, 1_790_000_000_000_000, "synced")


def raised(kind: Kind, press_id: str = PRESS, incident_id: str = INCIDENT, at_ns: int = 0) -> ev.Raised:
    return ev.Raised(press_id, incident_id, kind, at_ns, 1_790_000_000_000_000, "synced")


WATCH = ev.WatchOrdered("w1", "Ann", "a fight", 300 * S)
ANNOUNCE = ev.WatchOrdered("w2", "Ann", "market closes", 60 * S, announce=True)
ORDERS: tuple[ev.Event, ...] = (
    ev.DialledBack(INCIDENT, "https://media/whip", "https://media/whep", "token"),
    ev.HandedOver(INCIDENT, "Ann", "police", "knife"),
    ev.SoundSet(INCIDENT, "Ann", True, True, True),
    ev.SoundSet(INCIDENT, "Ann"),
    ev.TextSent(INCIDENT, "Ann", "I can see you."),
    ev.SnapshotOrdered(INCIDENT),
)

WAY: dict[Stage, ev.Event] = {
    "sent": ev.BrokerAcked(PRESS),
    "received": ev.AlarmReceived((PRESS,)),
    "accepted": ev.Accepted(INCIDENT, "Ann"),
    "answered": ev.Answered(INCIDENT, "Ann"),
    "closing": ev.Closed(INCIDENT, "Ann", "genuine"),
}


def idle(now_ns: int = 0) -> State:
    """Armed and just heard."""
    state = step(State(), ev.ButtonState(True, False), now_ns, SETTINGS)
    return step(state, ev.Heard(), now_ns, SETTINGS)


def at(stage: Stage, kind: Kind = "panic") -> State:
    """An armed unit with one incident of `kind` at `stage`, reached one second a stage. Closed ones have left."""
    state = step(idle(), pressed() if kind == "panic" else raised(kind), 0, SETTINGS)
    for seconds, name in enumerate(STAGES[1 : STAGES.index(stage) + 1], start=1):
        if name == "closed":
            state = step(state, ev.Tick(), seconds * S + SETTINGS.post_roll_ns, SETTINGS)
        else:
            state = step(state, WAY[name], seconds * S, SETTINGS)
    return state


def every_state() -> Iterator[tuple[str, State]]:
    yield "new", State()
    yield "idle", idle()
    yield "stuck", step(idle(), ev.ButtonState(True, True), 0, SETTINGS)
    for kind in PRECEDENCE:
        for stage in STAGES:
            yield f"{kind} {stage}", at(stage, kind)
    yield "isolated", step(idle(), ev.Isolated("Max", "lamp", 100 * S), 0, SETTINGS)
    yield "night", step(idle(), ev.DutyKnown(("police",)), 0, SETTINGS)
    yield "escalated", step(at("sent"), ev.Tick(), 60 * S, SETTINGS)
    yield "watched", step(idle(), WATCH, 0, SETTINGS)
    yield "announcing", step(idle(), ANNOUNCE, 0, SETTINGS)
    yield (
        "muted",
        step(at("answered"), ev.SoundSet(INCIDENT, "Ann", mute_microphone=True, mute_horn=True), 6 * S, SETTINGS),
    )
    yield "quiet", step(at("received"), ev.SoundSet(INCIDENT, "Ann", quiet=True), 6 * S, SETTINGS)
    yield "handed over", step(at("answered"), ev.HandedOver(INCIDENT, "Ann", "police"), 6 * S, SETTINGS)
    yield "on the line", step(at("answered"), ev.OnLine(INCIDENT, True), 6 * S, SETTINGS)
    yield "panic during test", step(at("answered", "test"), pressed(SECOND, OTHER, 6 * S), 6 * S, SETTINGS)


def every_event() -> Iterator[ev.Event]:
    yield from (pressed(SECOND, OTHER), pressed(), raised("test", SECOND, OTHER), raised("tamper", SECOND, OTHER))
    yield from WAY.values()
    yield from (ev.Heard(), ev.Tick(), ev.ButtonState(True, True), ev.ButtonState(False, False))
    yield from (ev.DomeMoved(1, 0, 0, 10**12), ev.DomeStopped(), ev.DomeSent(3), ev.WarningOrdered("cctv"))
    yield from (ev.UploadOrdered("u", INCIDENT, "https://x/", "t", None), ev.UploadEnded("u"))
    yield from (ev.Extended(INCIDENT, "Ann", 10**12), ev.Isolated("Max", "", 10**12), ev.IsolationEnded("Max"))
    yield from (ev.DutyKnown(()), ev.DutyKnown(None), ev.ClockKnown(10**15), ev.SmsSent("nobody"))
    yield from (*ORDERS, WATCH, ANNOUNCE, ev.WatchEnded("Ann"), ev.SpeechOrdered("Stay back.", "pl"))
    yield from (ev.OnLine(INCIDENT, True), ev.OnLine(INCIDENT, False))
    yield from (ev.LockWritten(INCIDENT), ev.BrokerAcked("nobody"), ev.AlarmReceived(("nobody",)))
