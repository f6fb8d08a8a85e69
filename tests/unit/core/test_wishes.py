"""What core wants of its workers: where the call goes, and what a text message says."""

from unitd.config import BrokerTable, Config, ControlRoomTable, EndpointTable, SiteTable
from unitd.core.settings import settings_of
from unitd.core.wishes import Wishes, code_of
from unitd.model import events as ev
from unitd.model.incident import DutyNumber, Routes, Settings, State
from unitd.model.outputs import outputs
from unitd.model.step import step

S = 1_000_000_000
CONFIG = Config(
    schema=1,
    site=SiteTable(name="Market Square"),
    brokers=(BrokerTable(name="a", host="a"), BrokerTable(name="b", host="b")),
    endpoints=tuple(EndpointTable(name=name, url=f"wss://{name}/") for name in ("shared", "council", "police")),
    control_rooms=(
        ControlRoomTable(name="council", brokers=("a",), endpoints=("council",)),
        ControlRoomTable(name="police", brokers=("b",), endpoints=("police",)),
    ),
)
SETTINGS = settings_of(CONFIG)
PRESS = ev.Pressed("p1", "0123abcd-0000-4000-8000-000000000000", 0, 0, "unknown")


def dialled(*steps: tuple[float, ev.Event], config: Config = CONFIG, settings: Settings = SETTINGS) -> tuple[str, ...]:
    state, now_ns = State(boot=1), 0
    for seconds, event in steps:
        now_ns = int(seconds * S)
        state = step(state, event, now_ns, settings)
    call = Wishes(config)(outputs(state, now_ns, settings), 1, 1).call
    assert call is not None
    return call.endpoints


def test_the_call_goes_to_the_room_that_was_asked_last() -> None:
    assert dialled((0, PRESS)) == ("council", "shared")
    assert dialled((0, PRESS), (15, ev.Tick())) == ("police", "council", "shared")


def test_the_call_goes_to_the_room_that_takes_it() -> None:
    incident_id = PRESS.incident_id
    asked_both = ((0, PRESS), (15, ev.Tick()))
    assert dialled(*asked_both, (16, ev.Accepted(incident_id, "Ann", "council")))[0] == "council"
    assert dialled(*asked_both, (16, ev.Answered(incident_id, "Bob", "police")))[0] == "police"


def test_without_rooms_the_configured_order_stands() -> None:
    config = Config(schema=1, brokers=CONFIG.brokers, endpoints=CONFIG.endpoints)
    assert dialled((0, PRESS), config=config, settings=settings_of(config)) == ()


def test_a_text_message_names_the_place_and_the_code_of_the_alarm() -> None:
    settings = Settings(routes=Routes(numbers=(DutyNumber("ann", "+441"),)))
    state = step(step(State(boot=1), PRESS, 0, settings), ev.Tick(), 30 * S, settings)
    [message] = Wishes(CONFIG)(outputs(state, 30 * S, settings), 1, 1).sms
    assert "Market Square" in message.text
    assert code_of(state.incidents[0]) == "0123AB"
    assert "0123AB" in message.text
    assert "not received" in message.text
