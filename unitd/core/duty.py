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
from unitd.runtime.logs import Logger

UNKNOWN_S = 2.0


class DutyDesk:
    """Lives on the loop; applies an event only when something has changed. `truth_us()` is UTC minus CLOCK_MONOTONIC as
    the clock's desk has found it in this boot, None while it has not."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        truth_us: Callable[[], int | None],
        state: Callable[[], State],
        apply: Callable[[ev.Event], None],
        log: Logger,
    ) -> None:
        hours = {each.name: each.hours for each in config.control_rooms}
        hours |= {each.name: each.hours for each in config.duty_numbers}
        hours[TEST_HOURS] = config.test_alarm.hours
        self._hours: dict[str, tuple[Span, ...]] = {
            name: tuple(span for line in lines for span in parse_hours(line)) for name, lines in hours.items()
        }
        self._zone: zoneinfo.ZoneInfo | None = None
        try:
            self._zone = zoneinfo.ZoneInfo(config.site.timezone)
        except (OSError, ValueError, LookupError) as error:
            log.error("time zone not read: everybody counts as on duty", zone=config.site.timezone, error=repr(error))
        self._clock = clock
        self._truth_us = truth_us
        self._state = state
        self._apply = apply

    async def run(self, every_s: float = 20.0) -> None:
        """Look every `every_s`, until cancelled; while the time is not known every UNKNOWN_S, if that is less: a core
        that has started again soon asks those on duty first."""
        while True:
            self.look()
            await asyncio.sleep(every_s if self._truth_us() is not None else min(every_s, UNKNOWN_S))

    def look(self) -> None:
        """Bring the state to what the clock says now."""
        truth_us, state = self._truth_us(), self._state()
        if truth_us is not None and truth_us != state.utc_offset_us:
            self._apply(ev.ClockKnown(truth_us))
        on_duty = None if truth_us is None else self._on_duty(self._clock.mono_ns() // 1000 + truth_us)
        if on_duty != state.on_duty:
            self._apply(ev.DutyKnown(on_duty))

    def _on_duty(self, utc_us: int) -> tuple[str, ...] | None:
        if self._zone is None:
            return None
        try:
            local = datetime.datetime.fromtimestamp(utc_us // 1_000_000, self._zone)
        except (OverflowError, OSError, ValueError):
            return None
        minute = local.weekday() * DAY_MIN + local.hour * 60 + local.minute
        return tuple(name for name, spans in self._hours.items() if within(spans, minute))
