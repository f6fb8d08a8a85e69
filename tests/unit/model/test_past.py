"""Earlier calls are counted for the operator to see, and change nothing else."""

import msgspec

from tests.unit.model.test_routes import Life
from unitd.model import events as ev
from unitd.model.incident import Settings
from unitd.model.outputs import outputs
from unitd.model.past import KEPT
from unitd.model.step import rebooted

S = 1_000_000_000
HOUR_S = 3600
SETTINGS = Settings(post_roll_ns=S)


def call(life: Life, name: str, outcome: str = "hoax", clock: str = "unknown", utc_us: int = 0) -> Life:
    life.apply(ev.Pressed(f"p-{name}", name, life.now_ns, utc_us, clock))
    life.apply(ev.AlarmReceived((f"p-{name}",)))
    return life.apply(ev.Closed(name, "Ann", outcome)).until(life.now_ns / S + 2)  # type: ignore[arg-type]


def test_hoaxes_of_a_day_are_counted() -> None:
    life = call(call(Life(SETTINGS), "a"), "b", "genuine")
    life.apply(ev.Pressed("p", "c", life.now_ns, 0, "unknown"))
    assert (life.incident.recent, life.incident.recent_hoaxes) == (2, 1)


def test_yesterday_does_not_count() -> None:
    life = call(Life(SETTINGS), "a").until(25 * HOUR_S)
    life.apply(ev.Pressed("p", "c", life.now_ns, 0, "unknown"))
    assert life.incident.recent == 0


def test_over_a_power_cut_only_by_clocks_that_can_be_trusted() -> None:
    for clock, expected in (("synced", 1), ("unknown", 0)):
        life = call(Life(SETTINGS), "a", clock=clock, utc_us=10**15)
        after = Life(SETTINGS, rebooted(life.state, 2, 0))
        after.apply(ev.Pressed("p", "c", 0, 10**15 + HOUR_S * 1_000_000, "synced"))
        assert after.incident.recent == expected, clock


def test_a_hundred_hoaxes_change_no_output() -> None:
    """Hoax handling never suppresses: the outputs of the next call are those of a unit that was never called."""
    life = Life(SETTINGS)
    for number in range(100):
        call(life, f"i{number}")
    life.until(life.now_ns / S + 10)
    fresh = Life(SETTINGS)
    fresh.now_ns = life.now_ns
    for each in (life, fresh):
        each.apply(ev.Pressed("p", "c", life.now_ns, 0, "unknown"))
    assert life.incident.recent == KEPT
    told = outputs(life.state, life.now_ns, SETTINGS)
    plain = outputs(fresh.state, fresh.now_ns, SETTINGS)
    for name in ("lamps", "sounder", "prompt", "call", "microphone", "in_incident", "dome", "sms"):
        assert getattr(told, name) == getattr(plain, name), name
    assert [msgspec.structs.replace(i, recent=0, recent_hoaxes=0, boot=0) for i, _ in told.alarms] == [
        msgspec.structs.replace(i, boot=0) for i, _ in plain.alarms
    ]
