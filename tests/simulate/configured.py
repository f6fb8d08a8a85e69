"""The unit's configuration in a day: who is asked, texted and tested differs from seed to seed."""

import random
from dataclasses import dataclass

from tests.simulate import life
from tests.simulate.live_orders import MEDIA
from tests.simulate.memory_disk import ROOT, VOLATILE
from unitd import config as configuration

ROOMS = ("north", "south", "west")
NUMBERS = ("+447700900101", "+447700900102")
DAY_H = 24


@dataclass(frozen=True)
class Hours:
    """Of each day, from one full hour up to another; the zone of the pole is UTC in the simulated month."""

    start_h: int
    end_h: int

    def __str__(self) -> str:
        return f"daily {self.start_h:02}:00-{self.end_h:02}:00"

    def within(self, wall_ns: int) -> bool:
        hour = wall_ns // 3_600_000_000_000 % DAY_H
        return (hour - self.start_h) % DAY_H < (self.end_h - self.start_h) % DAY_H


@dataclass(frozen=True)
class Duty:
    """Who has which hours, by name; None is always."""

    rooms: dict[str, Hours | None]
    numbers: dict[str, Hours | None]
    tests: Hours | None

    @staticmethod
    def on(hours: dict[str, Hours | None], wall_ns: int) -> set[str]:
        return {name for name, each in hours.items() if each is None or each.within(wall_ns)}


def drawn(chance: random.Random, unit: str, brokers: list[str]) -> tuple[configuration.Config, Duty]:
    """A configuration of this seed, and its hours as a judge reads them."""
    duty = Duty(
        {name: _hours(chance) for name in ROOMS[: chance.choice((0, 1, 2, 3, 3))]},
        {number: _hours(chance) for number in NUMBERS[: chance.choice((0, 1, 2, 2))]},
        chance.choice((None, Hours(6, 20))),
    )
    again_s = chance.choice((300.0, 60.0))
    return configuration.Config(
        schema=1,
        unit=configuration.UnitTable(id=unit),
        paths=configuration.PathsTable(state_dir=ROOT + "/state", run_dir=VOLATILE, evidence_dir=ROOT + "/evidence"),
        clock=configuration.ClockTable(synchronized_file=life.SYNCHRONIZED),
        brokers=tuple(configuration.BrokerTable(name=name, host="broker") for name in brokers),
        endpoints=(configuration.EndpointTable(name="console", url="wss://console/unit"),),
        call=configuration.CallTable(hosts=(MEDIA,)),
        cameras=(configuration.CameraTable(name="dome", main_url="rtsp://camera/main"),),
        sound=configuration.SoundTable(site_dir=ROOT + "/sounds"),
        control_rooms=tuple(
            configuration.ControlRoomTable(name=name, hours=_lines(each)) for name, each in duty.rooms.items()
        ),
        duty_numbers=tuple(
            configuration.DutyNumberTable(name=f"duty-{number[-1]}", number=number, hours=_lines(each))
            for number, each in duty.numbers.items()
        ),
        modem=configuration.ModemTable(port="/dev/modem") if duty.numbers else None,
        escalation=configuration.EscalationTable(sms_again_s=again_s, sms_longest_pause_s=12 * again_s),
        test_alarm=configuration.TestAlarmTable(
            every_s=chance.choice((None, 7200.0, 21_600.0)), answer_within_s=300.0, hours=_lines(duty.tests)
        ),
        incident=configuration.IncidentTable(close_after_s=chance.choice((None, 3600.0, 14_400.0))),
    ), duty


def _hours(chance: random.Random) -> Hours | None:
    return chance.choice((None, Hours(8, 20), Hours(20, 8)))


def _lines(hours: Hours | None) -> tuple[str, ...]:
    return () if hours is None else (str(hours),)
