"""Core's view of the unit's health, as the control room and `unitd status` are told it."""

import asyncio
from collections.abc import Callable

from unitd.config import Config
from unitd.core.alarm import AlarmDesk
from unitd.core.control_room import ControlRoomDesk
from unitd.core.machine import DiskWorker
from unitd.core.panel import Panel
from unitd.core.unit import Unit
from unitd.core.workers import WorkerDesk
from unitd.messages import control_room as wire
from unitd.messages import workers as worker_wire
from unitd.model.guard import closes_ns
from unitd.model.incident import Incident, Settings, State
from unitd.model.periodic_test import ends_ns
from unitd.ports import Clock
from unitd.prompts import voice_languages, warning_names

SOUNDS_AGAIN_S = 30.0
BUTTON_FAULTS = {
    "button_cable": "the button's cable is probably cut: its normally closed line is open",
    "button_disagrees": "one of the button's two lines did not follow a press",
}


class HealthDesk:
    """Reads the other desks; keeps nothing of its own."""

    def __init__(
        self,
        config: Config,
        site: wire.Site,
        session: int,
        clock: Clock,
        unit: Unit,
        panel: Panel,
        alarms: AlarmDesk,
        control_room: ControlRoomDesk,
        workers: WorkerDesk,
        disk_failed: Callable[[], bool],
        disk_hung: Callable[[], bool],
        button_error: Callable[[], str],
        latch_refused: Callable[[], bool],
        quarantined: list[str],
        facts: Callable[[], dict[str, str | int | float | bool | None]] = dict,
        evidence_faults: Callable[[], list[wire.FaultReport]] = list,
    ) -> None:
        self._config = config
        self._site = site
        self._session = session
        self._clock = clock
        self._unit = unit
        self._panel = panel
        self._alarms = alarms
        self._control_room = control_room
        self._workers = workers
        self._disk_failed = disk_failed
        self._disk_hung = disk_hung
        self._button_error = button_error
        self._latch_refused = latch_refused
        self._started_ns = clock.mono_ns()
        self._quarantined = quarantined
        self._facts = facts
        self._evidence_faults = evidence_faults
        self.warnings = warning_names()
        """What `play_warning` may name; the site's own are there once `find_sounds` has looked."""

    async def find_sounds(self, disk: DiskWorker) -> None:
        """Look for the site's own warnings, until cancelled. A disk that hangs keeps no alarm waiting for them."""
        sound = self._config.sound
        languages = () if sound is None else (sound.language, *sound.more_languages)
        looked = sound is None
        while not looked:
            try:
                self.warnings = await disk.run(lambda: warning_names(sound.site_dir if sound else "", languages))
                looked = True
            except OSError:
                await asyncio.sleep(SOUNDS_AGAIN_S)
        self._control_room.state_changed()
        await asyncio.Event().wait()

    def faults(self, clock: wire.ClockQuality) -> tuple[wire.FaultReport, ...]:
        """Everything wrong now, core's own first; `clock` is what the wall clock is good for now."""
        state, report = self._unit.state, wire.FaultReport
        found: list[wire.FaultReport] = []
        if why := self._button_error():
            found.append(report(code="button_lost", text=f"the button cannot be watched: {why}"))
        if state.button_stuck:
            found.append(report(code="button_stuck", text="the button's contact has been closed for too long"))
        if state.button_fault in BUTTON_FAULTS:
            found.append(report(code=state.button_fault, text=BUTTON_FAULTS[state.button_fault]))
        if self._alarms.disk_failed:
            found.append(report(code="outbox_memory_only", text="alarms are kept in memory only: the disk refuses"))
        if self._disk_hung():
            found.append(report(code="disk_hung", subject="core", text="the disk does not answer"))
        if self._disk_failed():
            found.append(report(code="disk_error", subject="core", text="the unit's state cannot be written to disk"))
        if self._latch_refused():
            found.append(report(code="disk_error", subject="latch", text="presses cannot be latched in run_dir"))
        if self._quarantined:
            found.append(
                report(code="outbox_quarantine", text=f"{len(self._quarantined)} unreadable alarm(s) put aside")
            )
        if state.test_unanswered:
            found.append(report(code="test_unanswered", text="nobody answered the last periodic test alarm"))
        if clock == "unknown":
            found.append(report(code="clock_unknown", text="the clock is not synchronised; times are provisional"))
        if self._config.brokers and self._silent():
            found.append(report(code="control_room_silent", text="the control room has not been heard for too long"))
        found += self._evidence_faults()
        found += self._control_room.faults()
        found += [report(code=each.code, subject=each.subject, text=each.text) for each in self._workers.faults()]
        return tuple(found)

    def _silent(self) -> bool:
        """The control room has not been heard for its limit, counted from core's start when it never was."""
        heard_ns = self._unit.state.heard_mono_ns
        since_ns = self._started_ns if heard_ns is None else heard_ns
        return self._clock.mono_ns() - since_ns >= self._unit.settings.silent_after_ns

    def state(self) -> wire.State:
        """The retained state message."""
        stamp = self._clock.stamp()
        return wire.State(
            unit=self._config.unit.id,
            online=True,
            session=self._session,
            armed=self._unit.state.armed,
            clock=stamp.clock,
            uptime_ms=stamp.mono_ns // 1_000_000,
            site=self._site,
            open_incidents=tuple(_open(each, self._unit.settings) for each in self._unit.state.incidents if each.open),
            faults=self.faults(stamp.clock),
            facts={"core": self._facts(), **self._workers.facts()},
            presets=self._config.dome.presets if self._config.dome else (),
            warnings=self.warnings,
            isolation=_isolation(self._unit.state),
            watch=_watching(self._unit.state),
            control_rooms=tuple(each.name for each in self._config.control_rooms),
            languages=_languages(self._config),
        )

    def status(self) -> worker_wire.Status:
        """What `unitd status` prints."""
        stamp = self._clock.stamp()
        levels, faults = self._unit.outputs(), self.faults(stamp.clock)
        served = levels.served
        isolation, watch = self._unit.state.isolation, self._unit.state.watch
        return worker_wire.Status(
            unit=self._config.unit.id,
            session=self._session,
            armed=self._unit.state.armed,
            uptime_s=stamp.mono_ns / 1e9,
            clock=stamp.clock,
            control_room_heard=levels.heard,
            brokers={each.name: each.connected for each in self._control_room.uplinks},
            incident=None
            if served is None
            else worker_wire.OpenIncident(
                incident_id=served.incident_id,
                kind=served.kind,
                stage=served.stage,
                raised_mono_ns=served.raised_mono_ns,
            ),
            open_incidents=sum(each.open for each in self._unit.state.incidents),
            asked=() if served is None else served.asked,
            isolated_by=isolation.by if isolation else "",
            isolated_s=max(0.0, (isolation.until_mono_ns - stamp.mono_ns) / 1e9) if isolation else 0.0,
            watched_by=watch.by if watch else "",
            watched_s=max(0.0, (watch.until_mono_ns - stamp.mono_ns) / 1e9) if watch else 0.0,
            lamps=self._panel.levels,
            waiting_alarms=self._alarms.waiting,
            workers=self._workers.alive(),
            faults=tuple(worker_wire.Fault(code=f.code, subject=f.subject, text=f.text) for f in faults),
            facts={"core": self._facts(), **self._workers.facts()},
        )


