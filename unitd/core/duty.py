"""The duty desk: tells the state what the wall clock is good for, and whose hours of duty these are."""

import asyncio
import datetime
import zoneinfo
from collections.abc import Callable

from unitd.config import Config
from unitd.model import events as ev
from unitd.model.hours import DAY_MIN, Span, parse_hours, within
from unitd.model.incident import TEST_HOURS, State
from unitd.ports import Clock

STEP_US = 1_000_000
"""A clock that is slewed moves less than this between two looks; what moves more was set."""


class DutyDesk:
    """Lives on the loop; applies an event only when something has changed."""

    def __init__(
        self, config: Config, clock: Clock, state: Callable[[], State], apply: Callable[[ev.Event], None]
    ) -> None:
        hours = {each.name: each.hours for each in config.control_rooms}
        hours |= {each.name: each.hours for each in config.duty_numbers}
        hours[TEST_HOURS] = config.test_alarm.hours
        self._hours: dict[str, tuple[Span, ...]] = {
            name: tuple(span for line in lines for span in parse_hours(line)) for name, lines in hours.items()
        }
        self._zone = zoneinfo.ZoneInfo(config.site.timezone)
        self._clock = clock
        self._state = state
        self._apply = apply

    async def run(self, every_s: float = 20.0) -> None:
        """Look every `every_s`, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(every_s)

    def look(self) -> None:
        """Bring the state to what the clock says now."""
        stamp, state = self._clock.stamp(), self._state()
        known = stamp.clock != "unknown"
        offset_us = stamp.utc_us - stamp.mono_ns // 1000
        if known and (state.utc_offset_us is None or abs(offset_us - state.utc_offset_us) > STEP_US):
            self._apply(ev.ClockKnown(offset_us))
        on_duty = self._on_duty(stamp.utc_us) if known else None
        if on_duty != state.on_duty:
            self._apply(ev.DutyKnown(on_duty))

    def _on_duty(self, utc_us: int) -> tuple[str, ...] | None:
        try:
            local = datetime.datetime.fromtimestamp(utc_us // 1_000_000, self._zone)
        except (OverflowError, OSError, ValueError):
            return None
        minute = local.weekday() * DAY_MIN + local.hour * 60 + local.minute
        return tuple(name for name, spans in self._hours.items() if within(spans, minute))
