"""The duty desk: whose hours these are, by the time that was found and by no other."""

import asyncio

import msgspec
import structlog

from unitd.config import Config, ControlRoomTable, DutyNumberTable, SiteTable
from unitd.core.duty import DutyDesk
from unitd.messages.control_room import Stamp
from unitd.model import events as ev
from unitd.model.incident import Settings, State
from unitd.model.step import step

CONFIG = Config(
    schema=1,
    site=SiteTable(timezone="Europe/London"),
    control_rooms=(ControlRoomTable(name="day", hours=("daily 08:00-18:00",)), ControlRoomTable(name="always")),
    duty_numbers=(DutyNumberTable(name="night", number="+441", hours=("daily 18:00-08:00",)),),
)
WINTER_NOON_US = 1_768_478_400_000_000
"""2026-01-15 12:00 UTC, a Thursday."""
SUMMER_0730_US = 1_784_100_600_000_000
"""2026-07-15 07:30 UTC: 08:30 in London."""


class Desk:
    def __init__(self, config: Config = CONFIG) -> None:
        self.state, self.truth_us, self.events = State(), None, 0  # type: ignore[var-annotated]
        self.applied = asyncio.Event()
        self.desk = DutyDesk(
            config, self, lambda: self.truth_us, lambda: self.state, self.apply, structlog.get_logger()
        )

    def mono_ns(self) -> int:
        return 5_000_000_000

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        raise AssertionError("the wall clock is not asked")

    def apply(self, event: ev.Event) -> None:
        self.events += 1
        self.applied.set()
        self.state = step(self.state, event, self.mono_ns(), Settings())

    def at(self, utc_us: int | None) -> tuple[str, ...] | None:
        self.truth_us = None if utc_us is None else utc_us - 5_000_000
        self.desk.look()
        return self.state.on_duty


def test_the_hours_are_local_and_follow_summer_time() -> None:
    desk = Desk()
    assert set(desk.at(WINTER_NOON_US) or ()) == {"day", "always", "test alarm"}
    assert set(desk.at(WINTER_NOON_US + 7 * 3_600_000_000) or ()) == {"always", "night"}
    assert "day" in (desk.at(SUMMER_0730_US) or ())
    assert "day" not in (desk.at(SUMMER_0730_US - 3_600_000_000) or ())


def test_while_the_time_is_not_found_nobody_is_told_to_be_off_duty() -> None:
    assert Desk().at(None) is None


def test_nothing_is_applied_when_nothing_has_changed() -> None:
    desk = Desk()
    desk.at(WINTER_NOON_US)
    assert desk.events == 2
    desk.at(WINTER_NOON_US)
    assert desk.events == 2


def test_duty_is_known_soon_after_the_time_is_found() -> None:
    async def life(desk: Desk) -> float:
        loop = asyncio.get_running_loop()
        task, began_s = loop.create_task(desk.desk.run()), loop.time()
        await asyncio.sleep(0)  # the first look finds no time
        desk.truth_us = WINTER_NOON_US - 5_000_000
        async with asyncio.timeout(10):
            while desk.state.on_duty is None:
                desk.applied.clear()
                await desk.applied.wait()
        task.cancel()
        return loop.time() - began_s

    assert asyncio.run(life(Desk())) < 5


def test_a_time_beyond_the_calendar_is_no_time() -> None:
    assert Desk().at(10**20) is None


def test_without_time_zones_everybody_is_on_duty() -> None:
    config = msgspec.structs.replace(CONFIG, site=SiteTable(timezone="Nowhere/At_All"))
    assert Desk(config).at(WINTER_NOON_US) is None