def _languages(config: Config) -> tuple[str, ...]:
    sound = config.sound
    return () if sound is None else tuple(dict.fromkeys((sound.language, *sound.more_languages, *voice_languages())))


def _isolation(state: State) -> wire.Isolation | None:
    isolation = state.isolation
    if isolation is None:
        return None
    until_ms = isolation.until_mono_ns // 1_000_000
    return wire.Isolation(
        by=isolation.by, reason=isolation.reason, until_uptime_ms=until_ms, suppressed=state.suppressed
    )


def _watching(state: State) -> wire.Watching | None:
    watch = state.watch
    if watch is None:
        return None
    until_ms = watch.until_mono_ns // 1_000_000
    return wire.Watching(
        watch_id=watch.watch_id, by=watch.by, reason=watch.reason, until_uptime_ms=until_ms, announce=watch.announce
    )


def _open(incident: Incident, settings: Settings) -> wire.OpenIncident:
    ends = [each for each in (closes_ns(incident, settings), ends_ns(incident, settings)) if each is not None]
    return wire.OpenIncident(
        incident_id=incident.incident_id,
        kind=incident.kind,
        stage=incident.stage,
        raised=wire.Stamp(utc_us=incident.raised_utc_us, clock=incident.clock, mono_ns=incident.raised_mono_ns),  # type: ignore[arg-type]
        presses=incident.count,
        asked=incident.asked,
        closes_uptime_ms=min(ends) // 1_000_000 if ends else None,
        recent_incidents=incident.recent,
        recent_hoaxes=incident.recent_hoaxes,
        room=incident.taken_by,
        mute_microphone=incident.orders.mute_microphone,
        mute_horn=incident.orders.mute_horn,
        quiet=incident.orders.quiet,
    )
